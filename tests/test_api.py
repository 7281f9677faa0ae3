"""The API of a notebook, from wherever it is called."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import mox
from mox.errors import MissingError, SpecError

pytestmark = pytest.mark.timeout(150)


@pytest.fixture
def experiment(small_corpus: Path) -> dict[str, Any]:
    return {
        "name": "api",
        "corpus": {"kind": "evidence", "path": str(small_corpus)},
        "axes": {
            "chunk": [{"kind": "recursive", "size": [16, 32]}],
            "embed": [{"kind": "hashing", "dims": 64}],
            "index": [{"kind": "exact"}],
            "search": [{"kind": "dense", "k": 10}, {"kind": "bm25", "k": 10}],
        },
        "measure": ["recall@5", "ndcg@60t"],
        "choose": {"maximise": "ndcg@60t", "within": 0.1, "prefer": {"minimise": "index_mb"}},
    }


CALL = """
import mox
results = mox.run({experiment!r}, offline=True, quiet=True)
print(len(results.finished), "finished")
"""


def output(*command: str, text: str | None = None) -> str:
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, timeout=100, check=False,
        env=dict(os.environ),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_script_without_a_guard_runs(experiment: dict[str, Any], tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(CALL.format(experiment=experiment))
    assert output(sys.executable, str(script)) == "4 finished\n"


def test_python_from_standard_input_runs(experiment: dict[str, Any]) -> None:
    assert output(sys.executable, "-", text=CALL.format(experiment=experiment)) == "4 finished\n"


def test_a_notebook_cell_runs_inside_its_event_loop(experiment: dict[str, Any]) -> None:
    import nbformat
    from nbclient import NotebookClient

    cells = [
        "import asyncio\nassert asyncio.get_running_loop().is_running()",
        CALL.format(experiment=experiment).replace("quiet=True", "quiet=False"),
    ]
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
    NotebookClient(notebook, timeout=100, kernel_name="python3").execute()
    outputs = notebook.cells[1].outputs
    assert any(out.get("text") == "4 finished\n" for out in outputs)
    [shown] = [out for out in outputs if "text/html" in out.get("data", {})]
    assert "stages" in shown["data"]["text/html"]


def test_a_second_run_does_nothing(experiment: dict[str, Any]) -> None:
    first = mox.run(experiment, offline=True, quiet=True)
    second = mox.run(experiment, offline=True, quiet=True)
    assert first.run.stages["run"] > 0
    assert second.run.stages["run"] == 0
    assert second.run.id == first.run.id
    assert second.run.started == first.run.started


def test_a_plan_that_is_made_takes_no_changes(experiment: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match="settings are fixed"):
        mox.run(mox.plan(experiment), set={"questions.limit": 3})


def test_a_plan_runs_nothing(experiment: dict[str, Any], own_state: Path) -> None:
    plan = mox.plan(experiment)
    assert not (own_state / "artifacts").exists()
    assert "4 trials" in repr(plan)
    assert len(plan.pending()) == len(plan.stages)


def test_results_are_loaded_by_run_and_by_experiment(
    experiment: dict[str, Any], tmp_path: Path
) -> None:
    import json

    file = tmp_path / "e.yaml"
    file.write_text(json.dumps(experiment))
    results = mox.run(file, offline=True, quiet=True)
    assert mox.load(results.run.id).run == results.run
    assert mox.load(results.run.id[:6]).run.id == results.run.id
    assert mox.load(file).run.id == results.run.id
    with pytest.raises(MissingError, match="no run 'nothing'"):
        mox.load("nothing")


def test_one_chunking_more_redoes_only_its_branch(experiment: dict[str, Any]) -> None:
    mox.run(experiment, offline=True, quiet=True)
    experiment["axes"]["chunk"].append({"kind": "fixed", "size": 24})
    by_kind = mox.run(experiment, offline=True, quiet=True).run.stages["by_kind"]
    assert by_kind["chunk"] == {"total": 3, "run": 1, "stored": 2, "failed": 0, "left": 0}
    assert by_kind["embed"]["run"] == 1
    assert by_kind["queries"]["run"] == 0
    assert by_kind["score"]["run"] == 2


def test_rechunking_the_same_text_embeds_nothing_new(experiment: dict[str, Any]) -> None:
    experiment["axes"]["chunk"] = [{"kind": "whole"}, {"kind": "fixed", "size": 100000}]
    experiment["axes"]["search"] = [{"kind": "dense", "k": 10}]
    results = mox.run(experiment, offline=True, quiet=True)
    facts = [results.store.sidecar(*trial.roles["embed"])["facts"] for trial in results.finished]
    assert sorted(fact["embedded"] for fact in facts) == [0, 12]


def test_leaderboard_has_a_row_per_trial_with_intervals(experiment: dict[str, Any]) -> None:
    results = mox.run(experiment, offline=True, quiet=True)
    table = results.leaderboard()
    assert len(table) == 4
    assert (table["ndcg@60t low"] <= table["ndcg@60t"]).all()
    assert (table["ndcg@60t"] <= table["ndcg@60t high"]).all()
    assert table["chosen"].sum() == 1


def test_scores_per_question_agree_with_the_means(experiment: dict[str, Any]) -> None:
    results = mox.run(experiment, offline=True, quiet=True)
    trial = results.finished[0]
    rows = results.questions(trial.id).rows
    assert len(rows) == 24
    mean = sum(row.scores["recall@5"] for row in rows) / 24
    assert results.summary[trial.id]["all"]["recall@5"].mean == pytest.approx(mean)


TWICE = """
import sys
import mox
results = mox.run({experiment!r}, quiet=True)
heavy = ("mlflow", "pymilvus", "milvus_lite", "sklearn", "pandas")
print(results.run.stages["run"], *[name for name in heavy if name in sys.modules])
"""


def test_a_sweep_that_is_stored_and_mirrored_imports_no_engine_and_no_mlflow(
    experiment: dict[str, Any],
) -> None:
    experiment["axes"]["index"] = [{"kind": "HNSW", "m": 8}]
    code = TWICE.format(experiment=experiment)
    first = output(sys.executable, "-c", code).split()
    assert int(first[0]) > 0
    assert "mlflow" in first
    assert output(sys.executable, "-c", code).split() == ["0"]


class OnlyHealthy(BaseHTTPRequestHandler):
    """A tracking server that says it is healthy and is lost for everything else."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/health" else 503)
        self.end_headers()

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_a_tracking_server_lost_in_mid_run_costs_a_warning_and_is_caught_up_with(
    experiment: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mox.api import MirrorWarning, sync

    server = ThreadingHTTPServer(("127.0.0.1", 0), OnlyHealthy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        with pytest.warns(MirrorWarning, match=r"not mirrored to MLflow(.|\n)*mox sync"):
            results = mox.run(experiment, quiet=True)
    finally:
        server.shutdown()
        server.server_close()
    assert len(results.finished) == 4
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert sync() == [results.run.id]
    assert sync() == []
