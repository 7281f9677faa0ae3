"""Calls over several accounts: their turn, their settlement, and further attempts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest

from mox.errors import BudgetError, PoolError, ProviderError
from mox.providers.pool import Account, Limits, memory_pool
from mox.providers.pooled import Manner, Pooled, Trip
from mox.types.providers import (
    Answer,
    Call,
    Delta,
    ErrorKind,
    Event,
    Message,
    Request,
    Timings,
    Usage,
)

ASKED = Request("m", (Message("user", "x" * 400),), max_output_tokens=100)


def failure(kind: ErrorKind, retry_after_s: float | None = None) -> ProviderError:
    return ProviderError(kind, mend="wait.", kind=kind, retry_after_s=retry_after_s)


def answer(text: str = "one two", output: int = 10) -> Answer:
    now = time.perf_counter_ns()
    usage = Usage(input_tokens=100, output_tokens=output)
    return Answer(text, usage, "stop", "m", "r", Timings(now, done=now + 10**8))


@dataclass
class Scripted:
    """A provider that does as it is told, in turn; the last one for ever."""

    acts: list[ProviderError | list[Event]]
    seconds: float = 0.0
    asked: int = 0
    at: list[float] = field(default_factory=list)

    async def stream(self, request: Request, *, timeout_s: float = 120.0) -> AsyncIterator[Event]:
        act = self.acts[min(self.asked, len(self.acts) - 1)]
        self.asked += 1
        self.at.append(time.monotonic())
        if isinstance(act, ProviderError):
            raise act
        for event in act:
            await asyncio.sleep(self.seconds)
            if isinstance(event, Exception):
                raise event
            yield event

    async def complete(self, request: Request, *, timeout_s: float = 120.0) -> Answer:
        async for event in self.stream(request, timeout_s=timeout_s):
            if isinstance(event, Answer):
                return event
        raise AssertionError

    async def aclose(self) -> None: ...


def account(name: str, **limits: float) -> Account:
    return Account(name, Limits(**(limits or {"requests_per_min": 6e5})), name)


def asks(
    providers: dict[Account, Scripted], work: Callable[[Pooled], object], **settings: object
) -> object:
    async def whole() -> object:
        pool = memory_pool()
        pooled = Pooled(providers, pool, **settings)  # type: ignore[arg-type]
        try:
            async with asyncio.timeout(20):
                return await work(pooled)  # type: ignore[misc]
        finally:
            await pooled.aclose()
            await pool.aclose()

    return asyncio.run(whole())


def test_a_stream_passes_through_as_it_arrives() -> None:
    said = [Delta("one "), Delta("two"), answer()]

    async def work(pooled: Pooled) -> list[Event]:
        return [event async for event in pooled.stream(ASKED)]

    assert asks({account("a"): Scripted([said])}, work) == said


def test_what_waiting_may_mend_is_tried_on_another_account_at_once() -> None:
    providers = {
        account("a", requests_per_min=6e6): Scripted([failure("overloaded")]),
        account("b"): Scripted([[answer()]]),
    }
    trip = Trip()

    async def work(pooled: Pooled) -> Answer:
        return await pooled.complete(ASKED, trip=trip)

    began = time.monotonic()
    asks(providers, work)
    assert (trip.account, trip.attempts, trip.errors) == ("b", 2, ["overloaded"])
    assert time.monotonic() - began < 0.2


def test_alone_it_is_tried_again_after_a_while_up_to_its_attempts() -> None:
    provider = Scripted([failure("connection")])

    async def work(pooled: Pooled) -> Answer:
        return await pooled.complete(ASKED)

    with pytest.raises(ProviderError, match="connection"):
        asks({account("a"): provider}, work, manner=Manner(attempts=3))
    assert provider.asked == 3
    first, second = (b - a for a, b in zip(provider.at, provider.at[1:], strict=False))
    assert 0.12 <= first <= 0.35  # a quarter of a second, and half of it by chance
    assert 0.25 <= second <= 0.65


def test_a_429_is_tried_again_when_it_says_and_not_before() -> None:
    provider = Scripted([failure("rate_limit_tokens", 0.6), [answer()]])
    trip = Trip()

    async def work(pooled: Pooled) -> Answer:
        return await pooled.complete(ASKED, trip=trip)

    asks({account("a"): provider}, work)
    assert provider.at[1] - provider.at[0] >= 0.6
    assert trip.waited_s >= 0.59


@pytest.mark.parametrize("kind", ["bad_request", "auth", "model_not_found", "context_length"])
def test_what_waiting_does_not_mend_is_said_at_once(kind: ErrorKind) -> None:
    providers = {account("a"): Scripted([failure(kind)]), account("b"): Scripted([failure(kind)])}

    async def work(pooled: Pooled) -> Answer:
        return await pooled.complete(ASKED)

    with pytest.raises(ProviderError, match=kind):
        asks(providers, work)
    assert sum(each.asked for each in providers.values()) == 1


def test_an_account_without_quota_is_left_for_the_others_from_then_on() -> None:
    poor = Scripted([failure("quota_exhausted")])
    rich = Scripted([[answer()]])

    async def work(pooled: Pooled) -> None:
        for _ in range(3):
            await pooled.complete(ASKED)

    asks({account("poor", requests_per_min=6e6): poor, account("rich"): rich}, work)
    assert (poor.asked, rich.asked) == (1, 3)


def test_after_a_delta_a_stream_is_not_begun_again_and_a_whole_answer_is() -> None:
    cut = [Delta("one "), failure("truncated")]
    acts: list[ProviderError | list[Event]] = [cut, [answer()]]  # type: ignore[list-item]

    async def streamed(pooled: Pooled) -> list[Event]:
        return [event async for event in pooled.stream(ASKED)]

    with pytest.raises(ProviderError, match="truncated"):
        asks({account("a", output_per_min=6e6): Scripted(acts)}, streamed)

    async def whole(pooled: Pooled) -> Answer:
        return await pooled.complete(ASKED)

    found = asks({account("a", output_per_min=6e6): Scripted(acts)}, whole)
    assert isinstance(found, Answer)


def test_the_deadline_bounds_waiting_and_attempts_together() -> None:
    async def work(pooled: Pooled) -> None:
        await pooled.complete(ASKED)
        began = time.monotonic()
        with pytest.raises(PoolError, match="would be free in"):
            await pooled.complete(ASKED, timeout_s=0.5)
        assert time.monotonic() - began < 0.2

    asks({account("a", requests_per_min=30): Scripted([[answer()]])}, work)


def test_a_stream_that_is_left_gives_back_what_it_set_aside() -> None:
    said = [Delta("one "), Delta("two"), answer()]

    async def work(pooled: Pooled) -> float:
        events = pooled.stream(ASKED)
        async for _ in events:
            break
        await events.aclose()  # type: ignore[attr-defined]
        state = await pooled._pool.state([only])
        return state["a"]["running"] + state["a"]["waiting"]

    only = account("a", output_per_min=6e6)
    assert asks({only: Scripted([said])}, work) == 0


def test_a_running_stream_tells_how_far_it_is() -> None:
    only = account("a", output_per_min=6000)  # 50 at once
    said: list[Event] = [Delta("x" * 400) for _ in range(8)]

    async def work(pooled: Pooled) -> list[float]:
        flow = []
        async for _ in pooled.stream(ASKED):
            await asyncio.sleep(0)
            flow.append((await pooled._pool.state([only]))["a"]["flow"])
        return flow

    flow = asks({only: Scripted([[*said, answer(output=800)]], seconds=0.2)}, work)
    # 100 tokens come each 0.2 s, where the account has 100 and 20 more come in that time.
    assert flow[0] == pytest.approx(100, abs=1)
    assert -300 < flow[4] < -100  # 300 or 400 tokens are told of by then
    assert flow[-1] == pytest.approx(100 + 160 - 800, abs=60)


@dataclass
class Purse:
    """A `Book` with so much left."""

    left: int
    lines: list[tuple[str, Usage | None, ErrorKind | None]] = field(default_factory=list)

    def before(self, call: Call, *, input_tokens: int, max_output_tokens: int) -> str:
        if input_tokens + max_output_tokens > self.left:
            raise BudgetError("too dear.", mend="raise the budget.")
        self.left -= input_tokens + max_output_tokens
        return call.account

    def after(self, booking: str, usage: Usage | None, *, error: ErrorKind | None = None) -> None:
        self.lines.append((booking, usage, error))


def test_each_attempt_is_booked_and_none_is_made_that_can_not_be_paid() -> None:
    provider = Scripted([failure("server"), [answer()]])
    purse = Purse(left=1_100)  # at most 432 in (a token is a byte or more) and 100 out, twice

    async def work(pooled: Pooled) -> float:
        await pooled.complete(ASKED)
        with pytest.raises(BudgetError):
            await pooled.complete(ASKED)
        state = await pooled._pool.state([only])
        return state["a"]["levels"]["requests"]

    only = account("a", requests_per_min=60 / 0.995)
    level = asks({only: provider}, work, book=purse)
    assert purse.lines == [("a", None, "server"), ("a", answer().usage, None)]
    assert provider.asked == 2
    assert level > -0.5  # the one that was not sent is free again
