"""Links into MLflow's pages, and the view that they open."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

import pytest

from mox.results import Results
from mox.tracking import view
from mox.tracking.links import PORT, Place, next_links, pages, ui_command

pytestmark = pytest.mark.timeout(120)


def test_a_run_that_is_not_mirrored_says_how(results: Results) -> None:
    assert next_links(results) == [("to MLflow", "mox sync")]


def test_a_mirrored_run_has_the_command_and_the_pages(results: Results, mirrored: Any) -> None:
    written = mirrored(results)
    lines = dict(next_links(results))
    assert f"--backend-store-uri sqlite:///{results.store.root}/mlflow.db" in lines["MLflow"]
    page = f"http://127.0.0.1:{PORT}/#/experiments/{written.experiment_id}/runs"
    run = f"{page}/{written.parent.info.run_id}"
    assert lines["its verdict"] == run
    assert lines["its report"] == f"{run}/artifacts/report.html"
    assert lines["its trials"].startswith(f"{page}?")


def test_a_trials_pages_are_known_once_it_is_mirrored(results: Results, mirrored: Any) -> None:
    trial = results.run.trials[0].id
    assert pages(results, trial) is None
    written = mirrored(results)
    found = pages(results, trial)
    assert found is not None
    page = f"http://127.0.0.1:{PORT}/#/experiments/{written.experiment_id}/runs"
    assert found["run"] == f"{page}/{written.parent.info.run_id}"
    assert found["trial"] == f"{page}/{found['trial_run_id']}"
    own = written.client.get_run(found["trial_run_id"])
    assert own.data.tags["mox.trial"] == trial


@pytest.mark.parametrize("uri", ["http://host:5000", "https://u:p@host/mlflow"])
def test_a_server_needs_no_command(uri: str) -> None:
    assert ui_command(uri) is None


def test_a_password_stays_in_its_variable() -> None:
    command = ui_command("postgresql://u:s3cret@host/db")
    assert command is not None
    assert "s3cret" not in command
    assert '"$MLFLOW_TRACKING_URI"' in command


def test_an_artifacts_page_is_below_its_run() -> None:
    there = Place("3", "abc", "r")
    assert there.artifact("plan.json") == "/#/experiments/3/runs/abc/artifacts/plan.json"


def state(tag: str) -> Any:
    packed = json.loads(tag)["state"].removeprefix("deflate;")
    return json.loads(zlib.decompress(base64.b64decode(packed)))


def test_the_view_shows_the_sweeps_trials_sorted_by_what_is_chosen_by(
    results: Results, mirrored: Any
) -> None:
    written = mirrored(results)
    tags = written.client.get_experiment(written.experiment_id).tags
    shown = state(tags[f"mlflow.sharedViewState.mox-{results.run.id}"])
    found = written.client.search_runs([written.experiment_id], shown["searchFilter"])
    assert len(found) == 4
    assert shown["orderByKey"] == "metrics.`dev_ndcg_at_30t`"
    has = {f"metrics.`{name}`" for name in found[0].data.metrics}
    has |= {f"params.`{name}`" for run in found for name in run.data.params}
    has |= {"tags.`mox.marks`", "tags.`mox.frontier`"}
    assert set(shown["selectedColumns"]) <= has
    measured = [name for name in shown["selectedColumns"] if "_at_" in name]
    assert measured == [
        f"metrics.`dev_{name}`"
        for name in ("ndcg_at_30t", "ndcg_at_30t_low", "ndcg_at_30t_high", "recall_at_5")
    ], "beside dev figures none that include the test side"
    assert view.path(written.experiment_id, results.run.id).endswith(f"mox-{results.run.id}")


def test_an_experiment_keeps_the_views_of_its_latest_sweeps(
    results: Results, change: Any, mirrored: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(view, "KEPT", 2)
    for name in ("a", "b", "c"):
        written = mirrored(change(results, id=name * 12))
    tags = written.client.get_experiment(written.experiment_id).tags
    kept = sorted(tag for tag in tags if tag.startswith(view.PREFIX))
    assert kept == [f"{view.PREFIX}{name * 12}" for name in ("b", "c")]
