"""What every token pool is held to where a provider refuses, fails, or has less than was stated."""
# ruff: noqa: S101

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from mox.errors import PoolError
from mox.providers.pool import Account, Need, Outcome, Pool
from mox.testing.pool_asking import DONE, LATE_S, AskingContract, on_time, openai
from mox.types.providers import Standing, Usage


class TroubleContract(AskingContract):
    """Of refusals, exhausted quotas, providers that fail, and headers that say less."""

    def test_a_429_stops_its_account_for_all_and_no_burst_follows(
        self, run: Callable[..., Any]
    ) -> None:
        async def work(pool: Pool) -> list[float]:
            account = openai()
            lease = await pool.acquire([account], Need(input=10))
            began = time.monotonic()
            refused = Outcome(error="rate_limit_tokens", retry_after_s=0.5)
            await pool.settle(lease, refused)
            times = []
            for _ in range(3):
                await pool.acquire([account], Need(input=25))
                times.append(time.monotonic() - began)
            return times

        first, second, third = run(work)
        assert 0.5 <= first < 0.5 + 0.25 + LATE_S
        assert on_time(second - first, 0.25)
        assert on_time(third - second, 0.25)

    def test_an_account_is_left_alone_as_long_as_its_provider_asks(
        self, run: Callable[..., Any]
    ) -> None:
        async def work(pool: Pool) -> float:
            lease = await pool.acquire([openai()], Need(input=10))
            await pool.settle(lease, Outcome(error="rate_limit_tokens", retry_after_s=3600))
            with pytest.raises(PoolError, match="one would be free in") as refused:
                await pool.acquire([openai()], Need(input=10))
            return refused.value.would_wait_s or 0

        assert run(work) == pytest.approx(3600, abs=5)

    def test_an_account_that_was_asked_to_wait_for_ever_says_so_and_can_be_taken_back(
        self, run: Callable[..., Any]
    ) -> None:
        async def work(pool: Pool) -> float:
            lease = await pool.acquire([openai()], Need(input=10))
            # A point in time where seconds are meant.
            await pool.settle(
                lease, Outcome(error="rate_limit_tokens", retry_after_s=1_764_180_000.0)
            )
            with pytest.raises(PoolError, match="as its provider asked") as refused:
                await pool.acquire([openai()], Need(input=10))
            assert refused.value.why == "held"
            assert "take_back" in refused.value.mend
            await pool.take_back(openai())
            return (await pool.acquire([openai()], Need(input=10), deadline_s=5)).waited_s

        assert on_time(run(work), 0.1)  # nothing was left at the 429; 10 of 100 a second

    def test_an_account_without_quota_is_put_aside_and_can_be_taken_back(
        self, run: Callable[..., Any]
    ) -> None:
        async def work(pool: Pool) -> str:
            poor, rich = openai("poor", tokens_per_min=60000), openai("rich")
            lease = await pool.acquire([poor, rich], Need(input=10))
            assert lease.account is poor
            await pool.settle(lease, Outcome(error="quota_exhausted"))
            assert (await pool.acquire([poor, rich], Need(input=10))).account is rich
            with pytest.raises(PoolError, match="poor: its quota is used up") as refused:
                await pool.acquire([poor], Need(input=10))
            assert refused.value.why == "aside"
            await pool.put_aside(rich, "it rains")
            with pytest.raises(PoolError, match="rich: it rains"):
                await pool.acquire([rich], Need(input=10))
            assert (await pool.state([rich]))["rich"]["why"] == "it rains"
            await pool.take_back(poor)
            return (await pool.acquire([poor, rich], Need(input=10))).account.name

        assert run(work) == "poor"

    def test_a_provider_that_fails_is_left_alone_then_tried_by_one_call(
        self, run: Callable[..., Any]
    ) -> None:
        async def work(pool: Pool) -> tuple[str, float, list[float]]:
            sick, well = openai("sick"), Account("well", openai().limits, "other")
            for _ in range(5):
                lease = await pool.acquire([sick], Need(input=1))
                await pool.settle(lease, Outcome(error="overloaded"))
            other = (await pool.acquire([sick, well], Need(input=1))).account.name
            probe = await pool.acquire([sick], Need(input=1))
            behind = [
                asyncio.create_task(pool.acquire([sick], Need(input=1), deadline_s=5))
                for _ in range(3)
            ]
            await asyncio.sleep(0.3)
            assert not any(each.done() for each in behind)
            settled = time.monotonic()
            await pool.settle(probe, DONE)
            later = await asyncio.gather(*behind, pool.acquire([sick], Need(input=1)))
            return other, probe.waited_s, [one.began_s - settled for one in later]

        other, waited, after = run(work)
        assert other == "well"
        assert on_time(waited, 1.0)  # closed for a second
        assert max(after) <= 0.5 + LATE_S

    def test_a_provider_that_fails_stops_what_is_booked_on_its_other_accounts_too(
        self, run: Callable[..., Any]
    ) -> None:
        async def work(pool: Pool) -> list[float]:
            one, two = openai("one"), openai("two")

            async def call() -> float:
                lease = await pool.acquire([two], Need(input=10))
                await pool.settle(lease, DONE)
                return lease.began_s

            leases = [await pool.acquire([one], Need(input=1)) for _ in range(5)]
            await pool.acquire([two], Need(input=50))
            waits = [asyncio.create_task(call()) for _ in range(3)]
            await asyncio.sleep(0.05)
            for lease in leases:
                await pool.settle(lease, Outcome(error="overloaded"))
            closed = time.monotonic()
            return [began - closed for began in await asyncio.gather(*waits)]

        assert min(run(work)) >= 0.9  # closed for a second; their turns were 0.1 to 0.3 s off

    def test_a_provider_that_is_tried_keeps_a_deadline_and_no_other_provider_waiting(
        self, run: Callable[..., Any]
    ) -> None:
        async def work(pool: Pool) -> tuple[float, float]:
            sick, well = openai("sick"), Account("well", openai().limits, "other")
            for _ in range(5):
                lease = await pool.acquire([sick], Need(input=1))
                await pool.settle(lease, Outcome(error="overloaded"))
            await pool.acquire([sick], Need(input=1))  # tries it, and says nothing
            began = time.monotonic()

            async def refused() -> float:
                with pytest.raises(PoolError, match="sick") as said:
                    await pool.acquire([sick], Need(input=1), deadline_s=0.5)
                assert said.value.why in ("tried", "turn")
                assert "0.00 s away" not in said.value.message
                return time.monotonic() - began

            waits = [asyncio.create_task(refused()) for _ in range(3)]
            await asyncio.sleep(0.1)
            other = await pool.acquire([well], Need(input=1))
            return other.waited_s, max(await asyncio.gather(*waits))

        other, took = run(work)
        assert other < LATE_S
        assert on_time(took, 0.5)

    def test_headers_that_say_less_are_followed(self, run: Callable[..., Any]) -> None:
        async def work(pool: Pool) -> tuple[float, float]:
            account = openai(burst_s=4.0)  # 200 at once
            lease = await pool.acquire([account], Need(input=20))
            # Somebody else used the account: half a cap should be left beside the pool's level.
            standing = Standing(limit={"tokens": 3000}, remaining={"tokens": 30})
            await pool.settle(lease, Outcome(usage=Usage(20, 0), standing=standing))
            state = (await pool.state([account]))["one"]
            return state["levels"]["tokens"], state["rates"]["tokens"]

        level, rate = run(work)
        # Half the limit: 50 a second, 100 at once. 30 and a token's rounding less half of 100.
        assert level == pytest.approx(-19, abs=10)
        assert rate == pytest.approx(50, rel=0.05)
