"""Requests that wait for a token pool's leave."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mox.bench.providers.client import Cell, Member, Pooling, Target, measure
from mox.bench.providers.client.leasing import PROGRESS_S, _unsent
from mox.bench.providers.client.messages import Raw
from mox.bench.providers.client.records import parsed, plain
from mox.bench.providers.moments import moments
from mox.bench.providers.record import Load
from mox.bench.providers.rows import About, row
from mox.errors import PoolError, SpecError
from mox.providers.pool import Account, Limits, Need, Outcome, memory_pool
from mox.services.valkey import serving, stop


def pooling(target: Target, *limits: Limits, **changes: Any) -> Pooling:
    """Accounts `one`, `two`, …, each with a key of its own."""
    names = ("one", "two", "three")[: len(limits)]
    members = [
        Member(Account(name, limit, target.name), replace(target, account=name))
        for name, limit in zip(names, limits, strict=True)
    ]
    return Pooling(tuple(members), **changes)


ABOUT = About("here", "m", "tried", {"kind": "closed", "value": 1})
FREE = Limits(unlimited=True)
CELLS: dict[str, dict[str, Any]] = {
    # 10 a second and 5 at once (half of the burst of 1 s); 1 of those is used to warm up.
    "paced": {"load": Load("closed", 12), "say": {"n": 1}, "requests": 12, "warm_up": 1,
              "pool": lambda target: pooling(target, Limits(requests_per_min=600, safety=1.0))},
    "keys": {"load": Load("closed", 4), "say": {"n": 1}, "requests": 8, "warm_up": 2,
             "pool": lambda target: pooling(target, *[Limits(requests_per_min=300)] * 2)},
    "mended": {"load": Load("closed", 1), "say": {"n": 2, "busy": 1}, "requests": 2, "warm_up": 0,
               "pool": lambda target: pooling(target, FREE, FREE)},
    "failed": {"load": Load("closed", 1), "say": {"n": 2, "busy": 9}, "requests": 1, "warm_up": 0,
               "pool": lambda target: pooling(target, FREE, FREE, attempts=2)},
    "broken": {"load": Load("closed", 1), "say": {"n": 3, "fault": "truncated"}, "requests": 1,
               "warm_up": 0, "pool": lambda target: pooling(target, FREE, FREE)},
    "broken late": {"load": Load("closed", 1), "requests": 1, "warm_up": 0,
                    "say": {"n": 3, "fault": "truncated", "ttft": PROGRESS_S + 0.1},
                    "pool": lambda target: pooling(target, FREE, FREE)},
    "no key": {"load": Load("closed", 2), "requests": 40, "warm_up": 0,
               "say": {"status": 401, "body": {"error": {"message": "no such key"}}},
               "pool": lambda target: pooling(target, FREE)},
    # 1 in 10 seconds.
    "late": {"load": Load("closed", 3), "say": {"n": 1}, "requests": 3, "warm_up": 0,
             "pool": lambda target: pooling(target, Limits(requests_per_min=6), deadline_s=1.0)},
}  # fmt: skip


@pytest.fixture(scope="module")
def came(all_at_once: Any) -> Mapping[str, Any]:
    found: Mapping[str, Any] = all_at_once(CELLS)
    assert [one.turn.failed for one in found.values()] == [None] * len(CELLS)
    return found


def test_requests_go_when_the_pool_lets_them(came: Mapping[str, Any]) -> None:
    records = came["paced"].records
    assert [record.error for record in records] == [None] * 12
    begin = min(record.scheduled_ns for record in records)
    leased = sorted(record.leased_ns - begin for record in records)
    assert leased[-1] >= 600_000_000
    for at, moment in enumerate(leased[5:]):
        assert moment >= at * 100_000_000
    for record in records:
        assert record.scheduled_ns <= record.leased_ns <= record.sent_ns
    # Having waited for the pool is no lag of the client's.
    assert came["paced"].turn.check.send_lag_p99_ms < 400


def test_accounts_are_asked_with_their_own_keys(came: Mapping[str, Any]) -> None:
    used = Counter(record.account for record in came["keys"].records)
    assert set(used) == {"one", "two"}
    asked = Counter(one.head["authorization"] for one in came["keys"].asked)
    assert asked == {f"Bearer {name}": count for name, count in used.items()}
    warmed = Counter(one.head["authorization"] for one in came["keys"].warmed)
    assert warmed == {"Bearer one": 1, "Bearer two": 1}


def test_what_was_refused_is_tried_again_and_counted(came: Mapping[str, Any]) -> None:
    records = came["mended"].records
    found = [(one.error, one.attempts, one.retried, len(one.chunks)) for one in records]
    assert found == [(None, 2, ("overloaded",), 2)] * 2
    assert row(ABOUT, [records]).document()["retried"] == {"overloaded": 2}


def test_the_pools_wait_is_its_own_and_not_that_of_refused_attempts(
    came: Mapping[str, Any],
) -> None:
    for one in came["mended"].records:
        assert 0 <= one.pool_wait_ns < one.leased_ns - one.scheduled_ns
        assert moments(one).pool_wait_ms == one.pool_wait_ns / 1e6
    longest = max(one.pool_wait_ns for one in came["paced"].records)
    assert longest >= 500_000_000  # the last of 12 has its turn 0.7 s after the first


@pytest.mark.parametrize("name", ["broken", "broken late"])
def test_what_broke_off_is_a_result_however_long_it_took(
    came: Mapping[str, Any], name: str
) -> None:
    found = [(one.error, one.attempts, one.retried) for one in came[name].records]
    assert found == [("truncated", 1, ())]
    assert len(came[name].asked) == 1  # it may be billed: asked again, it would be twice


def test_the_last_attempts_failure_is_the_requests(came: Mapping[str, Any]) -> None:
    found = [(one.error, one.attempts, one.retried, one.chunks) for one in came["failed"].records]
    assert found == [("overloaded", 2, ("overloaded",), ())]


def test_who_gets_no_leave_in_time_was_never_sent(came: Mapping[str, Any]) -> None:
    unsent = [record for record in came["late"].records if record.sent_ns is None]
    assert len(unsent) == 2
    assert {record.error for record in unsent} == {"timeout_total"}


def test_a_quota_that_is_used_up_is_told_from_a_wait_that_was_too_long() -> None:
    async def classes() -> list[str | None]:
        sick, poor = (Account(name, Limits(tokens_per_min=6000), name) for name in ("sick", "poor"))
        pool = memory_pool()
        for _ in range(5):
            lease = await pool.acquire([sick], Need(input=1))
            await pool.settle(lease, Outcome(error="overloaded"))
        await pool.acquire([sick], Need(input=1))  # tries it, and says nothing
        lease = await pool.acquire([poor], Need(input=1))
        await pool.settle(lease, Outcome(error="quota_exhausted"))
        asks = [pool.acquire([one], Need(input=1), deadline_s=0.3) for one in (sick, sick, poor)]
        found: list[str | None] = []
        for error in await asyncio.gather(*asks, return_exceptions=True):
            assert isinstance(error, PoolError)
            raw = Raw(0, 0)
            _unsent(raw, error)
            found.append(raw.failed)
        await pool.aclose()
        return found

    # The second waits behind the first for its turn.
    assert asyncio.run(classes()) == ["timeout_total", "timeout_total", "quota_exhausted"]


def test_who_is_refused_for_good_asks_no_more(came: Mapping[str, Any]) -> None:
    # One of each caller, and then the account is put aside.
    assert {one.error for one in came["no key"].records} <= {"auth", "quota_exhausted"}
    assert len(came["no key"].records) == 2


def test_a_pool_in_one_process_is_not_shared_by_two(
    target: Target, prompts: Any, tmp_path: Path
) -> None:
    pool = pooling(target, Limits(unlimited=True))
    cell = Cell(target, "w", prompts.say(n=1), Load("closed", 2), 1.0, workers=2, pool=pool)
    with pytest.raises(SpecError, match="2 processes can't share a pool"):
        list(measure([cell], out=tmp_path / "r.jsonl"))


def test_what_was_tried_again_is_kept_in_the_file(came: Mapping[str, Any]) -> None:
    (one, _) = came["mended"].records
    kept = json.loads(json.dumps({"what": "record", **plain(one)}))
    assert parsed(kept) == one
    for name in ("retried", "pool_wait_ns"):  # a file of before they were kept
        del kept[name]
    assert (parsed(kept).retried, parsed(kept).pool_wait_ns) == ((), None)


@pytest.mark.parametrize("warm_up", [0, 1])
def test_a_round_that_its_pool_refuses_says_whether_anything_was_sent(
    target: Target, prompts: Any, server: Any, tmp_path: Path, warm_up: int
) -> None:
    """One account that is stated twice, by requests and by tokens: only the first to come is known,
    and warms up."""
    one, _ = pooling(target, FREE, FREE).members
    stated = (Limits(requests_per_min=60), Limits(tokens_per_min=1000))
    pool = Pooling(tuple(replace(one, account=replace(one.account, limits=by)) for by in stated))
    cell = Cell(target, "tried", prompts.say(n=1), Load("closed", 1), None, requests=1,
                warm_up=warm_up, pool=pool)  # fmt: skip
    (turn,) = measure([cell], out=tmp_path / "r.jsonl", rounds=1)
    assert "states other limits" in str(turn.failed)
    assert (len(server.asked), turn.unsent) == (warm_up, warm_up == 0)


def test_a_pools_address_is_not_shown(target: Target) -> None:
    shown = repr(pooling(target, Limits(unlimited=True), url="redis://:secret-word@here/0"))
    assert "secret-word" not in shown


def test_processes_share_a_pool_in_redis(all_at_once: Any, tmp_path: Path) -> None:
    # 20 a second, 10 at once; 2 of those are used to warm up, one by each process.
    limits = Limits(requests_per_min=1200, safety=1.0)
    folder = tmp_path / "valkey"
    try:
        with serving(folder) as url:
            cell = {"load": Load("closed", 20), "say": {"n": 1}, "requests": 24, "warm_up": 2,
                    "workers": 2,
                    "pool": lambda target: pooling(target, limits, url=url)}  # fmt: skip
            records = all_at_once({"redis": cell})["redis"].records
    finally:
        stop(folder)
    assert [record.error for record in records] == [None] * 24
    leased = sorted(record.leased_ns for record in records)
    for at, moment in enumerate(leased[10:]):
        assert moment - leased[0] >= (at - 1) * 50_000_000
