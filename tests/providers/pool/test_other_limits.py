"""One account, of which different limits are stated: refused by name, or the book begins anew."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
import redis

from mox.errors import PoolError
from mox.providers.pool import Account, Limits, Need, Outcome, memory_pool, redis_pool
from mox.providers.pool.link import RefusedError

pytestmark = pytest.mark.timeout(60)
TOKENS = Account("org gpt", Limits(tokens_per_min=6000, safety=1.0), "p")
REQUESTS = Account("org gpt", Limits(requests_per_min=6000, safety=1.0), "p")
BOTH = Account("org gpt", Limits(tokens_per_min=6000, requests_per_min=6000, safety=1.0), "p")
"""100 a second, 50 of them at once."""
OUT = Account("out", Limits(input_per_min=6e6, output_per_min=6000, safety=1.0), "p")
OUT_TOO = Account(
    "out", Limits(requests_per_min=6000, input_per_min=6e6, output_per_min=6000, safety=1.0), "p"
)


@pytest.fixture
def name() -> str:
    return uuid.uuid4().hex


@pytest.mark.parametrize("other", [REQUESTS, BOTH])
def test_two_processes_that_state_different_limits_are_refused_and_never_go_faster(
    valkey, name: str, other: Account
) -> None:
    async def whole() -> float:
        here, there = (redis_pool(valkey.url, name=name) for _ in range(2))
        began = time.monotonic()
        for _ in range(3):
            await here.settle(await here.acquire([TOKENS], Need(input=50)), Outcome())
            with pytest.raises(PoolError, match="states other limits of org gpt") as said:
                await there.acquire([other], Need(input=50))
            assert "`name:`" in said.value.mend
        took = time.monotonic() - began
        for pool in (here, there):
            await pool.aclose()
        return took

    assert asyncio.run(whole()) >= 0.95  # 150 tokens, 50 of them at once


def test_who_came_first_is_kept_when_another_with_its_limits_leaves(valkey, name: str) -> None:
    async def whole() -> None:
        here, too, there = (redis_pool(valkey.url, name=name) for _ in range(3))
        for each in (here, too):  # the last who wrote
            await each.settle(await each.acquire([TOKENS], Need(input=1)), Outcome())
        await too.aclose()
        with pytest.raises(PoolError, match="states other limits of org gpt"):
            await there.acquire([BOTH], Need(input=1))
        await here.settle(await here.acquire([TOKENS], Need(input=1)), Outcome())
        for each in (here, there):
            await each.aclose()

    asyncio.run(whole())


def test_who_waits_for_long_is_kept(valkey, name: str, let_pass: Callable[..., Any]) -> None:
    """Nobody writes meanwhile: of 12,000 tokens the last are there in two minutes."""

    async def whole() -> None:
        here, there = (redis_pool(valkey.url, name=name) for _ in range(2))
        await here.acquire([TOKENS], Need(input=12_000))
        waits = asyncio.create_task(here.acquire([TOKENS], Need(input=50), deadline_s=600))
        await asyncio.sleep(0.1)
        await there.state([OUT])  # it works here too
        await let_pass(here._keeper, 61.0)
        for each in (here, there):
            await each._keeper._beat(each._keeper._link)
        with pytest.raises(PoolError, match="states other limits of org gpt"):
            await there.acquire([BOTH], Need(input=1))
        await let_pass(here._keeper, 60.0)
        await here._keeper._beat(here._keeper._link)
        lease = await there.acquire([BOTH], Need(input=1))  # all have begun, and none asks
        await there.settle(lease, Outcome())
        waits.cancel()
        await asyncio.gather(waits, return_exceptions=True)
        for each in (here, there):
            await each.aclose()

    asyncio.run(whole())


@pytest.mark.parametrize("why", ["aside", "held"])
def test_what_keeps_an_account_from_use_outlasts_its_limits(valkey, name: str, why: str) -> None:
    async def whole() -> None:
        old, new = (redis_pool(valkey.url, name=name) for _ in range(2))
        lease = await old.acquire([TOKENS], Need(input=1))
        held = Outcome(error="rate_limit_tokens", retry_after_s=30.0)
        await old.settle(lease, held if why == "held" else Outcome())
        if why == "aside":
            await old.put_aside(TOKENS, "its bill is open")
        await old.aclose()
        with pytest.raises(PoolError) as said:
            await new.acquire([BOTH], Need(input=1), deadline_s=10)
        assert said.value.why == why
        assert ("its bill is open" in said.value.message) == (why == "aside")
        await new.take_back(BOTH)
        await new.acquire([BOTH], Need(input=1), deadline_s=10)
        await new.aclose()

    asyncio.run(whole())


def test_one_process_that_states_different_limits_is_refused_too() -> None:
    async def whole() -> None:
        pool = memory_pool()
        await pool.acquire([TOKENS], Need(input=50))
        for other in (REQUESTS, BOTH):
            with pytest.raises(PoolError, match="other limits of org gpt"):
                await pool.acquire([other], Need(input=50))
        await pool.aclose()

    asyncio.run(whole())


def test_limits_that_were_edited_hold_when_the_process_that_had_the_old_ones_is_gone(
    valkey, name: str, let_pass: Callable[..., Any]
) -> None:
    async def whole() -> tuple[list[float], dict[str, Any]]:
        async def asks(account: Account) -> float:
            lease = await pool.acquire([account], Need(input=1, output=50), deadline_s=10)
            await pool.settle(lease, Outcome())
            return lease.waited_s

        old = redis_pool(valkey.url, name=name)
        waits = [asyncio.create_task(old.acquire([OUT_TOO], Need(output=200))) for _ in range(4)]
        await asyncio.sleep(0.1)
        old._keeper._beats.cancel()  # as if it had been killed: they wait in the book still
        pool = redis_pool(valkey.url, name=name)
        await pool.acquire([TOKENS], Need(input=1))  # no account of the other's
        with pytest.raises(PoolError, match="other limits of out"):
            await asks(OUT)
        await let_pass(pool._keeper, 11.0)  # it would have said that it works here
        await pool._keeper._beat(pool._keeper._link)
        found = [await asks(OUT), await asks(OUT)]  # a PoolWarning would be an error
        state = (await pool.state([OUT]))["out"]
        for each in waits:
            each.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
        after = (await pool.state([OUT]))["out"]["levels"]
        assert after["output"] == pytest.approx(state["levels"]["output"], abs=20)
        for each in (old, pool):
            await each.aclose()
        return found, state

    waited, state = asyncio.run(whole())
    assert max(waited) < 1.5
    assert state["waiting"] == 0


def test_what_a_full_redis_threw_away_of_a_queue_costs_its_place_and_no_outage(
    valkey, name: str
) -> None:
    async def whole() -> None:
        pool = redis_pool(valkey.url, name=name)
        await pool.acquire([OUT], Need(output=100))
        waits = asyncio.create_task(pool.acquire([OUT], Need(output=10)))
        await asyncio.sleep(0.1)
        with redis.Redis.from_url(valkey.url) as client:
            assert client.delete(f"{{{name}}}:account:out:coming") == 1
        lease = await pool.acquire([OUT], Need(output=10))  # a PoolWarning would be an error
        for each in (await waits, lease):
            await pool.settle(each, Outcome())
        await pool.aclose()

    asyncio.run(whole())


def test_a_come_back_that_is_refused_leaves_no_connection_open(valkey, name: str) -> None:
    async def whole() -> int:
        pool = redis_pool(valkey.url, name=name)
        await pool.acquire([TOKENS], Need(input=100))
        waits = asyncio.create_task(pool.acquire([TOKENS], Need(input=100)))
        await asyncio.sleep(0.1)
        with redis.Redis.from_url(valkey.url) as client:
            [key] = client.keys(f"{{{name}}}:account:*")
            client.delete(key)
            client.rpush(key, "no book")
            before = len(asyncio.all_tasks())
            for _ in range(3):
                with pytest.raises(RefusedError, match="WRONGTYPE"):
                    await pool._keeper._come_back()
            left = len(asyncio.all_tasks()) - before
            client.delete(key)
        await waits
        await pool.aclose()
        return left

    assert asyncio.run(whole()) == 0
