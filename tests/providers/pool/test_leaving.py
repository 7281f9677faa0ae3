"""Who leaves while others wait: those in other processes hear of it, and books that don't have its
place keep nothing of it."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from mox.errors import PoolWarning
from mox.providers.pool import Account, Limits, Need, redis_pool
from mox.testing.pool_asking import on_time

pytestmark = pytest.mark.timeout(60)
ONE = Account("one", Limits(tokens_per_min=6000, safety=1.0), "p")
"""100 tokens a second, 50 of them at once."""


@pytest.fixture
def name() -> str:
    return uuid.uuid4().hex


def test_who_waits_in_another_process_moves_up_at_once_where_the_first_of_all_leaves(
    valkey, name: str
) -> None:
    async def whole() -> list[float]:
        here, there = (redis_pool(valkey.url, name=name) for _ in range(2))
        await there.acquire([ONE], Need(input=1))
        empty = time.monotonic()
        await here.acquire([ONE], Need(input=49))
        first = asyncio.create_task(here.acquire([ONE], Need(input=300)))  # to start in 0.5 s
        await asyncio.sleep(0.05)
        behind = [asyncio.create_task(there.acquire([ONE], Need(input=50))) for _ in range(3)]
        await asyncio.sleep(0.05)
        first.cancel()  # what is granted lies within its place by now
        began = [(await each).began_s - empty for each in behind]
        for pool in (here, there):
            await pool.aclose()
        return began

    began = asyncio.run(whole())
    # As if it had never been there: 50 of 100 a second each, and not all when somebody asks next.
    assert all(on_time(took, when) for took, when in zip(began, (0.5, 1.0, 1.5), strict=True)), (
        began
    )


def test_who_is_cancelled_as_redis_goes_leaves_its_process_its_share(
    own_valkey: Any, name: str, let_pass: Callable[..., Any]
) -> None:
    async def whole() -> float:
        pool = redis_pool(own_valkey.url, name=name)
        await pool.acquire([ONE], Need(input=20_000))  # all that was used before
        await let_pass(pool._keeper, 300.0)
        await pool.acquire([ONE], Need(input=150))
        waits = asyncio.create_task(pool.acquire([ONE], Need(input=60)))
        await asyncio.sleep(0.1)
        own_valkey.stop()
        waits.cancel()
        with pytest.warns(PoolWarning, match="is away"):
            await asyncio.gather(waits, return_exceptions=True)  # nobody else noticed before
        lease = await pool.acquire([ONE], Need(input=1), deadline_s=5)
        await pool.aclose()
        return lease.waited_s

    # By hand: the 60 that waited are still taken off, and 1 comes after them.
    assert on_time(asyncio.run(whole()), 0.61)
