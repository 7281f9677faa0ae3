"""What a process goes on with while Redis is away: its share of each limit, in books of its own."""

from __future__ import annotations

import time
import warnings
from collections import deque
from collections.abc import Callable
from functools import lru_cache

from mox.errors import PoolWarning
from mox.providers.pool.books import Books
from mox.providers.pool.forms import Ask, Booked
from mox.providers.pool.limits import PER_MIN, Account, Limits
from mox.settings import redact

SHARED = 0
"""The origin of leases from the shared books; each outage has one of its own."""


class Outages:
    """The outages of one process.

    Args:
        url: of the Redis, for people.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._count = 0
        self._queued: dict[str, deque[tuple[float, Account, tuple[float, ...]]]] = {}
        self.tell_of: Callable[[str, float], None] = lambda *_: None
        """Told which provider is closed, and for how many seconds."""
        self.workers = 1
        """Who share the limits, as was last heard."""
        self.books: Books | None = None
        """This process's own; None while Redis is there."""

    @property
    def origin(self) -> int:
        """Which books count now."""
        return SHARED if self.books is None else self._count

    def begin(self, why: str) -> Books:
        """This process's own books: made when Redis goes, with what waits already in them."""
        if self.books is None:
            self._count += 1
            self.books = Books(self.tell_of, origin=self._count)
            now = time.monotonic()
            for account, costs in self.waiting():
                self.books.owe(self.share(account), costs, now)
            share = f"1/{self.workers}" if self.workers > 1 else "all"
            warnings.warn(
                f"Redis at {redact(self._url)} is away ({why}): this process goes on with"
                f" {share} of each limit, and comes back when it answers.",
                PoolWarning,
                stacklevel=2,
            )
        return self.books

    def share(self, account: Account) -> Account:
        """An account with this process's share of its limits."""
        return _split(account, self.workers)

    def note(self, ask: Ask, placed: Booked) -> None:
        """Note what is booked and not begun, in case Redis goes."""
        account, now = ask.accounts[placed.account], time.monotonic()
        queued = self._queued.setdefault(account.name, deque())
        queued.append((now + placed.wait_s, account, ask.costs[placed.account]))
        while queued[0][0] < now - 1e-3:
            queued.popleft()

    def waiting(self) -> list[tuple[Account, tuple[float, ...]]]:
        """Of each account, what is booked and not begun."""
        now = time.monotonic()
        found: list[tuple[Account, tuple[float, ...]]] = []
        for queued in self._queued.values():
            account = queued[-1][1]
            waits = [costs for start, _, costs in queued if start > now]
            zero = (0.0,) * len(account.limits.resources)
            found.append((account, tuple(map(sum, zip(zero, *waits, strict=True)))))
        return found


@lru_cache(maxsize=256)
def _split(account: Account, workers: int) -> Account:
    """An account with one worker's share of its limits."""
    limits = account.limits
    shares = {PER_MIN[name]: getattr(limits, PER_MIN[name]) / workers for name in limits.resources}
    return Account(account.name, Limits(**{**limits.model_dump(), **shares}), account.provider)
