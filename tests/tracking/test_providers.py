"""A benchmark of providers in MLflow: one run, once, what is simulated and INVALID said."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from mox import api
from mox.bench.providers import kept
from mox.pipeline.store import Store
from mox.tracking import providers, server

pytestmark = pytest.mark.timeout(120)


def row(provider: str, load: dict[str, Any], ms: float, **rest: Any) -> dict[str, Any]:
    figure = {q: {"value": ms, "low": None, "high": None} for q in ("p50", "p90", "p95", "p99")}
    names = ("ttft_ms", "answer_ms", "itl_ms", "e2e_ms", "e2e_from_schedule_ms", "tokens_per_s")
    return {
        "provider": provider, "model": provider, "workload": "short", "load": load, "n": 210,
        "answers": 210, "valid": True, "why": None, **dict.fromkeys(names, figure),
        "errors": {"rate_limit": 2, "server": 1}, "attained": None, "quality": None,
        "usd_per_1k": 0.2, "usd_per_1k_good": None, "simulated": True, "time_scale": 0.1,
        "ended": None, "client": {}, **rest,
    }  # fmt: skip


DOCUMENT: dict[str, Any] = {
    "schema": 1, "simulated": True, "time_scale": 0.1, "benchmark": "0123456789ab",
    "name": "benched", "at": "2026-11-26T12:00:00Z", "host": {"cpu": "x", "cores": "2"},
    "slo": {"ttft_ms": 900, "attain": 0.95}, "prices": "t 1", "seconds": 12.0, "stopped": None,
    "usd": {"real": 0.0, "simulated": 0.5}, "left_out": {}, "missing": [], "notes": [],
    "rows": [
        row("sim-swift", {"kind": "closed", "value": 1}, 200),
        row("sim-swift", {"kind": "closed", "value": 4}, 300),
        row("sim-swift", {"kind": "poisson", "value": 0.5}, 250),
        row("sim-swift", {"kind": "closed", "value": 16}, 1, valid=False, why="lag"),
        row("sim-swift", {"kind": "slo", "arrival": "poisson", "value": None}, 1, valid=False),
    ],
}  # fmt: skip


def test_curves_have_the_load_as_their_step_and_nothing_that_is_invalid() -> None:
    found = providers.series(DOCUMENT)
    assert found["ttft_ms_p50/sim-swift short closed"] == {1: 200, 4: 300}
    assert found["ttft_ms_p95/sim-swift short poisson"] == {50: 250}  # 0.5 a second · 100
    assert found["errors/sim-swift short closed"] == {1: 3, 4: 3}
    assert not any("usd_per_1k_good" in name or " search" in name for name in found)


def test_what_a_search_finds_later_takes_the_place_of_what_it_found() -> None:
    found = [
        providers.series({"rows": [row("a", {"kind": "slo", "arrival": "poisson", "value": v}, 1)]})
        for v in (4, 8.5)
    ]
    assert [each["highest/a short search poisson"] for each in found] == [{0: 4}, {0: 8.5}]
    assert all(list(points) == [0] for each in found for points in each.values())


def test_every_figure_by_load_can_be_taken_back() -> None:
    rates = {"attained": {"value": 0.9}, "usd_per_1k_good": 0.3, "quality": 0.5}
    load = {"kind": "slo", "arrival": "closed", "value": 4}
    found = providers.series({"rows": [row("a", load, 1, **rates)]})
    assert {name.partition("/")[0] for name in found} == set(providers.WHAT)


def test_searches_of_two_arrivals_are_two_metrics() -> None:
    found = {
        arrival: row("a", {"kind": "slo", "arrival": arrival, "value": 4}, ms)
        for arrival, ms in (("poisson", 111), ("closed", 999))
    }
    drawn = providers.series({"rows": list(found.values())})
    assert drawn["ttft_ms_p50/a short search poisson"] == {0: 111}
    assert drawn["ttft_ms_p50/a short search closed"] == {0: 999}


def test_the_description_is_text_and_says_where_the_rest_is() -> None:
    why = f"HTTP 400: <b>bad</b> | *x*\n# Heading {'e' * 9000}"
    missing = [{"provider": "gpt_4_x", "workload": "rag", "why": why}]
    text = providers.note({**DOCUMENT, "missing": missing})
    assert (
        "Missing: gpt\\_4\\_x rag, HTTP 400: &lt;b&gt;bad&lt;/b&gt; \\| \\*x\\* # Heading eee"
        in text
    )
    assert len(text) <= 8000
    assert text.endswith("see providers.json)")


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, "FINISHED"),
        ({"stopped": "budget"}, "FINISHED"),
        ({"stopped": "interrupted"}, "KILLED"),
        ({"rows": [{**DOCUMENT["rows"][0], "answers": 0}]}, "FAILED"),
    ],
)
def test_how_its_run_ended(changes: dict[str, Any], status: str) -> None:
    assert providers.ended({**DOCUMENT, **changes}) == status


def test_sync_writes_it_once_with_its_tables_figures_and_labels(
    own_state: Path, tmp_path: Path
) -> None:
    store = Store(own_state)
    kept.save(kept.folder(store, DOCUMENT["benchmark"]), DOCUMENT)
    assert api.sync() == [DOCUMENT["benchmark"]]
    assert api.sync() == []
    client = server.client(server.tracking_uri(own_state))
    experiment = client.get_experiment_by_name("benched")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.tags["mox.simulated"] == "true"
    assert run.data.tags["mox.invalid"] == "2"
    assert run.data.tags["mlflow.note.content"].startswith("**Simulated** at time scale 0.1")
    assert run.data.params["slo.ttft_ms"] == "900"
    assert run.data.metrics["usd_simulated"] == 0.5
    history = client.get_metric_history(run.info.run_id, "e2e_ms_p50/sim-swift short closed")
    assert {(one.step, one.value) for one in history} == {(1, 200), (4, 300)}
    names = {one.path for one in client.list_artifacts(run.info.run_id)}
    assert names == {"providers.json", "providers.html", "latency.html"}  # no price: no `cost`
    there = client.download_artifacts(run.info.run_id, "providers.json", str(tmp_path))
    assert json.loads(Path(there).read_text()) == DOCUMENT
    # Stopped before, and whole now: what was mirrored of it first doesn't stay.
    more = [*DOCUMENT["rows"], row("sim-careful", {"kind": "closed", "value": 1}, 400)]
    kept.save(kept.folder(store, DOCUMENT["benchmark"]), {**DOCUMENT, "rows": more})
    assert api.sync() == [DOCUMENT["benchmark"]]
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.data.tags["mox.providers"] == "sim-swift, sim-careful"
    assert set(run.data.params) == {"slo.ttft_ms", "slo.attain"}
    assert "SIMULATED, time scale 0.1" in Path(
        client.download_artifacts(run.info.run_id, "providers.html", str(tmp_path))
    ).read_text("utf-8")


def test_what_is_invalid_now_is_taken_back_and_a_search_of_an_earlier_layout_too(
    own_state: Path, empty_mlflow: Path
) -> None:
    own_state.mkdir()
    shutil.copyfile(empty_mlflow, own_state / "mlflow.db")
    store, first = Store(own_state), DOCUMENT["rows"][0]
    four = row("sim-swift", {"kind": "closed", "value": 4}, 300)
    search = row("sim-swift", {"kind": "slo", "arrival": "poisson", "value": 2}, 120, probes=[])

    def synced(*rows: dict[str, Any]) -> Any:
        kept.save(kept.folder(store, DOCUMENT["benchmark"]), {**DOCUMENT, "rows": [*rows]})
        assert api.sync() == [DOCUMENT["benchmark"]]
        client = server.client(server.tracking_uri(own_state))
        experiment = client.get_experiment_by_name("benched")
        (run,) = client.search_runs([experiment.experiment_id])
        return client, run

    client, run = synced(first, four, search)
    closed, found = (f"ttft_ms_p50/sim-swift short {way}" for way in ("closed", "search poisson"))
    assert (run.data.metrics[closed], run.data.metrics[found]) == (300, 120)
    # Up to layout 3 a search's step was a hundred times the load that it found.
    before = "ttft_ms_p50/sim-swift short slo poisson"
    for key, value, step in ((before, 111, 400), ("human_rating", 4, 7)):
        client.log_metric(run.info.run_id, key, value, step=step)
    _, run = synced(first, {**four, "valid": False}, search)
    assert run.data.metrics[found] == 120
    assert run.data.metrics["human_rating"] == 4
    assert all(math.isnan(run.data.metrics[name]) for name in (closed, before))

    def history(key: str) -> list[tuple[int, str]]:
        every = client.get_metric_history(run.info.run_id, key)
        return sorted((one.step, str(one.value)) for one in every)

    assert history(closed) == [(1, "200.0"), (4, "300.0"), (4, "nan")]
    _, run = synced(first, four, search)
    assert run.data.metrics[closed] == 300
    assert history(before) == [(400, "111.0"), (400, "nan")]  # taken back once
