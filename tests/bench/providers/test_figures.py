"""Figures: drawn, labelled, and no simulated row on an edge with a real one."""

from __future__ import annotations

from typing import Any

import pytest

from mox.errors import SpecError
from mox.results.show.providers import cost, latency, timeline

LOST = {
    "provider": "a", "workload": "short", "load": "closed 1", "round": 1, "at_s": 0.0,
    "error": "server",
}  # fmt: skip
ANSWERED = {**LOST, "error": None, "ttft_ms": 100.0, "pool_wait_ms": None}
PNG = b"\x89PNG"


def row(provider: str, load: float, ms: float, usd: float | None, **rest: Any) -> dict[str, Any]:
    figure = {
        q: {"value": k * ms, "low": k * ms * 0.9, "high": None if k > 1 else ms * 1.1}
        for q, k in (("p50", 1), ("p90", 2), ("p95", 2.5), ("p99", 3))
    }
    return {
        "provider": provider, "model": provider, "workload": "short",
        "load": {"kind": "closed", "value": load}, "n": 210, "valid": True, "why": None,
        "ttft_ms": figure, "e2e_from_schedule_ms": figure, "usd_per_1k_good": usd,
        "simulated": False, "time_scale": 1.0, **rest,
    }  # fmt: skip


def document(*rows: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": "test", "simulated": any(row["simulated"] for row in rows), "time_scale": 0.1,
        "slo": {"e2e_ms": 2000}, "rows": list(rows),
    }  # fmt: skip


SIM = {"simulated": True, "time_scale": 0.1}
REAL = [row("a", 1, 100, 2.0), row("a", 4, 200, 2.0), row("b", 1, 300, 1.0)]
FOUND = {
    **row("a", 1, 100, 2.0), "load": {"kind": "slo", "arrival": "poisson", "value": 7.5}
}  # fmt: skip
BOTH = document(*REAL, row("sim", 1, 50, 0.1, **SIM), row("a", 16, 1, 1, valid=False, why="lag"))


def values(spec: Any) -> list[dict[str, Any]]:
    """All rows of data in a figure's specification."""
    found = []
    if isinstance(spec, dict):
        if isinstance(spec.get("values"), list) and spec["values"]:
            found += [one for one in spec["values"] if isinstance(one, dict)]
        for part in spec.values():
            found += values(part)
    elif isinstance(spec, list):
        for part in spec:
            found += values(part)
    return found


def test_latency_is_drawn_with_its_interval_and_says_what_is_simulated() -> None:
    found = latency(BOTH)
    assert found.png.startswith(PNG)
    text = str(found.spec)
    assert "SIMULATED at time scale 0.1" in text
    assert "sim (simulated)" in text
    assert "INVALID" in text
    drawn = [one for one in values(found.spec) if one.get("line") == "a" and one["load"] == 4]
    assert drawn[0]["low"] == 180
    assert drawn[0]["high"] == pytest.approx(220)


def test_the_edge_holds_what_nothing_beats_real_and_simulated_apart() -> None:
    found = cost(BOTH)
    edge = {(one["line"], one["value"]) for one in values(found.spec) if one.get("edge")}
    # b is cheaper than a and slower; a with 4 callers costs as much as with 1, and is slower; the
    # simulated one beats all, and is on an edge of its own.
    assert edge == {("a", 100), ("b", 300), ("sim (simulated)", 50)}
    # Faster and cheaper than all of them, but the client measured itself.
    assert [one["edge"] for one in values(found.spec) if one.get("invalid")] == [False]


def test_every_time_scale_that_was_played_is_named() -> None:
    two = document(row("x", 1, 50, 0.1, **SIM), row("y", 1, 50, 0.1, **{**SIM, "time_scale": 1.0}))
    assert "SIMULATED at time scales 0.1 and 1" in str(latency(two).spec)


def test_requests_are_drawn_over_time_and_failures_marked() -> None:
    requests = [
        {"provider": "a", "workload": "short", "load": "closed 1", "round": 1, "at_s": at,
         "error": None, "ttft_ms": 100.0 + at}
        for at in range(5)
    ]  # fmt: skip
    lost = {**requests[0], "error": "server"}
    del lost["ttft_ms"]
    found = timeline(BOTH, [*requests, lost])
    assert sum(one.get("error") == "server" for one in values(found.spec)) == 1


def scales(spec: Any) -> list[list[str]]:
    """The order of names of every colour scale in a figure's specification."""
    if isinstance(spec, dict):
        own = [spec["color"]["scale"]["domain"]] if "scale" in (spec.get("color") or {}) else []
        return own + [one for part in spec.values() for one in scales(part)]
    return [one for part in spec for one in scales(part)] if isinstance(spec, list) else []


def test_a_provider_has_one_colour_in_every_figure() -> None:
    """Also where its requests came first; `sim` is last in the document."""
    requests = [
        {"provider": name, "workload": "short", "load": "closed 1", "round": 1, "at_s": 0,
         "error": None, "ttft_ms": 1.0}
        for name in ("sim", "b", "a")
    ]  # fmt: skip
    for figure in (latency(BOTH), cost(BOTH), timeline(BOTH, requests)):
        found = scales(figure.spec)
        assert found
        assert all(one == ["a", "b", "sim (simulated)"] for one in found)


@pytest.mark.parametrize(
    ("draw", "said"),
    [
        (lambda: latency(BOTH, "ttft"), "did you mean 'ttft_ms'"),
        (lambda: cost(document(row("a", 1, 100, None))), "no row has a price"),
        (lambda: timeline(BOTH, []), "no request is kept"),
        (lambda: timeline(BOTH, [LOST]), "no request was answered"),
        (lambda: timeline(BOTH, [ANSWERED], "ttft"), "did you mean 'ttft_ms'"),
        (lambda: timeline(BOTH, [ANSWERED], "pool_wait_ms"), "nothing was measured of pool_wait"),
        (lambda: latency(document(FOUND)), "nothing but what a search found"),
    ],
)
def test_what_cannot_be_drawn_is_refused(draw: Any, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        draw()
