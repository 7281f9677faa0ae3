"""Requests that wait for a token pool's leave: the pool says when, on which account, and whether
again; what the network brings is kept as without one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextvars import ContextVar
from time import perf_counter_ns
from typing import TYPE_CHECKING

from mox.bench.providers.client import wires
from mox.bench.providers.client.asking import Report, Way, asked, told_to_wait_s, warm_numbers
from mox.bench.providers.client.jobs import Job, Pooling, Target
from mox.bench.providers.client.messages import Raw
from mox.bench.providers.client.reading import ended_ns, ending
from mox.errors import PoolError, ProviderError
from mox.types.providers import Answer, Delta, Event, Request, Timings

if TYPE_CHECKING:
    from mox.bench.providers.client.connection import Connection
    from mox.providers.pool import Account, Pool
    from mox.providers.pooled import Pooled

PROGRESS_S = 0.5
CHARACTERS = "0123"
"""Stands for a token, to the pool: while an answer runs nobody reads what it says."""

_under_way: ContextVar[Raw] = ContextVar("_under_way")
"""Where the attempt that this task makes is to be kept."""


class Leaser:
    """One process' requests during one round; as `Asker`, through a pool.

    Raises:
        MoxError: as `Way`; or the pool can't be opened.
    """

    def __init__(self, job: Job, pooling: Pooling, report: Report) -> None:
        from mox.providers.pooled import Manner, Pooled

        self._job, self._report, self._pooling = job, report, pooling
        timeouts, target = job.cell.timeouts, job.cell.target
        self._bare = {one.account: Bare(Way(one.target, timeouts)) for one in pooling.members}
        self._pool = _opened(pooling)
        manner = Manner(
            attempts=pooling.attempts, purpose="bench", simulated=target.simulated,
            only_refused=True,  # what fails otherwise is a result, and may be billed
        )  # fmt: skip
        self._pooled = Pooled(self._bare, self._pool, manner=manner)
        self._ready: dict[int, Request] = {}

    def prepare(self, numbers: Iterable[int]) -> None:
        """Make the requests whose time will be dear."""
        self._ready = {number: asked(self._job, number) for number in numbers}

    async def warm_up(self, connections: int) -> None:
        """As `Asker.warm_up`, each account its share of so many connections."""
        numbers = warm_numbers(self._job, connections)
        for at, (account, bare) in enumerate(self._bare.items()):
            own = numbers[at :: len(self._bare)]
            kept: list[Connection] = []
            for group in (own[:1], own[1:]):
                await asyncio.gather(*(self._warm(account, number) for number in group))
                kept += bare.way.set_aside()
            bare.way.take_back(kept)

    async def _warm(self, account: Account, number: int) -> None:
        """One request on one account, with the pool's leave: it counts against its limits."""
        from mox.providers.pooled import Manner, Pooled

        manner = Manner(attempts=1, purpose="bench")
        alone = Pooled({account: self._bare[account]}, self._pool, manner=manner)
        await self._run(alone, Raw(number, perf_counter_ns()), asked(self._job, number))

    async def one(self, number: int, scheduled_ns: int) -> float | None:
        """One request, from its schedule to its report; as `loops.One`."""
        raw = Raw(number, scheduled_ns)
        request = self._ready.pop(number, None) or asked(self._job, number)
        await self._run(self._pooled, raw, request)
        self._report(raw)
        return told_to_wait_s(raw, self._job.cell.target)

    async def _run(self, pooled: Pooled, raw: Raw, request: Request) -> None:
        from mox.providers.pooled import Trip

        trip = Trip()
        _under_way.set(raw)
        try:
            async for _ in pooled.stream(request, timeout_s=self._pooling.deadline_s, trip=trip):
                pass
        except ProviderError:
            del trip.errors[trip.attempts - 1 :]  # the last stands in `raw`, and is read there
        except PoolError as error:
            _unsent(raw, error)
        raw.attempts, raw.account = max(1, trip.attempts), trip.account or None
        raw.retried, raw.pool_wait = tuple(trip.errors), round(1e9 * trip.waited_s)

    @property
    def sent(self) -> bool:
        """Whether any request may have been sent."""
        return any(bare.begun for bare in self._bare.values())

    async def close(self) -> None:
        """Close all connections, and leave the pool."""
        await self._pooled.aclose()
        await self._pool.aclose()


class Bare:
    """One account's way, as a `mox.types.providers.Provider` that reads no more than it must."""

    def __init__(self, way: Way) -> None:
        self.way = way
        self.begun = False
        """Whether an attempt was."""

    async def stream(
        self, request: Request, *, timeout_s: float = 120.0
    ) -> AsyncGenerator[Event, None]:
        """One attempt, kept where this task's attempt is. Its Deltas tell only how far it is."""
        self.begun, raw = True, _under_way.get()
        _clear(raw)
        raw.leased = perf_counter_ns()
        body = wires.body(self.way.target, request)
        asking = asyncio.ensure_future(self.way.ask(raw, body))
        told = 0
        try:
            while not (await asyncio.wait({asking}, timeout=PROGRESS_S))[0]:
                came = 0 if raw.status is None or raw.status >= 300 else len(raw.parts)
                if came > told:
                    yield Delta(CHARACTERS * (came - told), at=perf_counter_ns())
                    told = came
            asking.result()
        finally:
            asking.cancel()
        yield _answer(raw, self.way.target)

    async def complete(self, request: Request, *, timeout_s: float = 120.0) -> Answer:
        """As `stream`."""
        async for event in self.stream(request, timeout_s=timeout_s):
            if isinstance(event, Answer):
                return event
        raise AssertionError  # a stream ends with an Answer, or raises

    async def aclose(self) -> None:
        """Close its connections."""
        self.way.close()


def _opened(pooling: Pooling) -> Pool:
    from mox.providers.pool import memory_pool, redis_pool

    return memory_pool() if pooling.url is None else redis_pool(pooling.url)


def _clear(raw: Raw) -> None:
    """Forget an attempt that failed: the last one is kept."""
    fresh = Raw(raw.number, raw.scheduled)
    for name in ("connecting", "sent", "headers", "status", "head", "times", "parts", "done",
                 "failed", "said", "reused"):  # fmt: skip
        setattr(raw, name, getattr(fresh, name))


def _answer(raw: Raw, target: Target) -> Answer:
    """What the pool has to know of an answer.

    Raises:
        ProviderError: it isn't whole.
    """
    from mox.providers.standing import standing

    found = ending(raw, target)
    if found.failed is not None:
        raise found.failed
    assert found.finish is not None  # noqa: S101  by reading
    return Answer(
        text="",
        usage=found.usage,
        finish=found.finish,
        model=target.model,
        request_id=None,
        timings=Timings(raw.sent or 0, headers=raw.headers, done=ended_ns(raw, found)),
        standing=standing(raw.head),
        simulated=target.simulated,
    )


def _unsent(raw: Raw, error: PoolError) -> None:
    """No account was free in time, or all are put aside. What is stated wrongly fails the round."""
    if error.why == "limits":
        raise error
    _clear(raw)
    raw.failed = "quota_exhausted" if error.why == "aside" else "timeout_total"
    raw.said = error.message
