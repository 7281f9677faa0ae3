"""When a request for vectors may be sent: as the limits allow that are stated of its account."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from mox.errors import ProviderError
from mox.types.providers import Embedded

if TYPE_CHECKING:
    from mox.providers.pool import Limits

PATIENCE_S = 600.0
"""The longest wait for a turn. A stage is taken to stand still after some longer time."""


class Pace:
    """The turns of one embedder: in books of this process, or in Redis' where processes share
    one.

    Args:
        name: the account, the same in every process that shares its limits.
    """

    def __init__(self, name: str, limits: Limits, *, redis_url: str | None) -> None:
        from mox.providers.pool import Account, memory_pool, redis_pool

        self._account = Account(name, limits)
        self._pool = redis_pool(redis_url) if redis_url else memory_pool()

    async def turn(
        self, tokens: float, send: Callable[[], Awaitable[Embedded | ProviderError]]
    ) -> Embedded | ProviderError:
        """Send when it may be sent, and tell the pool what came of it.

        Raises:
            PoolError: there is no turn in time.
        """
        from mox.providers.pool import Need, Outcome

        lease = await self._pool.acquire(
            [self._account], Need(input=tokens), deadline_s=PATIENCE_S, priority="batch"
        )
        outcome = Outcome(error="cancelled")
        try:
            found = await send()
            if isinstance(found, ProviderError):
                outcome = Outcome(
                    error=found.kind, retry_after_s=found.retry_after_s, billable=found.billable
                )
            else:
                outcome = Outcome(usage=found.usage, standing=found.standing)
        finally:
            await self._pool.settle(lease, outcome)
        return found

    async def aclose(self) -> None:
        """Close what the pool holds open."""
        await self._pool.aclose()
