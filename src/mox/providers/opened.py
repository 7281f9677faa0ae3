"""What stands behind a model's door: memory over the pool over its accounts, with one book."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import ExitStack, aclosing
from contextvars import ContextVar
from decimal import Decimal
from typing import TYPE_CHECKING

from mox.errors import PriceError
from mox.providers import providers
from mox.providers.accounts import Stated
from mox.providers.budget import Budget, RunBook
from mox.providers.ledger import Ledger
from mox.providers.pool import Pool, memory_pool, redis_pool
from mox.providers.pooled import Manner, Pooled, Trip
from mox.providers.prices import Prices, Terms
from mox.providers.remembered import Origin, Remembered
from mox.settings import settings
from mox.types.providers import Answer, Event, Provider, Request

if TYPE_CHECKING:
    from mox.providers.use import Use

TRIP: ContextVar[Trip | None] = ContextVar("trip", default=None)
"""Filled by the call that is made within it; memory in between need not know."""


class Opened:
    """The whole way to a model. All of it but what `aclose` closes may be used in one loop only.

    Args:
        ways: its accounts.

    Raises:
        MoxError: no key, no price, no budget that can be meant, or no server to share by.
    """

    def __init__(self, ways: Sequence[Stated], use: Use) -> None:
        here = settings()
        self.ways = tuple(ways)
        self.spec = self.ways[0].spec
        self._prices = Prices.load()
        now = dt.datetime.now(dt.UTC)
        # A price that isn't known is said before anything is opened, and not by the first call.
        self._prices.worst(self._terms(self.spec.model, now), input_tokens=0, max_output_tokens=0)
        budget = None if use.budget_usd is None else Budget.of(use.budget_usd)
        run = use.run or ("" if budget is None else f"model-{uuid.uuid4().hex[:12]}")
        self._ledger = Ledger(here.root)
        opened = {one.account(): providers[one.spec](one.spec) for one in self.ways}
        self._stack = ExitStack()
        self._pool = self._pool_of(use)
        pooled = Pooled(
            opened,
            self._pool,
            manner=Manner(
                priority=use.priority, tenant=use.tenant, purpose=use.purpose, trial=use.trial,
                simulated=self.spec.kind == "simulated",
            ),
            book=RunBook(self._ledger, self._prices, run=run, budget=budget),
        )  # fmt: skip
        counted: Provider = _Counted(pooled)
        self.provider = Remembered(counted, Origin.of(self.spec)) if use.remember else counted

    def cost(
        self, request: Request, answer: Answer, when: dt.datetime, *, asked: bool
    ) -> Decimal | None:
        """What an answer cost, in USD; None where it has no price, or a usage that contradicts
        itself: it is paid and returned all the same, and the ledger has the most, with a note.

        Args:
            asked: False where it was remembered.
        """
        if not asked:
            return Decimal(0)
        tier = request.extra.get("service_tier")
        terms = self._terms(request.model, when, None if tier is None else str(tier))
        try:
            return self._prices.cost(terms, answer.usage).total
        except PriceError:
            return None

    async def take_back(self) -> None:
        """End what keeps its accounts from use."""
        for one in self.ways:
            await self._pool.take_back(one.account())

    async def aclose(self) -> None:
        """Close everything; the shared server ends itself some time after its last user left."""
        try:
            await self.provider.aclose()
            await self._pool.aclose()
        finally:
            self._ledger.close()
            self._stack.close()

    def _pool_of(self, use: Use) -> Pool:
        from mox.services import valkey

        here = settings()
        if valkey.url(here) is None and not use.shared:
            return memory_pool()
        valkey.check(here)
        return redis_pool(self._stack.enter_context(valkey.found(here)))

    def _terms(self, model: str, when: dt.datetime, tier: str | None = None) -> Terms:
        return Terms(self.spec.kind, model, when, tier)


class _Counted:
    """A pooled provider that notes what each call took for who asked."""

    def __init__(self, pooled: Pooled) -> None:
        self._pooled = pooled

    async def complete(self, request: Request, *, timeout_s: float = 120.0) -> Answer:
        return await self._pooled.complete(request, timeout_s=timeout_s, trip=TRIP.get())

    async def stream(self, request: Request, *, timeout_s: float = 120.0) -> AsyncIterator[Event]:
        events = self._pooled.stream(request, timeout_s=timeout_s, trip=TRIP.get())
        assert isinstance(events, AsyncGenerator)  # noqa: S101  who stops early must close it
        async with aclosing(events):
            async for event in events:
                yield event

    async def aclose(self) -> None:
        await self._pooled.aclose()
