"""`mox report` and `mox results --diff`: a file, one JSON document, and who won where."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import mox
from mox.cli.app import app
from mox.results import Results

pytestmark = pytest.mark.timeout(150)

EXPERIMENT = """\
name: reported
corpus: {kind: evidence, path: corpus}
axes:
  chunk: [{kind: recursive, size: [16, 32]}]
  search: [{kind: bm25, k: 10}]
measure: [recall@5, ndcg@60t, precision@60t, iou@60t]
choose: {maximise: ndcg@60t, within: 0.1, prefer: {minimise: index_mb}}
"""


@pytest.fixture
def ran(small_corpus: Path, monkeypatch: pytest.MonkeyPatch) -> Results:
    folder = small_corpus.parent
    (folder / "e.yaml").write_text(EXPERIMENT)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MOX_WORKERS", "1")
    return mox.run("e.yaml", offline=True, quiet=True)


def call(*words: str, status: int = 0) -> str:
    done = CliRunner().invoke(app, words)
    assert done.exit_code == status, done.output
    return done.stdout


def test_a_report_is_written_and_its_verdict_printed(ran: Results, tmp_path: Path) -> None:
    said = call("report", "e.yaml", "-o", str(tmp_path / "r.html"))
    assert ran.choice is not None
    assert said.startswith(f"reported: report\n{ran.choice.reason}")
    assert (tmp_path / "r.html").read_text(encoding="utf-8") == ran.report().html()
    call("report", ran.run.id[:6])
    assert Path(f"report-{ran.run.id}.html").is_file()


def test_a_reports_json_is_one_document(ran: Results, tmp_path: Path) -> None:
    found: dict[str, Any] = json.loads(call("report", "e.yaml", "--json"))
    assert Path(found["file"]).is_file()
    assert found["run_id"] == ran.run.id
    assert found["final"] is True
    assert ran.choice is not None
    assert found["verdict"][0] == ran.choice.reason


def test_a_file_that_cannot_be_written_is_refused_with_its_mend(ran: Results) -> None:
    done = CliRunner().invoke(app, ["report", "e.yaml", "-o", "report.docx"])
    assert done.exit_code == 2
    assert "report.docx is no .html file" in done.stderr
    assert "mend:" in done.stderr


def test_a_difference_names_who_won_where(ran: Results) -> None:
    a, b = (trial.id for trial in ran.finished)
    assert call("results", "e.yaml", "--diff", a, b) == f"{ran.diff(a, b)!r}\n"
    found = json.loads(call("results", "e.yaml", "--diff", a, b, "--json"))
    assert found == ran.diff(a, b).document()
    differences = [row["difference"] for row in found["questions"]]
    assert differences == sorted(differences), "regressions first"
    assert found["settings"] == {"chunk.size": [16, 32]}


def test_several_measures_fit_and_one_of_them_decides(ran: Results) -> None:
    said = call("results", "e.yaml")
    head = next(line for line in said.splitlines() if line.startswith("trial"))
    assert head.split()[2:7] == ["ndcg@60t", "▾", "recall@5", "precision@60t", "iou@60t"]
    assert max(map(len, said.splitlines()[:4])) <= 140
