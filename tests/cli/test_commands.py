"""The command line: one JSON document, exit statuses, errors with their mend."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mox.experiment.trials import AXES

pytestmark = pytest.mark.timeout(150)

EXPERIMENT = """\
name: cli
corpus: {kind: evidence, path: corpus}
axes:
  chunk: [{kind: recursive, size: [16, 32]}]
  search: [{kind: bm25, k: 10}]
measure: [recall@5, ndcg@60t]
choose: {maximise: ndcg@60t, within: 0.1, prefer: {minimise: index_mb}}
"""


def mox(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mox", *words], cwd=cwd, capture_output=True, text=True,
        timeout=100, check=False, env=dict(os.environ),
    )  # fmt: skip


@pytest.fixture
def folder(small_corpus: Path) -> Path:
    (small_corpus.parent / "e.yaml").write_text(EXPERIMENT)
    return small_corpus.parent


def document(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_run_and_results_print_the_same_document(folder: Path) -> None:
    ran = mox("run", "e.yaml", "--offline", "--json", cwd=folder)
    assert ran.returncode == 0, ran.stderr
    shown = document(mox("results", "e.yaml", "--json", cwd=folder))
    assert shown == document(ran)
    assert set(shown) >= {"schema", "experiment", "run_id", "seconds", "stopped", "stages",
                          "trials", "chosen"}  # fmt: skip
    assert shown["schema"] == 1
    assert set(shown["stages"]) >= {"total", "run", "stored", "failed", "by_kind"}
    [trial, _] = shown["trials"]
    assert trial["status"] == "FINISHED"
    assert trial["params"]["chunk.kind"] == "recursive"
    assert set(trial["metrics"]) == {"recall@5", "ndcg@60t"}
    assert set(trial["metrics"]["recall@5"]) == {"mean", "low", "high", "n"}
    assert set(trial["splits"]) == {"dev", "test"}
    assert {"chunks", "index_mb"} <= set(trial["costs"])
    chosen = shown["chosen"]
    assert chosen["trial"] in chosen["candidates"]
    assert chosen["trial"] in {t["id"] for t in shown["trials"]}
    assert set(chosen["vs_baseline"]) >= {"mean", "low", "high", "p"}


def test_questions_of_a_trial_have_scores_and_unpadded_hits(folder: Path) -> None:
    trial = document(mox("run", "e.yaml", "--offline", "--json", cwd=folder))["trials"][0]["id"]
    shown = document(mox("results", "e.yaml", "--questions", trial, "--json", cwd=folder))
    assert len(shown["questions"]) == 24
    first = shown["questions"][0]
    assert set(first) == {"id", "split", "scores", "hits"}
    assert 1 <= len(first["hits"]) <= 10
    assert set(first["hits"][0]) == {"document", "spans", "score"}
    [[start, end]] = first["hits"][0]["spans"]
    assert 0 <= start < end


def test_a_run_says_what_was_chosen_and_where_to_look_next(folder: Path) -> None:
    done = mox("run", "e.yaml", "--offline", cwd=folder)
    assert done.returncode == 0, done.stderr
    for said in ("is chosen: ndcg@60t", "Confirmed on test", "mox promote", "Look next:"):
        assert said in done.stdout


def test_plan_shows_stages_seconds_and_dollars(folder: Path) -> None:
    shown = document(mox("plan", "e.yaml", "--json", cwd=folder))
    assert shown["stages"]["to_run"] == shown["stages"]["total"] > 0
    assert shown["seconds"] > 0
    assert shown["usd"] == 0
    mox("run", "e.yaml", "--offline", "--json", cwd=folder)
    assert "everything is stored" in mox("plan", "e.yaml", cwd=folder).stdout


def test_a_refusal_is_status_2_with_place_and_mend(folder: Path) -> None:
    (folder / "e.yaml").write_text(EXPERIMENT.replace("bm25", "bm52"))
    done = mox("run", "e.yaml", "--json", cwd=folder)
    assert done.returncode == 2
    error = document(done)["error"]
    assert "e.yaml:5" in error["message"]
    assert "did you mean 'bm25'" in error["message"]
    assert error["mend"]
    assert "mend: " in done.stderr
    assert "Traceback" not in done.stderr


def test_set_replaces_settings_and_refuses_unknown_ones(folder: Path) -> None:
    shown = document(mox("plan", "e.yaml", "--set", "axes.chunk.0.size=20", "--json", cwd=folder))
    assert [t["params"]["chunk.size"] for t in shown["trials"]] == [20]
    done = mox("plan", "e.yaml", "--set", "qestions.limit=2", cwd=folder)
    assert done.returncode == 2
    assert "did you mean 'questions'" in done.stderr


@pytest.mark.parametrize(
    "command",
    [
        "plan",
        "run",
        "results",
        "explain",
        "promote",
        "ask",
        "datasets",
        "schema",
        "doctor",
        "gc",
        "sync",
    ],
)
def test_help_teaches(command: str, tmp_path: Path) -> None:
    done = mox(command, "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert "--json" in done.stdout


def test_schema_accepts_what_run_accepts(folder: Path) -> None:
    schema = document(mox("schema", cwd=folder))
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert set(schema["properties"]["axes"]["properties"]) == set(AXES)
    assert "HNSW" in json.dumps(schema)


def test_doctor_names_what_is_here(folder: Path) -> None:
    checks = document(mox("doctor", "--json", cwd=folder))["checks"]
    states = {check["name"]: check["state"] for check in checks}
    assert states["python"] == "ok"
    assert states["milvus"] == "ok"
    assert states["mox.chunkers"] == "ok"


def test_gc_keeps_what_a_run_reaches_and_removes_the_rest(folder: Path) -> None:
    mox("run", "e.yaml", "--offline", "--json", cwd=folder)
    nothing = document(mox("gc", "--json", cwd=folder))
    assert nothing["removed"] == []
    assert nothing["kept"] > 0
    home = Path(os.environ["MOX_HOME"])
    [record] = (home / "runs").glob("*.json")
    record.unlink()
    dry = document(mox("gc", "--dry-run", "--json", cwd=folder))
    assert len(dry["removed"]) == nothing["kept"]
    assert list(home.glob("artifacts/*/*/artifact.json"))
    mox("gc", "--json", cwd=folder)
    assert not list(home.glob("artifacts/*/*/artifact.json"))


def test_datasets_lists_the_cards(folder: Path) -> None:
    root = Path(__file__).parents[2]
    shown = document(mox("datasets", "--json", cwd=root))
    assert "python-reference" in {card["name"] for card in shown["datasets"]}


def test_the_result_does_not_depend_on_pythonhashseed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = EXPERIMENT.replace("search: [", "embed: [{kind: hashing, dims: 32}]\n  index:"
                              " [{kind: exact}]\n  search: [{kind: hybrid, k: 10}, ")  # fmt: skip
    (folder / "e.yaml").write_text(text.replace("[16, 32]", "16"))
    found = []
    for seed in ("1", "2"):
        monkeypatch.setenv("PYTHONHASHSEED", seed)
        monkeypatch.setenv("MOX_HOME", str(folder / f"home-{seed}"))
        shown = document(mox("run", "e.yaml", "--offline", "--json", cwd=folder))
        hits = [
            document(mox("results", "e.yaml", "--questions", trial["id"], "--json", cwd=folder))
            for trial in shown["trials"]
        ]
        found.append((shown["trials"], shown["chosen"], hits))
    assert found[0] == found[1]
