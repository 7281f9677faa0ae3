"""The pool of a single process."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from mox.providers.pool.books import Books
from mox.providers.pool.desk import Desk, Tell, TellOf
from mox.providers.pool.forms import Ask, Booked, Closing, Refused, View
from mox.providers.pool.limits import Account


def memory_pool(*, weights: Mapping[str, float] | None = None) -> Desk:
    """A pool whose books are this process's own.

    Two processes that use the same accounts need Redis (`redis_pool`): each with books of its
    own would use the whole limit.
    """
    return Desk(_Memory(), weights=weights)


class _Memory:
    _books: Books

    def listen(self, tell: Tell, tell_of: TellOf) -> None:
        """Nobody else settles: an account's own calls say how it stands."""
        self._books = Books(tell_of)

    async def place(self, ask: Ask) -> Booked | Refused:
        return self._books.place(ask, time.monotonic())

    async def settle(self, account: Account, closing: Closing, origin: int) -> View:
        return self._books.settle(account, closing, time.monotonic())

    async def progress(
        self, account: Account, lease: str, flow: float, beyond: float, origin: int
    ) -> View:
        return self._books.progress(account, lease, flow, beyond, time.monotonic())

    async def aside(self, account: Account, reason: str, until_s: float) -> View:
        now = time.monotonic()
        self._books.aside(account, reason, until_s, now)
        return self._books.view(account, now)

    async def state(self, accounts: Sequence[Account]) -> list[dict[str, Any]]:
        return self._books.state(accounts, time.monotonic())

    async def aclose(self) -> None: ...
