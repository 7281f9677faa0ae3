"""Those whom the books sent away for others' sake: in each queue the first alone asks again."""

from __future__ import annotations

import asyncio

Queue = tuple[str, ...]
"""Tenant, priority, and the accounts' names."""


class Turn:
    """A lock that hands itself on in the order of asking, and knows how many want it."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self.users = 0

    async def take(self) -> None:
        self.users += 1
        try:
            await self._lock.acquire()
        except BaseException:
            self.users -= 1
            raise

    def leave(self) -> None:
        self.users -= 1
        self._lock.release()


class Sleepers:
    """Who sleeps until it may ask again, and can be woken."""

    def __init__(self) -> None:
        self._futures: set[asyncio.Future[None]] = set()

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._futures.add(future)
        try:
            await asyncio.wait([future], timeout=seconds)
        finally:
            self._futures.discard(future)

    def wake(self) -> None:
        for future in self._futures:
            if not future.done():
                future.set_result(None)
