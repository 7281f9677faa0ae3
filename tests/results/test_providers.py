"""The verdict on providers: nothing is ranked that isn't valid, equal or of one world."""

from __future__ import annotations

from typing import Any

from mox.results.providers import verdict


def row(provider: str, load: float, ms: tuple[float, float, float], **rest: Any) -> dict[str, Any]:
    value, low, high = ms
    return {
        "provider": provider, "workload": "short", "load": {"kind": "closed", "value": load},
        "valid": True, "simulated": False, "usd_per_1k_good": None,
        "e2e_from_schedule_ms": {"p50": {"value": value, "low": low, "high": high}}, **rest,
    }  # fmt: skip


def said(*rows: dict[str, Any]) -> list[str]:
    return verdict({"rows": list(rows)})


SLOW, QUICK = (6000, 5800, 6300), (2000, 1950, 2100)


def test_the_fastest_is_named_under_the_heaviest_load_that_all_had() -> None:
    rows = [row("a", 1, SLOW), row("b", 1, QUICK), row("a", 8, QUICK), row("b", 8, SLOW)]
    alone = row("b", 32, (1, 1, 1))
    assert said(*rows, alone) == [
        "short: with 8 callers, a is fastest, 2,000 ms [1,950, 2,100] end to end, before b with"
        " 6,000 ms [5,800, 6,300]."
    ]


def test_overlapping_intervals_are_a_tie_and_so_is_an_end_that_nobody_knows() -> None:
    near = row("b", 1, (2150, 2090, 2300))
    assert "a, b are equally fast (a tie)" in said(row("a", 1, QUICK), near)[0]
    open_ended = row("a", 1, (2000, 1950, None))  # type: ignore[arg-type]
    assert "(a tie)" in said(open_ended, row("b", 1, SLOW))[0]


def test_what_is_invalid_or_alone_is_fastest_of_nothing() -> None:
    assert said(row("a", 1, QUICK, valid=False), row("b", 1, SLOW)) == []
    assert said(row("a", 1, QUICK), row("b", 8, SLOW)) == []


def test_simulated_and_real_are_never_compared() -> None:
    simulated = {"simulated": True}
    assert said(row("a", 1, SLOW), row("sim", 1, QUICK, **simulated)) == []
    both = [row(name, 1, ms, **simulated) for name, ms in (("x", QUICK), ("y", SLOW))]
    (sentence,) = said(row("a", 1, SLOW), *both)
    assert sentence.startswith("short (simulated): with 1 caller, x is fastest")


def test_the_cheapest_is_named_by_what_it_costs_at_worst() -> None:
    rows = [
        row("a", 1, QUICK, usd_per_1k_good=0.1), row("a", 8, QUICK, usd_per_1k_good=0.5),
        row("b", 1, QUICK, usd_per_1k_good=0.3), row("b", 8, QUICK, usd_per_1k_good=0.3),
    ]  # fmt: skip
    assert (
        "1,000 good answers cost least from b, $0.3, before a, $0.5 (with 1, 8 callers)"
        in (said(*rows)[0])
    )


def test_the_cheapest_is_named_by_the_loads_that_all_had() -> None:
    rows = [
        row("a", 1, QUICK, usd_per_1k_good=0.1), row("a", 8, QUICK, usd_per_1k_good=0.5),
        row("b", 1, QUICK, usd_per_1k_good=0.3),
        row("b", 8, QUICK, usd_per_1k_good=0.3, valid=False),
    ]  # fmt: skip
    assert (
        "1,000 good answers cost least from a, $0.1, before b, $0.3 (with 1 caller)"
        in (said(*rows)[0])
    )
    assert "cost" not in said(rows[1], rows[2], row("a", 1, SLOW))[0]
    # What a search found is under another load for each.
    found = {"load": {"kind": "slo", "arrival": "poisson", "value": 2}, "probes": []}
    assert "cost" not in said(rows[0] | found, rows[2] | found)[0]


def test_the_cheapest_is_of_the_heaviest_load_and_says_who_did_not_have_it() -> None:
    rows = [
        row("a", 1, QUICK, usd_per_1k_good=0.2), row("b", 1, QUICK, usd_per_1k_good=0.3),
        row("c", 1, QUICK, usd_per_1k_good=0.01, valid=False),
        row("a", 8, QUICK, usd_per_1k_good=0.25), row("c", 8, QUICK, usd_per_1k_good=0.02),
        row("b", 8, QUICK, usd_per_1k_good=0.3, valid=False),
    ]  # fmt: skip
    expected = "cost least from c, $0.02, before a, $0.25 (with 8 callers; without b)"
    assert expected in said(*rows)[0]
    assert expected in said(*reversed(rows))[0]


def test_callers_and_rates_are_each_their_own_ladder() -> None:
    """Nobody can tell whether 64 callers or a request each ten seconds are more."""
    slowly = {"load": {"kind": "poisson", "value": 0.1}}
    rows = [row("a", 64, QUICK), row("b", 64, SLOW)]
    (sentence,) = said(*rows, row("a", 1, SLOW) | slowly, row("b", 1, QUICK) | slowly)
    assert "with 64 callers, a is fastest" in sentence
    assert "with 0.1 requests/s, Poisson, b is fastest" in sentence


def test_the_highest_load_that_keeps_the_bounds_is_named() -> None:
    load = {"kind": "slo", "arrival": "poisson", "value": 7.5}
    kept = {**row("a", 1, QUICK), "load": load, "probes": [{"value": 7.5}, {"value": 8}]}
    assert said(kept) == ["short: the bounds are kept up to a 7.5 requests/s, Poisson."]
    untried = {**kept, "provider": "b", "probes": [{"value": 7.5}]}
    assert "kept up to a 7.5, b at least 7.5 requests/s" in said(kept, untried)[0]
    assert said({**kept, "load": {**load, "value": None}}) == []
    callers = {**kept, "load": {**load, "arrival": "closed", "value": 16}}
    assert said(kept, callers) == [
        "short: the bounds are kept up to a at least 16 callers; the bounds are kept up to"
        " a 7.5 requests/s, Poisson."
    ]
