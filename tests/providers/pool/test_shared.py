"""What only books in Redis can lose: their server, a worker, the time; and what they cost."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
import uuid
import warnings

import pytest
import redis

from mox.errors import EngineError, PoolWarning
from mox.providers.pool import Account, Lease, Limits, Need, Outcome, Pool, redis_pool
from mox.testing.pool_asking import anthropic, on_time
from mox.types.providers import Usage

pytestmark = pytest.mark.timeout(90)
DONE = Outcome(usage=Usage(1, output_tokens=1))
ONE = Account("the first one", Limits(tokens_per_min=6000, safety=1.0))
"""100 tokens a second, 50 of them at once."""


@pytest.fixture
def name() -> str:
    return uuid.uuid4().hex


async def asks_on(pool: Pool, until: float, tokens: float = 10) -> list[float]:
    """When each lease came, of one who asks again and again."""
    found = []
    while time.monotonic() < until:
        lease = await pool.acquire([ONE], Need(input=tokens))
        found.append(time.monotonic())
        await pool.settle(lease, DONE)
    return found


WORKER = """
import asyncio, sys
from mox.providers.pool import Account, Limits, Need, redis_pool
async def main():
    pool = redis_pool(sys.argv[1], name=sys.argv[2])
    account = Account("the first one", Limits(tokens_per_min=6000, safety=1.0))
    await pool.acquire([account], Need(input=1))
    tasks = [asyncio.create_task(pool.acquire([account], Need(input=50))) for _ in range(6)]
    await asyncio.sleep(0.1)
    print("booked", flush=True)
    await asyncio.gather(*tasks)
asyncio.run(main())
"""


def test_a_killed_workers_bookings_cost_their_time_and_no_more(valkey, name: str) -> None:
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, valkey.url, name], stdout=subprocess.PIPE, text=True
    )
    assert worker.stdout
    assert worker.stdout.readline() == "booked\n"
    worker.send_signal(signal.SIGKILL)
    worker.communicate()
    killed = time.monotonic()

    async def whole() -> list[float]:
        pool = redis_pool(valkey.url, name=name)
        try:
            return await asks_on(pool, killed + 5)
        finally:
            await pool.aclose()

    times = [at - killed for at in asyncio.run(whole())]
    # 301 tokens were booked, 50 of them free: 2.5 s of the rate are lost, and the rate is back.
    assert times[0] <= 2.5 + 0.5
    after = [at for at in times if at > 3.0]
    assert len(after) >= 0.9 * 10 * 2
    for at, when in enumerate(times):
        assert 10 * (at + 1) <= 100 * when + 50 + 1


def test_without_redis_each_goes_on_with_its_share_and_comes_back_by_itself(
    own_valkey, name: str
) -> None:
    async def whole() -> tuple[list[float], list[float], float]:
        pools = [redis_pool(own_valkey.url, name=name) for _ in range(2)]
        try:
            for pool in pools:
                await pool.acquire([ONE], Need(input=1))
            await asyncio.sleep(3.2)  # each has said that it is here, and heard of the other
            own_valkey.stop()
            gone = time.monotonic()
            found = await asyncio.gather(*(asks_on(pool, gone + 3) for pool in pools))
            own_valkey.start()
            back = time.monotonic()
            with redis.Redis.from_url(own_valkey.url) as client:
                while not any(
                    said["calls"] > 4
                    for called, said in client.info("commandstats").items()
                    if "evalsha" in called
                ):
                    await asyncio.gather(*(asks_on(pool, 0) for pool in pools))
                    await asyncio.sleep(0.1)
                    assert time.monotonic() < back + 10
            times = await asyncio.gather(*(asks_on(pool, time.monotonic() + 2) for pool in pools))
            return *([at - gone for at in each] for each in found), sum(map(len, times)) / 2
        finally:
            for pool in pools:
                await pool.aclose()

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        first, second, after = asyncio.run(whole())
    about = [str(each.message) for each in said if each.category is PoolWarning]
    assert len(about) == 2, "each says it once"
    assert all("goes on with 1/2 of each limit" in each for each in about)
    for times in (first, second):
        # Half of 100 tokens a second in tens, and what was free at once.
        assert 0.8 * 5 * 3 <= len(times) <= 5 * 3 + 5 + 1
    assert 0.8 * 10 <= after <= 10 + 3, "together they have the whole rate again"


def test_a_redis_that_hangs_is_away(own_valkey, name: str) -> None:
    async def whole() -> float:
        pool = redis_pool(own_valkey.url, name=name)
        await pool.acquire([ONE], Need(input=1))
        own_valkey.process.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        try:
            with pytest.warns(PoolWarning, match="no answer within 2 s"):
                await pool.acquire([ONE], Need(input=1))
            return time.monotonic() - began
        finally:
            own_valkey.process.send_signal(signal.SIGCONT)
            await pool.aclose()

    assert asyncio.run(whole()) < 4


def test_who_waits_in_another_process_moves_up_at_once_when_much_comes_back(
    valkey, name: str
) -> None:
    account = anthropic()  # 100 tokens of output a second

    async def whole() -> float:
        here, there = (redis_pool(valkey.url, name=name) for _ in range(2))
        lease = await here.acquire([account], Need(output=500))
        waits = asyncio.create_task(there.acquire([account], Need(output=50)))
        await asyncio.sleep(0.2)
        await here.settle(lease, Outcome(usage=Usage(1, output_tokens=10)))
        waited = (await waits).waited_s
        for pool in (here, there):
            await pool.aclose()
        return waited

    assert on_time(asyncio.run(whole()), 0.2)


def test_a_loop_that_somebody_blocks_is_not_taken_for_a_redis_that_is_away(
    valkey, name: str
) -> None:
    async def whole() -> None:
        pool = redis_pool(valkey.url, name=name)
        await pool.acquire([ONE], Need(input=1))
        asks = asyncio.create_task(pool.acquire([ONE], Need(input=1)))
        await asyncio.sleep(0)
        time.sleep(2.2)  # longer than Redis has for an answer
        await asks
        await asyncio.sleep(0.1)
        await pool.aclose()

    asyncio.run(whole())  # a PoolWarning would be an error


def test_a_subscription_that_is_lost_is_taken_out_again(
    valkey, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mox.providers.pool.redis.BEAT_S", 0.2)

    async def whole() -> float:
        here, there = (redis_pool(valkey.url, name=name) for _ in range(2))
        lease = await here.acquire([ONE], Need(input=50))
        await there.acquire([ONE], Need(input=1))
        with redis.Redis.from_url(valkey.url) as client:
            assert client.execute_command("CLIENT", "KILL", "TYPE", "pubsub") == 2
            until = time.monotonic() + 5
            while len(client.client_list("pubsub")) < 2 and time.monotonic() < until:
                await asyncio.sleep(0.02)
        await there.acquire([ONE], Need(input=70))  # the next 50 are there in 0.7 s
        waits = asyncio.create_task(there.acquire([ONE], Need(input=50)))
        await asyncio.sleep(0.1)
        began = time.monotonic()
        await here.settle(lease, Outcome(error="rate_limit_tokens", retry_after_s=1.0))
        await waits
        took = time.monotonic() - began
        for pool in (here, there):
            await pool.aclose()
        return took

    assert asyncio.run(whole()) >= 1.0


def test_who_is_cancelled_when_redis_has_answered_leaves_nothing_booked(valkey, name: str) -> None:
    async def whole() -> float:
        pool = redis_pool(valkey.url, name=name)
        await pool.acquire([ONE], Need(input=1))
        asks = asyncio.create_task(pool.acquire([ONE], Need(input=300)))
        await asyncio.sleep(0)
        link = pool._keeper._link
        answer = link._waiting[-1][0]
        while not answer.done():
            await asyncio.sleep(0)
        assert not asks.done()
        asks.cancel()
        await asyncio.gather(asks, return_exceptions=True)
        await asyncio.sleep(0.1)
        level: float = (await pool.state([ONE]))[ONE.name]["levels"]["tokens"]
        await pool.aclose()
        return level

    assert asyncio.run(whole()) >= 49 - 1


def test_a_redis_that_refuses_the_books_is_not_said_to_be_away_and_nothing_is_left_open(
    valkey, name: str
) -> None:
    with redis.Redis.from_url(valkey.url) as client:
        client.execute_command("ACL", "SETUSER", "weak", "on", ">secret", "~*", "&*", "+@all",
                               "-@scripting")  # fmt: skip

    async def whole() -> int:
        pool = redis_pool(valkey.url.replace("unix://", "unix://weak:secret@"), name=name)
        before = len(asyncio.all_tasks())
        with pytest.raises(EngineError, match=r"refuses the pool's books \(.*permission") as said:
            await pool.acquire([ONE], Need(input=1))
        assert "secret" not in str(said.value)
        left = len(asyncio.all_tasks()) - before
        await pool.aclose()
        return left

    assert asyncio.run(whole()) == 0


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis://:secret@127.0.0.1:1/0", r"no Redis answers at redis://127.0.0.1:1/0"),
        # It ends the host too early: redis-py's parser stumbles over it, and would repeat it.
        ("redis://:secret/abc=@127.0.0.1:1/0", r"at redis://… .*percent-encode its password"),
    ],
)
def test_no_redis_at_the_start_is_said_without_its_password(url: str, said: str) -> None:
    async def whole() -> None:
        pool = redis_pool(url)
        try:
            await pool.acquire([ONE], Need(input=1))
        finally:
            await pool.aclose()

    with pytest.raises(EngineError, match=said) as raised:
        asyncio.run(whole())
    assert "secret" not in str(raised.value)


JUMP = """
local room = cmsgpack.unpack(redis.call('GET', KEYS[1]))
room.shift, room.last = room.shift + ARGV[1], room.last + ARGV[2]
redis.call('SET', KEYS[1], cmsgpack.pack(room))
"""


@pytest.mark.parametrize("hours", [1, -1])
def test_a_clock_that_jumps_neither_fills_the_accounts_nor_stops_them(
    valkey, name: str, hours: int
) -> None:
    async def whole() -> tuple[float, float]:
        pool = redis_pool(valkey.url, name=name)
        await pool.acquire([ONE], Need(input=150))  # 1 s beyond what is free
        with redis.Redis.from_url(valkey.url) as client:
            # As the script sees it, its clock jumps: forward, all that it noted lies far back;
            # backward, far ahead.
            room = f"{{{name}}}:room"
            forward = (3600, -3600) if hours > 0 else (-3600, 3600)
            client.eval(JUMP, 1, room, *forward)
        first = await pool.acquire([ONE], Need(input=50))
        second = await pool.acquire([ONE], Need(input=50))
        await pool.aclose()
        return first.waited_s, second.waited_s

    first, second = asyncio.run(whole())
    assert on_time(first, 1.5)
    assert on_time(second, 0.5)


def test_a_clock_that_jumps_back_holds_nobody_for_longer(valkey, name: str) -> None:
    async def whole() -> float:
        pool = redis_pool(valkey.url, name=name)
        lease = await pool.acquire([ONE], Need(input=1))
        await pool.settle(lease, Outcome(error="rate_limit_tokens", retry_after_s=1.0))
        with redis.Redis.from_url(valkey.url) as client:
            client.eval(JUMP, 1, f"{{{name}}}:room", -3600, 3600)
        waited = (await pool.acquire([ONE], Need(input=1), deadline_s=10)).waited_s
        await pool.aclose()
        return waited

    assert on_time(asyncio.run(whole()), 1.0)


def test_who_waits_in_another_process_hears_of_a_429_at_once(valkey, name: str) -> None:
    async def whole() -> float:
        here, there = (redis_pool(valkey.url, name=name) for _ in range(2))
        lease = await here.acquire([ONE], Need(input=100))
        waits = asyncio.create_task(there.acquire([ONE], Need(input=50)))
        await asyncio.sleep(0.2)
        began = time.monotonic()
        await here.settle(lease, Outcome(error="rate_limit_tokens", retry_after_s=2.0))
        await waits
        took = time.monotonic() - began
        for pool in (here, there):
            await pool.aclose()
        return took

    assert asyncio.run(whole()) >= 2.0


@pytest.mark.parametrize(
    ("until_s", "kept_s"), [(None, -1), (3 * 86400.0, 3 * 86400), (9.0, 86400)]
)
def test_who_is_put_aside_is_so_for_as_long_as_was_said(
    valkey, name: str, until_s: float | None, kept_s: int
) -> None:
    async def whole() -> float:
        pool = redis_pool(valkey.url, name=name)
        lease = await pool.acquire([ONE], Need(input=1))
        await pool.put_aside(ONE, "it rains", until_s)
        await pool.settle(lease, DONE)
        with redis.Redis.from_url(valkey.url) as client:
            [key] = client.keys(f"{{{name}}}:account:*")
            kept: int = client.ttl(key)  # -1: for ever
        await pool.aclose()
        return kept

    assert asyncio.run(whole()) == pytest.approx(kept_s, abs=2)


def test_an_acquire_and_a_settle_are_two_calls(valkey, name: str) -> None:
    async def whole() -> float:
        pool = redis_pool(valkey.url, name=name)
        wide = Account("wide", Limits(requests_per_min=6e7, tokens_per_min=6e9))
        accounts = [wide, Account("other", wide.limits), ONE]

        async def cycle() -> None:
            lease: Lease = await pool.acquire(accounts, Need(input=1))
            await pool.settle(lease, DONE)

        await cycle()
        with redis.Redis.from_url(valkey.url) as client:
            before = client.info("commandstats")["cmdstat_evalsha"]["calls"]
            await asyncio.gather(*(cycle() for _ in range(100)))
            after: int = client.info("commandstats")["cmdstat_evalsha"]["calls"]
        await pool.aclose()
        return after - before

    assert 200 <= asyncio.run(whole()) <= 202  # and a beat may fall in between
