"""When requests start."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from time import perf_counter_ns
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mox.bench.providers.client import Cell, Target
from mox.bench.providers.client.asking import told_to_wait_s
from mox.bench.providers.client.jobs import Job
from mox.bench.providers.client.loops import closed_loop, schedule
from mox.bench.providers.client.messages import Raw
from mox.bench.providers.record import Load
from mox.types.providers import Request


def nothing(round_: int, number: int) -> Request:
    raise NotImplementedError


def job(load: Load, *, seed: int = 0, share: int = 0, of: int = 1, **ends: Any) -> Job:
    target = Target("here", "chat", "http://127.0.0.1/v1", "m")
    return Job(Cell(target, "w", nothing, load, **{"seconds": None, **ends}), 0, seed, share, of)


@given(st.floats(0.5, 200), st.integers(1, 200))
def test_a_constant_rate_is_evenly_spaced(rate: float, n: int) -> None:
    times = schedule(job(Load("constant", rate), requests=n))
    assert [number for number, _ in times] == list(range(n))
    assert all(abs(at - 1e9 * number / rate) <= 1 for number, at in times)


@given(st.integers(0, 10_000), st.floats(50, 500))
def test_the_number_of_poisson_arrivals_is_poissons(seed: int, rate: float) -> None:
    n = len(schedule(job(Load("poisson", rate), seed=seed, seconds=10)))
    # Six standard deviations: once in 500 million draws.
    assert abs(n - 10 * rate) <= 6 * math.sqrt(10 * rate)


def test_poisson_counts_vary_as_much_as_their_mean() -> None:
    counts = [len(schedule(job(Load("poisson", 20), seed=s, seconds=1))) for s in range(400)]
    mean = sum(counts) / len(counts)
    variance = sum((count - mean) ** 2 for count in counts) / (len(counts) - 1)
    # Of 400 draws the ratio's standard deviation is sqrt(2/399) = 0.07.
    assert 0.75 < variance / mean < 1.25


@given(st.sampled_from(["constant", "poisson"]), st.integers(1, 5), st.integers(0, 99))
def test_processes_share_one_schedule(kind: Any, of: int, seed: int) -> None:
    load = Load(kind, 50)
    whole = schedule(job(load, seed=seed, seconds=2))
    shares = [schedule(job(load, seed=seed, seconds=2, share=s, of=of)) for s in range(of)]
    assert sorted(one for share in shares for one in share) == whole


@pytest.mark.parametrize(
    ("begins", "wait_s"),
    [
        (b'data: {"id":"c","choices":[{"delta":{"role":"assistant"}}]}\n\n', None),
        (b'data: {"error":{"message":"overloaded"}}\n\n', 0.0),
        (b'event: error\ndata: {"type":"error","error":{}}\n\n', 0.0),
        (b"event: message_start\ndata: {}\n\n", None),
    ],
)
def test_a_stream_that_is_only_an_error_is_a_refusal(begins: bytes, wait_s: float | None) -> None:
    target = Target("here", "messages" if b"event:" in begins else "chat", "http://h", "m")
    head = {"content-type": "text/event-stream; charset=utf-8"}
    assert told_to_wait_s(Raw(0, 0, status=200, head=head, parts=[begins]), target) == wait_s


BUSY = {"status": 503, "body": {"error": {"message": "busy"}}}
COME_BACK = {"status": 429, "body": {"error": {"message": "requests per min"}},
             "head": {"retry-after-ms": "400"}}  # fmt: skip
CELLS: dict[str, dict[str, Any]] = {
    "closed": {"load": Load("closed", 4), "say": {"n": 2, "ttft": 0.05}, "requests": 20},
    "refused": {"load": Load("closed", 2), "say": BUSY, "seconds": 1.0, "warm_up": 0},
    "for good": {"load": Load("closed", 2), "requests": 9, "warm_up": 0,
                 "say": {"status": 401, "body": {"error": {"message": "no such key"}}}},
    "spent": {"load": Load("closed", 2), "requests": 9, "warm_up": 0,
              "say": {"status": 429, "body": {"error": {"code": "insufficient_quota"}}}},
    "told": {"load": Load("closed", 1), "say": COME_BACK, "requests": 2, "warm_up": 0},
    "open": {"load": Load("constant", 60), "say": {"n": 1, "ttft": 0.8}, "seconds": 0.5,
             "warm_up": 1},
    "warm": {"load": Load("closed", 2), "requests": 8},
    "cold": {"load": Load("closed", 1), "requests": 2, "warm_up": 0},
    "shared": {"load": Load("closed", 3), "requests": 9, "workers": 2},
}  # fmt: skip


@pytest.fixture(scope="module")
def came(all_at_once: Any) -> Mapping[str, Any]:
    found: Mapping[str, Any] = all_at_once(CELLS)
    assert [one.turn.failed for one in found.values()] == [None] * len(CELLS)
    return found


def most_open(asked: Any) -> int:
    from stand_in import most_open

    return int(most_open(asked))


def test_a_closed_loop_keeps_its_callers_busy_and_no_more(came: Mapping[str, Any]) -> None:
    closed = came["closed"]
    assert sorted(record.number for record in closed.records) == list(range(20))
    assert most_open(closed.asked) == 4
    # Five turns of four, none of which waits for another caller's.
    begins = sorted(record.sent_ns for record in closed.records)
    assert begins[-1] - begins[0] < 4 * 1.5 * 50_000_000 + 100_000_000


def test_callers_who_are_refused_ask_ever_less_often(came: Mapping[str, Any]) -> None:
    # Each of two callers asks after 0, 0.1, 0.3 and 0.7 s.
    assert 4 <= len(came["refused"].records) <= 8
    assert {record.error for record in came["refused"].records} == {"overloaded"}


def test_callers_who_are_refused_for_good_ask_no_more(came: Mapping[str, Any]) -> None:
    assert [record.error for record in came["for good"].records] == ["auth", "auth"]
    assert [record.error for record in came["spent"].records] == ["quota_exhausted"] * 2


@pytest.mark.parametrize(
    ("refused", "asked"),
    [
        ({3}, 40),
        ({0}, 40),  # at once, while the others wait for their first answers
        (set(range(40)), 4),  # one of each caller
        (set(range(6, 12)), 40),
    ],
)
def test_one_refusal_for_good_among_answers_ends_no_caller(refused: set[int], asked: int) -> None:
    under_way: list[int] = []
    now = 0

    async def one(number: int, _: int) -> float | None:
        nonlocal now
        now += 1
        under_way.append(now)
        await asyncio.sleep(0 if number in refused else 0.02)
        now -= 1
        return math.inf if number in refused else None

    cell = job(Load("closed", 4), requests=40)
    asyncio.run(closed_loop(cell, perf_counter_ns(), one))
    assert len(under_way) == asked
    assert max(under_way[-16:]) == 4  # all callers still ask


def test_callers_who_are_told_when_to_come_back_do(came: Mapping[str, Any]) -> None:
    first, second = sorted(record.sent_ns for record in came["told"].records)
    assert 400_000_000 <= second - first < 1_000_000_000


def test_an_open_loop_never_waits_for_answers(came: Mapping[str, Any]) -> None:
    # The provider answers nothing for 0.8 s: by then all 30 requests of 0.5 s are there.
    records = came["open"].records
    assert len(records) == 30
    assert most_open(came["open"].asked) == 30
    begin = min(record.scheduled_ns for record in records)
    for record in records:
        assert abs(record.scheduled_ns - begin - record.number * 1e9 / 60) <= 1
        assert 0 <= record.sent_ns - record.scheduled_ns < 200_000_000


def test_connections_are_warm_and_reused(came: Mapping[str, Any]) -> None:
    warm = came["warm"]
    assert all(record.reused for record in warm.records)
    assert sorted(record.number for record in warm.records) == list(range(8))
    # Two callers, two connections, each asked once before.
    assert len({asked.connection for asked in [*warm.asked, *warm.warmed]}) == 2
    assert sorted(asked.say["number"] for asked in warm.warmed) == [-2, -1]


def test_what_is_not_warm_says_so(came: Mapping[str, Any]) -> None:
    assert [record.reused for record in came["cold"].records] == [False, True]


def test_workers_share_a_load(came: Mapping[str, Any]) -> None:
    assert sorted(record.number for record in came["shared"].records) == list(range(9))
    assert len({asked.connection for asked in came["shared"].asked}) == 3
