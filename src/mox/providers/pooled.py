"""A provider over several accounts: the pool says when and where, and it alone tries again."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from mox.errors import MoxError, ProviderError
from mox.providers.charging import may_be_billed
from mox.providers.estimate import Estimates
from mox.providers.pool.limits import Account
from mox.providers.pool.nouns import Lease, Outcome, Pool, Priority
from mox.providers.rates import most_tokens
from mox.types.providers import (
    TRANSIENT,
    Answer,
    Book,
    Call,
    ErrorKind,
    Event,
    Provider,
    Request,
)

PROGRESS_S = 0.5
"""How often the pool hears of a running answer."""
BACKOFF_S, BACKOFF_AT_MOST_S = 0.25, 8.0
PACED = frozenset({"rate_limit_requests", "rate_limit_tokens", "rate_limit_input",
                   "rate_limit_output", "acceleration"})  # fmt: skip
"""After these the pool holds the account back by itself."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How calls are made, on whose behalf, and what for."""

    attempts: int = 4
    priority: Priority = "interactive"
    tenant: str = ""
    purpose: str = "answer"
    trial: str | None = None
    simulated: bool = False
    only_refused: bool = False
    """Whether only what was refused is asked again, and nothing that may be billed."""


@dataclass(slots=True)
class Trip:
    """What an answer took besides itself; filled while it is on its way."""

    waited_s: float = 0.0
    """For the pool, of all attempts."""
    attempts: int = 0
    account: str = ""
    """Of the last attempt."""
    errors: list[ErrorKind] = field(default_factory=list)
    """Of the attempts that failed."""


class Pooled:
    """A `Provider` whose calls wait for their turn, and are tried again elsewhere.

    Args:
        providers: the way to each account. `aclose` closes them, and leaves the pool open.
        book: asked before each attempt whether its cost is left, and told afterwards.
    """

    def __init__(
        self,
        providers: Mapping[Account, Provider],
        pool: Pool,
        *,
        manner: Manner | None = None,
        book: Book | None = None,
    ) -> None:
        self._providers = dict(providers)
        self._pool = pool
        self._manner = manner or Manner()
        self._book = book
        self._estimates = Estimates(self._manner.purpose)
        self._telling: set[asyncio.Task[None]] = set()

    async def stream(
        self, request: Request, *, timeout_s: float = 120.0, trip: Trip | None = None
    ) -> AsyncIterator[Event]:
        """Deltas as they arrive, and the Answer last. Once a Delta was given, a failure is raised.

        Args:
            timeout_s: of the whole, waiting and further attempts included.
            trip: filled with what else it took.

        Raises:
            ProviderError: of the last attempt.
            PoolError: no account is free in time.
            BudgetError: an attempt would cost more than is left.
        """
        until, trip = time.monotonic() + timeout_s, trip or Trip()
        failed: list[Account] = []
        while True:
            begun = False
            try:
                async with aclosing(self._attempt(request, until, failed, trip)) as events:
                    async for event in events:
                        begun = True
                        yield event
                return
            except ProviderError as error:
                if begun:
                    raise
                await self._again(error, until, failed, trip)

    async def complete(
        self, request: Request, *, timeout_s: float = 120.0, trip: Trip | None = None
    ) -> Answer:
        """The whole answer, whatever attempts it took.

        Raises:
            ProviderError, PoolError, BudgetError: as in `stream`.
        """
        until, trip = time.monotonic() + timeout_s, trip or Trip()
        failed: list[Account] = []
        while True:
            try:
                async with aclosing(self._attempt(request, until, failed, trip)) as events:
                    async for event in events:
                        if isinstance(event, Answer):
                            return event
            except ProviderError as error:
                await self._again(error, until, failed, trip)

    async def aclose(self) -> None:
        """Close the ways to the accounts."""
        if self._telling:
            await asyncio.wait(self._telling)
        for provider in self._providers.values():
            await provider.aclose()

    async def _attempt(
        self, request: Request, until: float, failed: Sequence[Account], trip: Trip
    ) -> AsyncGenerator[Event]:
        """One attempt, from the wait for its lease to its settlement."""
        accounts = [each for each in self._providers if each not in failed]
        needs = {each.name: self._estimates.need(each, request) for each in accounts}
        lease = await self._pool.acquire(
            accounts, needs, deadline_s=until - time.monotonic(),
            priority=self._manner.priority, tenant=self._manner.tenant,
        )  # fmt: skip
        account = lease.account
        trip.waited_s += lease.waited_s
        trip.attempts += 1
        trip.account = account.called
        outcome, booking, put = Outcome(sent=False), None, True
        try:
            if self._book is not None:
                booking = self._book.before(
                    self._call(account, request),
                    input_tokens=most_tokens(request),
                    max_output_tokens=request.max_output_tokens,
                )
            outcome = Outcome(error="cancelled")
            left = until - time.monotonic()
            async with aclosing(self._events(lease, request, left)) as events:
                async for event in events:
                    if isinstance(event, Answer):
                        outcome = Outcome(usage=event.usage, standing=event.standing)
                        self._estimates.learn(account, request, event)
                        answer = event
                    else:
                        yield event
        except ProviderError as error:
            outcome = Outcome(error.usage, error.kind, error.retry_after_s, billable=error.billable)
            raise
        except MoxError:  # it can't be put as this provider's request
            outcome, put = Outcome(error="bad_request", sent=False), False
            raise
        finally:
            try:
                if self._book is not None and booking is not None and not put:
                    self._book.release(booking)
                elif self._book is not None and booking is not None:
                    self._book.after(
                        booking, outcome.usage, error=outcome.error, billable=outcome.billable
                    )
            finally:
                await self._pool.settle(lease, outcome)
        yield answer

    async def _events(self, lease: Lease, request: Request, left: float) -> AsyncGenerator[Event]:
        """A provider's events; the pool is told how far they are."""
        told, characters, whole = time.monotonic(), 0, False
        events = self._providers[lease.account].stream(request, timeout_s=left)
        try:
            async for event in events:
                if isinstance(event, Answer):
                    whole = True
                else:
                    characters += len(event.text)
                    if (now := time.monotonic()) - told >= PROGRESS_S:
                        told = now
                        self._tell(lease, self._estimates.tokens(request, characters))
                yield event
        finally:
            if isinstance(events, AsyncGenerator):
                await events.aclose()
        if not whole:
            raise ProviderError(
                f"{lease.account.name} ended its stream without an answer.",
                mend="try again; where it stays so, the provider's back end is at fault.",
                kind="truncated",
            )

    def _tell(self, lease: Lease, tokens: float) -> None:
        task = asyncio.ensure_future(self._pool.progress(lease, tokens))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _again(
        self, error: ProviderError, until: float, failed: list[Account], trip: Trip
    ) -> None:
        """Get ready for another attempt, or raise the error of the last one."""
        trip.errors.append(error.kind)
        account = next(each for each in self._providers if each.called == trip.account)
        elsewhere = error.kind == "quota_exhausted"
        if trip.attempts >= self._manner.attempts or not (elsewhere or error.kind in TRANSIENT):
            raise error
        if error.usage is not None:
            raise error  # what was made is paid
        if self._manner.only_refused and may_be_billed(error.kind, error.billable):
            raise error
        if account not in failed:
            failed.append(account)
        if len(failed) < len(self._providers):
            return
        if elsewhere:
            raise error
        failed.clear()
        wait = 0.0 if error.kind in PACED else error.retry_after_s or self._backoff(trip.attempts)
        if time.monotonic() + wait >= until:
            raise error
        await asyncio.sleep(wait)

    @staticmethod
    def _backoff(attempts: int) -> float:
        longest: float = min(BACKOFF_AT_MOST_S, BACKOFF_S * 2 ** (attempts - 1))
        return longest * (0.5 + random.random() / 2)  # noqa: S311  so that callers don't meet again

    def _call(self, account: Account, request: Request) -> Call:
        manner = self._manner
        tier = request.extra.get("service_tier")
        return Call(
            account.kind or account.fails_with, account.called, request.model,
            manner.purpose, manner.trial, manner.simulated, None if tier is None else str(tier),
        )  # fmt: skip
