"""What every token pool is held to.

class TestMine(PoolContract):
    @pytest.fixture
    def pool(self): return lambda **settings: my_pool(**settings)
"""
# ruff: noqa: S101

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from mox.errors import PoolError
from mox.providers.pool import Account, Lease, Need, Outcome, Pool
from mox.testing.pool_asking import DONE, LATE_S, Opens, anthropic, on_time, openai
from mox.testing.pool_trouble import TroubleContract


class PoolContract(TroubleContract):
    """Override `pool`: opens a pool whose books are empty, in whatever loop calls it."""

    def test_what_is_free_starts_at_once_and_what_is_not_waits_for_the_rate(
        self, run: Callable[..., Any]
    ) -> None:
        async def work(pool: Pool) -> list[float]:
            began = time.monotonic()
            times = []
            for _ in range(3):
                lease = await pool.acquire([openai()], Need(input=20, max_output=30))
                times.append(time.monotonic() - began)
                await pool.settle(lease, DONE)
            return times

        first, second, third = run(work)
        # 50 tokens are free; each later 50 take half a second at 100 a second.
        assert first < LATE_S
        assert 0.5 <= second < 0.5 + LATE_S
        assert 1.0 <= third < 1.0 + LATE_S

    def test_who_asks_first_starts_first_however_much_it_needs(
        self, run: Callable[..., Any]
    ) -> None:
        async def work(pool: Pool) -> list[int]:
            order: list[int] = []

            async def one(number: int, tokens: float) -> None:
                lease = await pool.acquire([openai()], Need(input=tokens))
                order.append(number)
                await pool.settle(lease, DONE)

            tasks = []
            for number, tokens in enumerate([50, 60, 1, 20, 1]):
                tasks.append(asyncio.create_task(one(number, tokens)))
                await asyncio.sleep(0.01)
            await asyncio.gather(*tasks)
            return order

        assert run(work) == [0, 1, 2, 3, 4]

    def test_of_several_accounts_that_which_is_free_first_is_taken(
        self, run: Callable[..., Any]
    ) -> None:
        async def work(pool: Pool) -> list[str]:
            accounts = [openai("a"), openai("b"), openai("c", tokens_per_min=12000)]
            leases = [await pool.acquire(accounts, Need(input=50)) for _ in range(4)]
            return [lease.account.name for lease in leases]

        names = run(work)
        assert sorted(names[:4]) == ["a", "b", "c", "c"]
        assert names[0] == "c"  # the most room

    def test_a_deadline_that_can_not_be_kept_is_said_at_once_and_books_nothing(
        self, run: Callable[..., Any]
    ) -> None:
        async def work(pool: Pool) -> tuple[float, float, float]:
            await pool.acquire([openai()], Need(input=150))  # 100 beyond: 1 s, and 0.5 s to fill
            began = time.monotonic()
            with pytest.raises(PoolError, match="one would be free in") as refused:
                await pool.acquire([openai()], Need(input=50), deadline_s=0.5)
            took = time.monotonic() - began
            lease = await pool.acquire([openai()], Need(input=50))
            return took, refused.value.would_wait_s or 0, lease.waited_s

        took, would_wait, waited = run(work)
        assert took < LATE_S
        assert on_time(would_wait, 1.5)
        assert on_time(waited, 1.5)

    def test_a_deadline_holds_after_booking_too_where_an_account_has_less_than_it_had(
        self, run: Callable[..., Any]
    ) -> None:
        async def work(pool: Pool) -> tuple[float, float, float]:
            first = await pool.acquire([openai()], Need(input=50))
            began = time.monotonic()
            waits = asyncio.create_task(
                pool.acquire([openai()], Need(input=50), deadline_s=1.0)  # booked for 0.5 s
            )
            await asyncio.sleep(0.1)
            held = Outcome(error="rate_limit_tokens", retry_after_s=2.0)
            await pool.settle(first, held)
            with pytest.raises(PoolError, match="one was not free by the deadline") as refused:
                await waits
            took = time.monotonic() - began
            await pool.acquire([openai()], Need(input=50))
            return took, refused.value.would_wait_s or 0, time.monotonic() - began

        took, would_wait, after = run(work)
        assert on_time(took, 1.0)
        assert on_time(would_wait, 1.6)  # 2 s from 0.1 on, and the 50 tokens' half second
        assert on_time(after, 2.6), "its booking is undone"

    def test_who_is_cancelled_while_it_waits_gives_its_place_to_those_behind(
        self, run: Callable[..., Any]
    ) -> None:
        async def work(pool: Pool) -> float:
            began = time.monotonic()
            await pool.acquire([openai()], Need(input=50))
            waits = asyncio.create_task(pool.acquire([openai()], Need(input=50)))
            await asyncio.sleep(0.1)
            waits.cancel()
            await asyncio.gather(waits, return_exceptions=True)
            await pool.acquire([openai()], Need(input=50))
            return time.monotonic() - began

        assert on_time(run(work), 0.5), "behind who left it would be 1"

    def test_a_place_in_mid_queue_that_is_given_back_is_those_behinds_and_nobodys_twice(
        self, run: Callable[..., Any]
    ) -> None:
        async def work(pool: Pool) -> tuple[list[float], list[float]]:
            account = openai(tokens_per_min=12000)  # 200 a second, 100 at once: 40 calls and 20

            def ask(count: int) -> list[asyncio.Task[Lease]]:
                need = Need(input=5)
                return [asyncio.create_task(pool.acquire([account], need)) for _ in range(count)]

            at_once, undone, behind = ask(20), ask(50), ask(45)
            await asyncio.gather(*at_once)
            await asyncio.sleep(0.05)
            for each in undone:
                each.cancel()
            await asyncio.gather(*undone, return_exceptions=True)
            began = time.monotonic()
            later = ask(45)
            first, last = await asyncio.gather(*behind), await asyncio.gather(*later)
            return [one.began_s - began for one in first], [one.began_s - began for one in last]

        first, last = run(work)
        # Who a busy machine makes late is booked anew, behind the others.
        assert sorted(first)[40] <= sorted(last)[4]
        assert on_time(min(first), 0.0), "nobody is before it any more, not for 1.25 s"
        times = first + last
        assert on_time(max(times), 90 / 40)
        for when in times:
            assert sum(when <= each < when + 1 for each in times) <= 40 + 20

    def test_who_is_cancelled_while_it_asks_leaves_nothing_booked(
        self, run: Callable[..., Any]
    ) -> None:
        async def work(pool: Pool) -> float:
            began = time.monotonic()
            await pool.acquire([openai()], Need(input=50))
            asks = [asyncio.create_task(pool.acquire([openai()], Need(input=50))) for _ in range(9)]
            await asyncio.sleep(0)
            for each in asks:
                each.cancel()
            await asyncio.gather(*asks, return_exceptions=True)
            await asyncio.sleep(0.1)
            await pool.acquire([openai()], Need(input=50))
            return time.monotonic() - began

        assert on_time(run(work), 0.5)

    def test_openai_charges_the_largest_output_and_keeps_it(self, run: Callable[..., Any]) -> None:
        async def work(pool: Pool) -> float:
            lease = await pool.acquire([openai()], Need(input=20, max_output=30))
            await pool.settle(lease, DONE)  # 10 and 10 used
            return (await pool.acquire([openai()], Need(input=50))).waited_s

        assert on_time(run(work), 0.5)

    def test_anthropic_charges_what_was_made_and_those_who_wait_move_up(
        self, run: Callable[..., Any]
    ) -> None:
        async def work(pool: Pool) -> float:
            lease = await pool.acquire([anthropic()], Need(output=250))
            waits = asyncio.create_task(pool.acquire([anthropic()], Need(output=50)))
            await asyncio.sleep(0.2)
            await pool.settle(lease, DONE)  # 240 less than set aside: full again at once
            return (await waits).waited_s

        assert on_time(run(work), 0.2)

    def test_output_beyond_what_was_set_aside_delays_those_who_wait(
        self, run: Callable[..., Any]
    ) -> None:
        async def work(pool: Pool) -> tuple[float, float]:
            waits = []
            for made in (0, 110):
                account = anthropic(f"made-{made}")
                lease = await pool.acquire([account], Need(output=100))
                waiting = asyncio.create_task(pool.acquire([account], Need(output=50)))
                await asyncio.sleep(0.1)
                await pool.progress(lease, made)
                waits.append((await waiting).waited_s)
            return waits[0], waits[1]

        as_set_aside, beyond = run(work)
        # 100 set aside, 50 of them free: half a second's rate.
        assert on_time(as_set_aside, 0.5)
        # The provider's 100 less 110 at 0.1 s, and 50 again of which the pool uses none.
        assert on_time(beyond, 0.7)

    def test_batch_leaves_room_for_who_waits_for_an_answer(self, run: Callable[..., Any]) -> None:
        async def work(pool: Pool) -> float:
            async def batch() -> Lease:
                return await pool.acquire([openai()], Need(input=50), priority="batch")

            many = [asyncio.create_task(batch()) for _ in range(20)]  # 10 s of the rate
            await asyncio.sleep(0.3)
            lease = await pool.acquire([openai()], Need(input=50))
            for each in many:
                each.cancel()
            await asyncio.gather(*many, return_exceptions=True)
            return lease.waited_s

        assert run(work) <= 2.5 + 0.5 + LATE_S  # two seconds ahead, the last one, and its own

    def test_behind_others_in_a_queue_a_deadline_holds_and_other_accounts_do_not_wait(
        self, run: Callable[..., Any]
    ) -> None:
        async def work(pool: Pool) -> tuple[float, float]:
            async def batch(account: Account, deadline_s: float = 60) -> Lease:
                need = Need(input=50)
                return await pool.acquire([account], need, deadline_s=deadline_s, priority="batch")

            many = [asyncio.create_task(batch(openai())) for _ in range(20)]  # 10 s of the rate
            await asyncio.sleep(0.1)
            idle = await batch(openai("idle"))
            began = time.monotonic()
            with pytest.raises(PoolError, match="one had no turn for it by the deadline"):
                await batch(openai(), 0.5)
            took = time.monotonic() - began
            for each in many:
                each.cancel()
            await asyncio.gather(*many, return_exceptions=True)
            return idle.waited_s, took

        idle, took = run(work)
        assert idle < LATE_S
        assert on_time(took, 0.5)

    def test_tenants_share_alike_however_many_callers_each_has(
        self, run: Callable[..., Any]
    ) -> None:
        async def work(pool: Pool) -> dict[str, int]:
            got = {"many": 0, "few": 0}

            async def caller(tenant: str) -> None:
                while True:
                    lease = await pool.acquire(
                        [openai(tokens_per_min=60000)], Need(input=50), tenant=tenant
                    )
                    got[tenant] += 1
                    await asyncio.sleep(0.05)
                    await pool.settle(lease, DONE)

            tasks = [asyncio.create_task(caller(each)) for each in ["many"] * 24 + ["few"] * 6]
            await asyncio.sleep(4)
            for each in tasks:
                each.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            return got

        got = run(work)
        assert sum(got.values()) >= 0.85 * 20 * 4  # none of the rate is wasted
        assert got["few"] >= 0.35 * sum(got.values())

    def test_the_pool_closes_under_those_who_wait(self, pool: Opens) -> None:
        async def work() -> None:
            opened = pool()
            await opened.acquire([openai()], Need(input=500))
            waits = [asyncio.create_task(opened.acquire([openai()], Need(input=50)))]
            # These may not book yet: two seconds ahead are theirs.
            later = opened.acquire([openai()], Need(input=50), priority="batch")
            waits.append(asyncio.create_task(later))
            await asyncio.sleep(0.05)
            began = time.monotonic()
            await opened.aclose()
            for each in waits:
                with pytest.raises(PoolError, match="closed"):
                    await each
            assert time.monotonic() - began < LATE_S

        asyncio.run(work())
