"""Medians and intervals against NumPy, a bootstrap that really draws, and counting by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mox.indexes.exact import Exact
from mox.loadgen import Ask, Cell, Measured, Round, Spread, Subject, percentile, ranks, summary
from mox.loadgen.summary import over_rounds
from mox.testing.vectors import clustered


def a_round(answers: int, **more: Any) -> Round:
    draw = np.random.default_rng(answers)
    given: dict[str, Any] = {
        "qps": float(answers),
        "wall_s": 1.0,
        "latency_ms": draw.lognormal(1.0, 0.5, answers),
        "query": np.zeros(answers, dtype=np.int32),
        "ids": np.zeros((answers, 1), dtype=np.int32),
        "errors": {},
        "client_cpu_s": 0.1,
        "engine_cpu_s": 0.8,
        "machine_cpu_s": 1.0,
    }
    return Round(**{**given, **more})


def measured(*rounds: Round, in_client: bool = False) -> Measured:
    _, queries = clustered(2, 2)
    subject = Subject("s", lambda: pytest.fail("never opened"), queries, in_client=in_client)
    return Measured(Cell("c", subject, Ask(1, Exact.Search()), clients=2), rounds)


def test_a_percentile_is_the_median_over_rounds_of_each_ones() -> None:
    rounds = [np.arange(1.0, 102.0), np.arange(101.0, 202.0), np.arange(201.0, 302.0)]
    # 101 numbers in steps of 1: the 95th percentile is 95 above the least. Median of 3 rounds.
    assert percentile(rounds, 0.95).median == 101 + 95
    assert percentile(rounds, 0.5).median == 101 + 50


def test_its_interval_is_that_of_a_bootstrap_that_really_draws() -> None:
    draw = np.random.default_rng(7)
    rounds = [draw.lognormal(mean, 0.4, 300) for mean in (1.0, 1.05, 0.95, 1.1, 0.9)]
    for share in (0.5, 0.95):
        found = percentile(rounds, share)
        medians = []
        for _ in range(1_000):
            taken = [rounds[at] for at in draw.integers(0, 5, 5)]
            quantiles = [np.quantile(draw.choice(one, len(one)), share) for one in taken]
            medians.append(np.median(quantiles))
        low, high = np.quantile(medians, [0.025, 0.975])
        width = high - low
        assert abs(found.low - low) < 0.2 * width
        assert abs(found.high - high) < 0.2 * width


def test_more_answers_tell_a_percentile_more_narrowly() -> None:
    draw = np.random.default_rng(3)
    few, many = ([draw.lognormal(1, 0.5, n) for _ in range(5)] for n in (50, 5_000))
    a, b = percentile(few, 0.5), percentile(many, 0.5)
    assert (b.high - b.low) < (a.high - a.low) / 3
    assert a.low < np.exp(1) < a.high


def test_throughput_is_the_median_of_the_rounds_with_their_range() -> None:
    assert over_rounds([30.0, 10.0, 20.0]) == Spread(20.0, 10.0, 30.0)
    found = summary(measured(*(a_round(n) for n in (400, 500, 300))), cores=2)
    assert found["qps"] == {"median": 400.0, "low": 300.0, "high": 500.0}


def test_a_99th_percentile_needs_a_thousand_answers() -> None:
    found = summary(measured(a_round(333), a_round(333), a_round(333)), cores=2)
    assert found["p99_ms"] is None
    assert found["p99_why"] == "999 answers; a 99th percentile needs 1,000"
    found = summary(measured(a_round(333), a_round(333), a_round(334)), cores=2)
    assert found["p99_ms"]["low"] <= found["p99_ms"]["median"] <= found["p99_ms"]["high"]
    assert "p99_why" not in found


def test_engine_and_client_time_are_told_apart_by_answer() -> None:
    found = summary(measured(a_round(100), a_round(300)), cores=2)
    # 2 rounds of 1 s: engine .8 + .8 s, clients .1 + .1 s, the machine 1 + 1 s, 400 answers.
    assert found["engine_cpu_ms"] == pytest.approx(1600 / 400)
    assert found["client_cpu_ms"] == pytest.approx(200 / 400)
    assert found["engine_cores"] == pytest.approx(0.8)
    assert found["client_share"] == pytest.approx(0.2 / (2 * 2))
    assert found["others"] == pytest.approx((2.0 - 1.6 - 0.2) / (2 * 2))
    unknown = summary(measured(a_round(100, engine_cpu_s=None)), cores=2)
    assert unknown["engine_cpu_ms"] is None
    assert unknown["others"] is None


def test_clients_that_take_over_a_quarter_of_the_machine_make_a_row_invalid() -> None:
    # 2 cores for 1 s are 2 s of CPU; a quarter of them is .5 s.
    valid = summary(measured(a_round(100, client_cpu_s=0.5)), cores=2)
    assert valid["invalid"] is None
    over = summary(measured(a_round(100, client_cpu_s=0.52)), cores=2)
    assert over["invalid"] is not None
    assert "clients took 26 % of the 2 cores" in over["invalid"]
    assert summary(measured(a_round(100, client_cpu_s=0.52)), cores=4)["invalid"] is None
    inside = measured(a_round(100, client_cpu_s=2.0), in_client=True)
    assert summary(inside, cores=2)["invalid"] is None, "engine and client are one there"


def test_errors_are_counted_over_all_rounds_by_what_was_said() -> None:
    found = summary(
        measured(a_round(10, errors={"a": 2}), a_round(10, errors={"a": 1, "b": 4})), cores=2
    )
    assert found["errors"] == {"a": 3, "b": 4}
    assert found["answers"] == 20


def test_inserts_a_second_are_those_of_the_writers_own_time() -> None:
    """A round lasts until its slowest search is answered, here twice as long as asked for."""
    one = measured(a_round(10, inserted=50, insert_s=1.0, wall_s=2.0))
    cell = replace(one.cell, inserts=50, seconds=1.0)
    assert summary(replace(one, cell=cell), cores=2)["inserted_per_s"] == 50
    # One round whose last insert took 4 s longer: 55 rows in 6 s.
    slow = measured(*one.rounds, a_round(10, inserted=5, insert_s=5.0))
    assert summary(replace(slow, cell=cell), cores=2)["inserted_per_s"] == pytest.approx(55 / 6)


def test_a_cold_cell_of_rounds_without_an_answer_has_no_first_one() -> None:
    one = measured(a_round(0, open_s=0.1), a_round(0, open_s=0.1))
    cold = replace(one, cell=replace(one.cell, cold=True))
    assert summary(cold, cores=2)["first_ms"] is None


def test_a_row_without_one_answer_has_no_latency() -> None:
    nothing = a_round(0, errors={"a": 9})
    found = summary(measured(nothing, replace(nothing)), cores=2)
    assert found["p50_ms"] is None
    assert found["engine_cpu_ms"] is None
    assert found["qps"]["median"] == 0


def test_ranks_are_as_wide_as_the_spread() -> None:
    # a is under all others; b and c overlap; d is over all but e's interval reaches down to c.
    a, b, c = Spread(1, 0.9, 1.1), Spread(2, 1.8, 2.3), Spread(2.2, 2.0, 2.6)
    d, e = Spread(9, 8, 10), Spread(3, 2.5, 9)
    assert ranks([a, b, c, d, e], best="least") == [(1, 1), (2, 3), (2, 4), (4, 5), (3, 5)]
    assert ranks([a, d], best="most") == [(2, 2), (1, 1)]
    assert ranks([b, b], best="most") == [(1, 2), (1, 2)]


def test_ranks_tell_apart_only_what_took_turns() -> None:
    a, b, c = Spread(1, 0.9, 1.1), Spread(2, 1.8, 2.2), Spread(4, 3.8, 4.2)
    # a and c of one job, b of another: a is before c, and b anywhere.
    assert ranks([a, b, c], best="least", jobs=["x", "y", "x"]) == [(1, 2), (1, 3), (2, 3)]
    assert ranks([a, b], best="least", jobs=[None, None]) == [(1, 2), (1, 2)]
