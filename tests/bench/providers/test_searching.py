"""Searches under way: what is told of a provider, what isn't its doing, and what is shown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mox.bench.providers import outcome
from mox.bench.providers.client import Cell, SelfCheck, Target, Turn
from mox.bench.providers.conditions import Condition
from mox.bench.providers.file import load
from mox.bench.providers.record import Chunk, Load, Record
from mox.bench.providers.searching import Searching, begun, carry_out
from mox.bench.providers.workloads import workloads
from mox.errors import StageError

CALM, BUSY = SelfCheck(0.1, 0.2, 0.05), SelfCheck(0.1, 0.2, 0.99)
MS = 1_000_000
TARGET = Target("sim-swift", "chat", "http://h/v1", "sim-swift", simulated=True)

Answer = Callable[[Condition, int], Turn | None]


def searches(*loads: dict[str, Any]) -> list[Searching]:
    found = load(
        {
            "providers": [{"kind": "simulated", "model": "sim-swift"}],
            "workloads": [{"kind": "tokens", "input": 80, "output": 12}],
            "loads": list(loads) or [{"kind": "slo", "start": 4, "most": 8}],
            "slo": {"ttft_ms": 1000},
        }
    )
    return begun(found, workloads(found.workloads[0], caches=("off",), salt="0", base=Path()))


def record(number: int, ttft_ms: int, **more: Any) -> Record:
    """An answer that begins after so long."""
    moments = {
        "scheduled_ns": 0,
        "sent_ns": 0,
        "chunks": (Chunk(ttft_ms * MS, 4),),
        "done_ns": (ttft_ms + 9) * MS,
    }
    return Record("sim-swift", "sim-swift", "w", Load("poisson", 4), 0, number,
                  **{**moments, "usd": "0.001", **more})  # fmt: skip


def turn(one: Condition, round_: int, *, ttft_ms: int = 100, check: SelfCheck = CALM) -> Turn:
    cell: Cell = one.cell(TARGET)
    return Turn(cell, round_, tuple(record(at, ttft_ms) for at in range(one.requests)), check)


def done(
    every: Sequence[Searching], answer: Answer
) -> tuple[Mapping[str, Sequence[Turn]], list[tuple[float, int]]]:
    """Carry searches out: all rounds by condition, and what was measured, in order."""
    turns: dict[str, list[Turn]] = defaultdict(list)
    asked: list[tuple[float, int]] = []

    def measure(steps: Sequence[Condition], round_: int) -> Mapping[str, Sequence[Turn]]:
        for one in steps:
            asked.append((one.load.value, round_))
            if (found := answer(one, round_)) is not None:
                turns[one.name].append(found)
        return turns

    carry_out(every, measure, why=lambda _: "it is asked no more.")
    return turns, asked


def lost(one: Condition, round_: int) -> Turn:
    error = StageError("a client process was ended by signal 9", mend="see dmesg")
    return Turn(one.cell(TARGET), round_, tuple(record(at, 9) for at in range(5)), failed=error)


def unreached(one: Condition, round_: int) -> Turn:
    none = {"sent_ns": None, "chunks": (), "done_ns": None, "said": "no connection"}
    records = tuple(record(at, 0, error="connection", **none) for at in range(one.requests))
    return Turn(one.cell(TARGET), round_, records, CALM)


@pytest.mark.parametrize(
    ("at_8", "why"),
    [
        (
            lambda one, round_: turn(one, round_, ttft_ms=3000, check=BUSY),
            "given up at 8: round 1: the client used 99% of a core",
        ),
        (lost, "given up at 8: a client process was ended by signal 9"),
        (unreached, "given up at 8: every request of a round ended in connection (no connection)"),
        (lambda *_: None, "given up at 8: it is asked no more."),
    ],
)
def test_what_is_not_the_providers_doing_gives_a_search_up(at_8: Answer, why: str) -> None:
    (one,) = searches()
    turns, _ = done([one], lambda step, n: at_8(step, n) if step.load.value > 4 else turn(step, n))
    assert [(probe.value, probe.kept) for probe in one.search.probes] == [(4, True)]
    row = outcome.highest(one, turns[one.last().name], simulated=True)
    assert row is not None
    assert (row.load["value"], row.valid) == (4, False)
    assert why in str(row.why)
    rounds = [turn for step in one.tried() for turn in turns[step.name]]
    missing = outcome.lacking_search(one, rounds=rounds, why="")
    assert missing is not None
    assert why in missing["why"]
    assert missing["load"] == {"kind": "slo", "arrival": "poisson", "value": None}


@pytest.mark.parametrize("answer", [lost, unreached, lambda *_: None])
def test_a_search_that_measured_nothing_finds_nothing_and_says_so(answer: Answer) -> None:
    (one,) = searches()
    turns, asked = done([one], answer)
    assert asked == [(4, 0)]
    row = outcome.highest(one, turns[one.last().name], simulated=True)
    assert row is None or (row.load["value"], row.valid) == (None, False)
    assert outcome.lacking_search(one, rounds=[], why="") is not None


def spent(one: Condition, round_: int) -> Turn:
    """Nine are answered in time, and then the credit runs out."""
    none = {"sent_ns": 1, "chunks": (), "error": "quota_exhausted", "said": "no credit"}
    records = tuple(record(at, 9, **({} if at < 9 else none)) for at in range(one.requests))
    return Turn(one.cell(TARGET), round_, records, CALM)


def late_and_spent(one: Condition, round_: int) -> Turn:
    """The same of one that was too slow before: a tenth of all requests."""
    told = {at: record(at, 3000) for at in range(one.requests // 10 * 3)}
    records = [told.get(one.number, one) for one in spent(one, round_).records]
    return Turn(one.cell(TARGET), round_, tuple(records), CALM)


def few(one: Condition, round_: int) -> Turn:
    """A round as earlier versions cut it short."""
    return Turn(one.cell(TARGET), round_, tuple(record(at, 9) for at in range(10)), CALM)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (spent, "given up at 4: 61 of 70 requests ended in quota_exhausted (no credit)."),
        (few, "given up at 4: all of 30 requests kept the bounds, too few to show it."),
    ],
)
def test_what_says_nothing_of_the_load_does_not_break_it(answer: Answer, why: str) -> None:
    (one,) = searches()
    done([one], answer)
    assert (one.search.ended, one.search.probes) == (why, [])


def test_a_load_that_is_broken_whatever_was_refused_is_broken() -> None:
    (one,) = searches()
    done([one], late_and_spent)
    assert [probe.kept for probe in one.search.probes] == [False] * 5
    assert one.search.lost is None


def test_one_request_that_hangs_does_not_end_a_search() -> None:
    (one,) = searches({"kind": "slo", "arrival": "closed", "start": 4, "most": 16})
    times = {4: 20, 8: 10, 16: 5}  # of an answer: twice the callers, twice the flow

    def hangs(step: Condition, round_: int) -> Turn:
        """Answers one after the other; the last request is given up after 120 s."""
        each = times[int(step.load.value)] * MS
        records = [
            record(at, 9, scheduled_ns=at * each, sent_ns=at * each, done_ns=(at + 1) * each,
                   chunks=(Chunk(at * each + MS, 4),))
            for at in range(step.requests)
        ]  # fmt: skip
        if step.load.value == 8:
            records[-1] = replace(records[-1], chunks=(), error="timeout_first_byte",
                                  done_ns=120_000 * MS)  # fmt: skip
        return Turn(step.cell(TARGET), round_, tuple(records), CALM)

    done([one], hangs)
    assert one.search.ended == "16 keeps them, and more wasn't to be tried."


def test_a_provider_that_is_asked_no_more_in_mid_search_is_not_blamed() -> None:
    (one,) = searches()

    def unsure(step: Condition, round_: int) -> Turn | None:
        """One of twenty is late in the first round, which tells nothing; there is no second one."""
        if round_ > 0:
            return None
        late = tuple(record(at, 100 if at % 20 else 3000) for at in range(step.requests))
        return Turn(step.cell(TARGET), round_, late, CALM)

    _, asked = done([one], unsure)
    assert asked == [(4, 0), (4, 1)]
    assert (one.search.probes, one.search.lost) == ([], 4)


def test_a_search_that_was_cut_off_is_missing_and_no_answer_to_what_was_asked() -> None:
    (one,) = searches()
    assert one.search.ask() == 4
    there = one.last()
    row = outcome.highest(one, [turn(there, 0)], simulated=True)
    assert row is not None
    assert (row.valid, row.why) == (False, "the search was cut off.")
    missing = outcome.lacking_search(one, rounds=[turn(there, 0)], why="interrupted.")
    assert missing is not None
    assert (missing["rounds"], missing["why"]) == (1, "interrupted.")


def test_a_provider_that_is_too_slow_is_told_so() -> None:
    (one,) = searches()
    turns, _ = done(
        [one], lambda step, n: turn(step, n, ttft_ms=3000 if step.load.value > 7 else 9)
    )
    assert one.search.best is not None
    # 4, 8, 6, 7, 7.5: what is kept and what is broken lie within a tenth.
    assert one.search.best.value == 7
    row = outcome.highest(one, turns[one.last().name], simulated=True)
    assert row is not None
    assert outcome.lacking_search(one, rounds=turns[one.last().name], why="") is None


def test_what_a_client_that_lagged_saw_kept_is_kept_and_its_figures_are_invalid() -> None:
    (one,) = searches()
    turns, _ = done([one], lambda step, n: turn(step, n, check=BUSY))
    row = outcome.highest(one, turns[one.last().name], simulated=True)
    assert row is not None
    assert (row.load["value"], row.valid) == (8, False)
    assert "99% of a core" in str(row.why)
    assert outcome.lacking_search(one, rounds=turns[one.last().name], why="") is None


def test_a_load_that_two_searches_ask_for_is_measured_once_for_both() -> None:
    every = searches(
        {"kind": "slo", "start": 8, "most": 8}, {"kind": "slo", "start": 8, "most": 16}
    )
    _, asked = done(every, turn)
    assert asked == [(8, 0), (16, 0)]
    assert [one.search.best.value for one in every if one.search.best] == [8, 16]


def test_a_row_has_no_request_of_a_round_that_failed() -> None:
    (one,) = searches()
    there = one.last()
    assert outcome.made(there, [lost(there, 0)], simulated=True) is None
    row = outcome.made(there, [turn(there, 0), lost(there, 1)], simulated=True)
    assert row is not None
    assert row.n == there.requests
