"""Requests that wait for a token pool's leave."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mox.bench.providers.client import Cell, Member, Pooling, Target, Turn, measure
from mox.bench.providers.record import Load
from mox.errors import SpecError
from mox.providers.pool import Account, Limits
from mox.services.valkey import serving, stop

Run = Callable[..., Turn]


def pooling(target: Target, *limits: Limits, **changes: Any) -> Pooling:
    """Accounts `one`, `two`, …, each with a key of its own."""
    names = ("one", "two", "three")[: len(limits)]
    members = [
        Member(Account(name, limit, target.name), replace(target, account=name))
        for name, limit in zip(names, limits, strict=True)
    ]
    return Pooling(tuple(members), **changes)


def test_requests_go_when_the_pool_lets_them(run: Run, target: Target, prompts: Any) -> None:
    # 10 a second and 5 at once (half of the burst of 1 s); 1 of those is used to warm up.
    limits = Limits(requests_per_min=600, safety=1.0)
    turn = run(Load("closed", 12), prompts.say(n=1), requests=12, warm_up=1,
               pool=pooling(target, limits))  # fmt: skip
    assert [record.error for record in turn.records] == [None] * 12
    begin = min(record.scheduled_ns for record in turn.records)
    leased = sorted((record.leased_ns or 0) - begin for record in turn.records)
    assert leased[-1] >= 600_000_000
    for at, moment in enumerate(leased[5:]):
        assert moment >= at * 100_000_000
    for record in turn.records:
        assert record.leased_ns is not None
        assert record.sent_ns is not None
        assert record.scheduled_ns <= record.leased_ns <= record.sent_ns
    # Having waited for the pool is no lag of the client's.
    assert turn.check is not None
    assert turn.check.send_lag_p99_ms < 400


def test_accounts_are_asked_with_their_own_keys(
    run: Run, server: Any, target: Target, prompts: Any
) -> None:
    limits = Limits(requests_per_min=300)
    turn = run(Load("closed", 4), prompts.say(n=1), requests=8, warm_up=2,
               pool=pooling(target, limits, limits))  # fmt: skip
    used = Counter(record.account for record in turn.records)
    assert set(used) == {"one", "two"}
    keys = Counter(asked.head["authorization"] for asked in server.asked)
    # One of each account to warm up.
    assert keys == {f"Bearer {name}": count + 1 for name, count in used.items()}


def test_what_another_attempt_mends_is_tried_again_and_counted(
    run: Run, target: Target, prompts: Any
) -> None:
    free = Limits(unlimited=True)
    turn = run(Load("closed", 1), prompts.say(n=2, busy=1), requests=2, warm_up=0,
               pool=pooling(target, free, free))  # fmt: skip
    assert [(r.error, r.attempts, len(r.chunks)) for r in turn.records] == [(None, 2, 2)] * 2


def test_the_last_attempts_failure_is_the_requests(run: Run, target: Target, prompts: Any) -> None:
    free = Limits(unlimited=True)
    turn = run(Load("closed", 1), prompts.say(n=2, busy=9), requests=1, warm_up=0,
               pool=pooling(target, free, free, attempts=2))  # fmt: skip
    assert [(r.error, r.attempts, r.chunks) for r in turn.records] == [("overloaded", 2, ())]


def test_who_gets_no_leave_in_time_was_never_sent(run: Run, target: Target, prompts: Any) -> None:
    # 1 in 10 seconds.
    turn = run(Load("closed", 3), prompts.say(n=1), requests=3, warm_up=0,
               pool=pooling(target, Limits(requests_per_min=6), deadline_s=1.0))  # fmt: skip
    unsent = [record for record in turn.records if record.sent_ns is None]
    assert len(unsent) == 2
    assert {record.error for record in unsent} == {"timeout_total"}


def test_a_pool_in_one_process_is_not_shared_by_two(
    target: Target, prompts: Any, tmp_path: Path
) -> None:
    pool = pooling(target, Limits(unlimited=True))
    cell = Cell(target, "w", prompts.say(n=1), Load("closed", 2), 1.0, workers=2, pool=pool)
    with pytest.raises(SpecError, match="2 processes can't share a pool"):
        list(measure([cell], out=tmp_path / "r.jsonl"))


def test_a_pools_address_is_not_shown(target: Target) -> None:
    shown = repr(pooling(target, Limits(unlimited=True), url="redis://:secret-word@here/0"))
    assert "secret-word" not in shown


def test_processes_share_a_pool_in_redis(
    run: Run, target: Target, prompts: Any, tmp_path: Path
) -> None:
    # 20 a second, 10 at once; 2 of those are used to warm up, one by each process.
    limits = Limits(requests_per_min=1200, safety=1.0)
    folder = tmp_path / "valkey"
    try:
        with serving(folder) as url:
            turn = run(Load("closed", 20), prompts.say(n=1), requests=24, warm_up=2, workers=2,
                       pool=pooling(target, limits, url=url))  # fmt: skip
    finally:
        stop(folder)
    assert [record.error for record in turn.records] == [None] * 24
    leased = sorted(record.leased_ns or 0 for record in turn.records)
    for at, moment in enumerate(leased[10:]):
        assert moment - leased[0] >= (at - 1) * 50_000_000
