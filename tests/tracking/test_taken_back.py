"""What MLflow was told and no longer holds: taken back, and never left to be read as measured."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from mox.results import Results
from mox.tracking import mirror, server, trials
from mox.tracking.writing import Runs

pytestmark = pytest.mark.timeout(120)

SCORES = ("dev_ndcg_at_30t", "test_ndcg_at_30t", "recall_at_5_low", "index_mb", "chunks")


def test_a_trial_that_failed_since_has_no_scores_any_more(
    results: Results, change: Any, mirrored: Any, table: Any
) -> None:
    first, *others = results.run.trials
    before = mirrored(results).trials()[first.id]
    assert all(math.isfinite(before.data.metrics[name]) for name in SCORES)
    failed = change(results, trials=(replace(first, status="FAILED", error="gone."), *others))
    after = mirrored(failed).trials()[first.id]
    assert (after.info.run_id, after.info.status) == (before.info.run_id, "FAILED")
    assert all(math.isnan(value) for value in after.data.metrics.values())
    assert set(after.data.metrics) == set(before.data.metrics)
    for tag in ("mox.frontier", "mox.index_mb_is", "mlflow.loggedArtifacts"):
        assert tag in before.data.tags
        assert tag not in after.data.tags
    told = table("metrics")
    mirrored(change(failed, stopped="budget"))
    assert table("metrics") == told  # taken back once


def test_a_sweep_whose_trials_all_failed_since_has_no_chosen_ones_numbers(
    results: Results, change: Any, mirrored: Any
) -> None:
    before = mirrored(results).parent.data
    assert math.isfinite(before.metrics["dev_ndcg_at_30t"])
    failed = tuple(replace(one, status="FAILED", error="gone.") for one in results.run.trials)
    after = mirrored(change(results, trials=failed)).parent.data
    assert after.metrics["trials_failed"] == 4
    assert {name for name, value in after.metrics.items() if math.isfinite(value)} == {
        "trials_finished", "trials_failed", "seconds",
    }  # fmt: skip
    assert "mox.chosen" not in after.tags


def test_a_readers_own_metrics_are_left_to_them(
    results: Results, change: Any, mirrored: Any
) -> None:
    first, *others = results.run.trials
    before = mirrored(results)
    for run in (before.trials()[first.id], before.parent):
        before.client.log_metric(run.info.run_id, "human_rating", 4.0)
    failed = change(results, trials=(replace(first, status="FAILED", error="gone."), *others))
    after = mirrored(failed)
    for run in (after.trials()[first.id], after.parent):
        assert run.data.metrics["human_rating"] == 4.0
    assert math.isnan(after.trials()[first.id].data.metrics["dev_ndcg_at_30t"])


def test_every_cost_that_a_trial_may_have_is_taken_back(results: Results) -> None:
    """What this sweep of exact search and BM25 hasn't: those of a load, of money, of an index."""
    may = ["qps", "p95_ms", "disk_mb", "embed_usd", "short_answers", "recall_of_exact_at_10"]
    theirs = ["human_rating", "recall_of_readers", "recall_at_6"]
    assert trials.ours(results, [*may, *theirs]) == may


def test_a_trial_that_is_not_chosen_any_more_says_so_wanted_or_not(
    results: Results, uri: str, change: Any, mirrored: Any
) -> None:
    chosen = results.chosen
    assert chosen is not None
    written = mirrored(results)
    assert "chosen" in written.trials()[chosen.id].data.tags["mox.marks"]
    now = change(results, choose=None)
    common = {"mox.run_id": results.run.id, "mox.store": results.store.id}
    runs = Runs(server.client(uri), uri, written.experiment_id, common)
    trials.write(runs, written.parent.info.run_id, now, [])
    marks = [one.data.tags.get("mox.marks", "") for one in written.trials().values()]
    assert not [mark for mark in marks if "chosen" in mark]


def test_a_run_mirrored_later_begins_and_ends_when_it_did(
    results: Results, change: Any, mirrored: Any
) -> None:
    """1767225600 is 2026-01-01T00:00:00Z in seconds since 1970."""
    info = mirrored(change(results, started="2026-01-01T00:00:00Z", seconds=2.5)).parent.info
    assert (info.start_time, info.end_time) == (1767225600000, 1767225602500)


def test_a_run_that_is_going_on_is_not_ended(results: Results, change: Any, mirrored: Any) -> None:
    assert mirrored(change(results, stopped="going on")).parent.info.status == "RUNNING"


def test_a_run_that_was_cut_off_was_killed(results: Results) -> None:
    assert mirror.ended(replace(results.run, stopped="cut off")) == "KILLED"


@pytest.mark.parametrize("ended", ["FINISHED", "FAILED"])
def test_a_sweep_without_known_sizes_is_mirrored_and_links_no_figure(
    results: Results, change: Any, mirrored: Any, ended: Any
) -> None:
    some = change(results, trials=tuple(replace(one, status=ended) for one in results.run.trials))
    for costs in some.costs.values():
        costs["index_mb"] = None
    written = mirrored(some)
    files = {file.path for file in written.client.list_artifacts(written.parent.info.run_id)}
    assert "report.html" in files
    assert "pareto.html" not in files
    assert "pareto.html" not in written.parent.data.tags["mlflow.note.content"]
