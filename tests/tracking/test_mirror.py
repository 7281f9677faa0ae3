"""A run in MLflow: complete, once, whatever went before."""

from __future__ import annotations

import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mox.errors import EngineError, StoreError
from mox.pipeline.store import Store
from mox.results import Results, Run
from mox.results import run as runs
from mox.tracking import mirror, server
from mox.tracking.writing import Runs

pytestmark = pytest.mark.timeout(120)

TABLES = ("runs", "metrics", "latest_metrics", "params", "datasets", "inputs", "tags")


def test_a_run_is_one_parent_with_a_child_for_each_trial(results: Results, mirrored: Any) -> None:
    written = mirrored(results)
    assert written.parent.data.tags["mox.kind"] == "sweep"
    assert written.parent.info.status == "FINISHED"
    trials = written.trials()
    assert set(trials) == {trial.id for trial in results.run.trials}
    assert len(written.every()) == 1 + len(trials)
    for run in trials.values():
        assert run.data.tags["mlflow.parentRunId"] == written.parent.info.run_id
        assert run.info.status == "FINISHED"


def test_a_run_that_is_mirrored_is_not_written_again(
    results: Results, uri: str, mirrored: Any
) -> None:
    assert not mirror.is_mirrored(results.store, results.run, uri)
    mirrored(results)
    assert mirror.is_mirrored(results.store, results.run, uri)
    assert mirror.finish(results, uri) is None


def test_writing_once_more_changes_nothing(
    results: Results, root: Path, mirrored: Any, table: Any
) -> None:
    mirrored(results)
    before = {name: table(name) for name in TABLES}
    (root / "mirrored" / f"{results.run.id}.json").unlink()
    mirrored(results)
    assert len(table("runs")) == len(before["runs"])
    for name in TABLES[1:]:
        assert table(name) == before[name], name


def test_a_removed_store_is_no_mirror(
    results: Results, root: Path, uri: str, mirrored: Any
) -> None:
    mirrored(results)
    (root / "mlflow.db").unlink()
    assert not mirror.is_mirrored(results.store, results.run, uri)


def test_another_server_is_another_mirror(results: Results, mirrored: Any) -> None:
    mirrored(results)
    assert not mirror.is_mirrored(results.store, results.run, "http://tracking:5000")


def test_a_trial_that_ended_otherwise_is_mirrored_anew(
    results: Results, uri: str, mirrored: Any
) -> None:
    mirrored(results)
    first, *others = results.run.trials
    failed = replace(results.run, trials=(replace(first, status="FAILED"), *others))
    assert not mirror.is_mirrored(results.store, failed, uri)


LOOK = """
import sys
from pathlib import Path
from mox.pipeline.store import Store
from mox.results import run as runs, Results
from mox.tracking import mirror, server
from mox.tracking.links import next_links
store = Store(Path(sys.argv[1]))
[run] = runs.every(store)
uri = server.tracking_uri(store.root)
print(mirror.is_mirrored(store, run, uri), mirror.finish(Results(run, store), uri),
      len(next_links(Results(run, store))), "mlflow" in sys.modules)
"""


def test_a_mirrored_run_is_known_without_mlflow(
    results: Results, root: Path, mirrored: Any
) -> None:
    mirrored(results)
    done = subprocess.run(
        [sys.executable, "-c", LOOK, str(root)], capture_output=True, text=True, timeout=60,
        check=True,
    )  # fmt: skip
    assert done.stdout == "True None 4 False\n"


def begin(results: Results, uri: str) -> mirror.Mirror:
    return mirror.begin(results.store, results.run.id, results.run.name, uri)


def test_a_parent_that_a_kill_left_running_is_taken_up_again(results: Results, uri: str) -> None:
    left = begin(results, uri)
    client = server.client(uri)
    assert client.get_run(left.parent_id).info.status == "RUNNING"
    taken = begin(results, uri)
    assert taken.parent_id == left.parent_id
    found = mirror.finish(results, uri, taken)
    assert found is not None
    assert found.parent_id == left.parent_id
    assert client.get_run(left.parent_id).info.status == "FINISHED"


def test_a_child_that_a_kill_left_half_written_is_completed(
    results: Results, uri: str, mirrored: Any
) -> None:
    left = begin(results, uri)
    trial = results.run.trials[1]
    common = {"mox.run_id": results.run.id, "mox.store": results.store.id}
    half = Runs(server.client(uri), uri, left.experiment_id, common).create(
        "half", {"mox.kind": "trial", "mox.trial": trial.id}, 1000
    )
    found = mirrored(results).trials()[trial.id]
    assert found.info.run_id == half.info.run_id
    assert found.info.status == "FINISHED"
    assert "recall_at_5" in found.data.metrics


def test_a_child_that_a_kill_left_open_is_ended(
    results: Results, root: Path, mirrored: Any
) -> None:
    written = mirrored(results)
    trial = results.run.trials[0].id
    run_id = written.trials()[trial].info.run_id
    written.client.update_run(run_id, status="RUNNING")
    (root / "mirrored" / f"{results.run.id}.json").unlink()
    again = mirrored(results).trials()[trial]
    assert (again.info.run_id, again.info.status) == (run_id, "FINISHED")


def test_two_stores_that_hold_the_same_run_have_a_parent_each(
    results: Results, uri: str, tmp_path: Path
) -> None:
    """Two people who run one experiment on one server must not write into each other's runs."""
    other = Store(tmp_path / "other")
    mine = begin(results, uri)
    theirs = mirror.begin(other, results.run.id, results.run.name, uri)
    assert mine.parent_id != theirs.parent_id


@pytest.mark.parametrize(
    ("stopped", "statuses", "status"),
    [
        (None, ["FINISHED", "FAILED"], "FINISHED"),
        (None, ["FAILED", "FAILED"], "FAILED"),
        ("budget", ["FINISHED", "SKIPPED"], "FINISHED"),
        ("budget", ["SKIPPED", "SKIPPED"], "FINISHED"),
        ("interrupted", ["FINISHED", "SKIPPED"], "KILLED"),
    ],
)
def test_a_parent_ends_as_its_run_did(
    run: Run, stopped: str | None, statuses: list[Any], status: str
) -> None:
    trials = tuple(
        replace(trial, status=said) for trial, said in zip(run.trials, statuses, strict=False)
    )
    assert mirror.ended(replace(run, stopped=stopped, trials=trials)) == status


def test_a_resumed_run_is_no_longer_stopped(results: Results, change: Any, mirrored: Any) -> None:
    *some, last = results.run.trials
    skipped = replace(last, status="SKIPPED")
    stopped = mirrored(change(results, stopped="interrupted", trials=(*some, skipped)))
    assert stopped.parent.info.status == "KILLED"
    assert stopped.parent.data.tags["mox.stopped"] == "interrupted"
    assert len(stopped.trials()) == len(some)
    resumed = mirrored(change(results))
    assert resumed.parent.info.run_id == stopped.parent.info.run_id
    assert resumed.parent.info.status == "FINISHED"
    assert "mox.stopped" not in resumed.parent.data.tags
    assert len(resumed.trials()) == len(results.run.trials)


def test_a_failed_trial_says_why_and_forgets_it_once_it_is_redone(
    results: Results, change: Any, mirrored: Any
) -> None:
    first, *others = results.run.trials
    failed = replace(first, status="FAILED", error="the engine built FLAT, not HNSW.")
    child = mirrored(change(results, trials=(failed, *others))).trials()[first.id]
    assert child.info.status == "FAILED"
    assert child.data.tags["mox.error"] == "the engine built FLAT, not HNSW."
    assert not child.data.metrics
    redone = mirrored(change(results, trials=(first, *others))).trials()[first.id]
    assert redone.info.run_id == child.info.run_id
    assert redone.info.status == "FINISHED"
    assert "mox.error" not in redone.data.tags
    assert redone.data.metrics


def test_a_parent_without_results_can_be_ended(results: Results, uri: str) -> None:
    open_ = begin(results, uri)
    mirror.end(open_, "FAILED")
    assert server.client(uri).get_run(open_.parent_id).info.status == "FAILED"


def test_the_commit_of_the_working_tree_is_noted(results: Results, uri: str) -> None:
    here = Path(__file__).parent
    made = mirror.begin(results.store, "r", "books", uri, folder=here)
    tags = server.client(uri).get_run(made.parent_id).data.tags
    if (here.parents[1] / ".git").exists():
        assert len(tags["mlflow.source.git.commit"]) == 40
    assert tags["mox.version"]


def test_sync_mirrors_what_is_not_mirrored_and_then_nothing(results: Results, uri: str) -> None:
    runs.save(results.store, replace(results.run, id="another00000"))
    assert mirror.sync(results.store, uri) == sorted([results.run.id, "another00000"])
    assert mirror.sync(results.store, uri) == []


def test_sync_names_a_run_whose_artifacts_are_gone_and_mirrors_the_others(
    results: Results, uri: str
) -> None:
    first, *others = results.run.trials
    lost = first.roles["score"]._replace(key="f" * 64)
    gone = replace(first, roles={**first.roles, "score": lost})
    runs.save(results.store, replace(results.run, id="0000", trials=(gone, *others)))
    with pytest.raises(StoreError, match=r"of 2 runs to mirror 1 cannot be \(0000:"):
        mirror.sync(results.store, uri)
    assert mirror.is_mirrored(results.store, results.run, uri)


def test_a_server_that_is_lost_costs_an_error_with_its_mend_and_no_mark(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    away = f"http://user:s3cret-word@127.0.0.1:{port}"
    with pytest.raises(EngineError, match=r"MLflow at http://127\.0\.0\.1") as caught:
        mirror.finish(results, away, mirror.Mirror(away, "1", "p"))
    assert "mox sync" in caught.value.mend
    assert "s3cret-word" not in str(caught.value)
    assert not mirror.is_mirrored(results.store, results.run, away)
