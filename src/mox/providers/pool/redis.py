"""The pool of all processes and machines that share a Redis or a Valkey."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

from mox.errors import EngineError, PoolError
from mox.providers.pool.desk import Desk, Tell, TellOf
from mox.providers.pool.forms import Ask, Booked, Closing, Refused, View
from mox.providers.pool.limits import Account, stated_otherwise
from mox.providers.pool.link import Link, LostError, News, RefusedError, end, number, words
from mox.providers.pool.outage import SHARED, Outages
from mox.providers.pool.script import (
    Heads,
    closing_of,
    placing,
    read_placed,
    read_state,
    read_view,
    said_at,
    script,
    view_of,
)
from mox.registry import missing_package
from mox.settings import redact

BEAT_S = 3.0
"""How often a process says that it works here."""
TRIES_AGAIN_S = 1.0


def redis_pool(url: str, *, name: str = "mox", weights: Mapping[str, float] | None = None) -> Desk:
    """A pool whose books lie in a Redis. It connects when first used, in the loop of that use.

    While Redis is away each process goes on with its share of every limit, says so once
    (`PoolWarning`), and comes back by itself.

    Args:
        name: pools of different names know nothing of each other.

    Raises:
        MissingError: the extra isn't installed.
        EngineError: at first use, nobody answers at the address.
    """
    try:
        import redis.asyncio  # noqa: F401
    except ImportError:
        raise missing_package("redis", extra="redis") from None
    return Desk(_Shared(url, name), weights=weights)


class _Shared:
    """Books in Redis; this process's own while that is away."""

    def __init__(self, url: str, name: str) -> None:
        self._url = url
        self._worker = uuid4().hex[:12].encode()
        self._link: Link | None = None
        self._opening: asyncio.Lock | None = None
        self._beats: asyncio.Task[None] | None = None
        self._news: News | None = None
        self._tell: Tell = lambda *_: None
        self._tell_of: TellOf = lambda *_: None
        self._regrets: set[asyncio.Task[Any]] = set()
        self._time = (0.0, 0.0)
        self._outages = Outages(url)
        self._heads = Heads(name)

    # What the desk asks

    def listen(self, tell: Tell, tell_of: TellOf) -> None:
        self._tell, self._tell_of = tell, tell_of
        self._outages.tell_of = tell_of

    async def place(self, ask: Ask) -> Booked | Refused:
        def orphan(said: bytes) -> None:
            if said[:1] == b"!":
                return
            placed = read_placed(said, ask)
            if isinstance(placed, Booked):
                account, costs = ask.accounts[placed.account], ask.costs[placed.account]
                undone = Closing(ask.lease, costs, undo=True, ends=placed.ends)
                self._later(self.settle(account, undone, SHARED))

        placed: Booked | Refused
        try:
            said = await self._call("place", ask.accounts, placing(ask), orphan=orphan)
        except LostError as error:
            own = self._outages.begin(str(error))
            shares = [self._outages.share(account) for account in ask.accounts]
            placed = own.place(ask._replace(accounts=shares), time.monotonic())
        else:
            placed = read_placed(said, ask)
        if isinstance(placed, Booked):
            self._outages.note(ask, placed)
        return placed

    async def settle(self, account: Account, closing: Closing, origin: int) -> View | None:
        said = self._known(closing, origin)
        try:
            return read_view(
                await self._call("settle", [account], closing_of(said, len(said.give_back)))
            )
        except LostError as error:
            own = self._outages.begin(str(error))
            said = self._known(closing, origin)  # by other books than before, maybe
            return own.settle(self._outages.share(account), said, time.monotonic())
        except PoolError:  # the book is gone, others state other limits: who next asks hears so
            return None

    def _known(self, closing: Closing, origin: int) -> Closing:
        """What of a closing the books that count now can know: what a lease of others took stands
        in books that are closed, or away."""
        if origin == self._outages.origin:
            return closing
        return closing._replace(
            give_back=(0.0,) * len(closing.give_back), flow=0.0, hit=(), left=(), undo=False
        )

    async def progress(
        self, account: Account, lease: str, flow: float, beyond: float, origin: int
    ) -> View | None:
        if origin != self._outages.origin:
            return None
        tail = [lease.encode(), number(flow), number(beyond)]
        try:
            return read_view(await self._call("progress", [account], tail))
        except LostError as error:
            own = self._outages.begin(str(error))
            if origin != self._outages.origin:
                return None
            return own.progress(self._outages.share(account), lease, flow, beyond, time.monotonic())
        except PoolError:  # as in `settle`
            return None

    async def aside(self, account: Account, reason: str, until_s: float) -> View | None:
        tail = [number(until_s), reason.encode()]
        try:
            return read_view(await self._call("aside", [account], tail))
        except LostError as error:
            own, now = self._outages.begin(str(error)), time.monotonic()
            own.aside(self._outages.share(account), reason, until_s, now)
            return own.view(self._outages.share(account), now)

    async def state(self, accounts: Sequence[Account]) -> list[dict[str, Any]]:
        try:
            said = await self._call("state", accounts, [])
        except LostError as error:
            own = self._outages.begin(str(error))
            return own.state([self._outages.share(each) for each in accounts], time.monotonic())
        return read_state(said)

    async def aclose(self) -> None:
        if self._regrets:
            await asyncio.wait(self._regrets)
        if self._beats is not None:
            await end([self._beats])
        if self._news is not None:
            await self._news.aclose()
        if self._link is not None:
            with suppress(LostError):
                await self._call("beat", [], [number(1)])
            await self._link.aclose()

    # Redis

    async def _call(
        self, op: str, accounts: Sequence[Account], tail: list[bytes], *, orphan: Any = None
    ) -> bytes:
        if self._link is None:
            await self._open()
        if self._link is None or self._outages.books is not None:
            raise LostError("away")
        return await self._send(self._link, op, accounts, tail, orphan)

    async def _send(
        self, link: Link, op: str, accounts: Sequence[Account], tail: list[bytes], orphan: Any
    ) -> bytes:
        from redis.exceptions import NoScriptError, ResponseError

        head, count = self._heads.of(op, accounts)
        now = time.monotonic()
        claimed = self._time[0] + now - self._time[1] if self._time[0] else 0.0
        parts = [number(claimed), self._worker, *tail]
        command = b"*%d\r\n%b%b" % (count + len(parts), head, words(parts))
        try:
            try:
                said = await link.call(command, orphan=orphan)
            except NoScriptError:
                await link.call(b"*3\r\n" + words([b"SCRIPT", b"LOAD", script()[0]]))
                said = await link.call(command, orphan=orphan)
        except ResponseError as error:  # a full disk or memory, a replica: it books nothing
            raise RefusedError(str(error)) from None
        if said[:1] == b"!":
            name = self._heads.account(said[2:].decode())
            raise stated_otherwise(next(each for each in accounts if each.name == name))
        self._time = (said_at(said), time.monotonic())
        return said

    async def _open(self) -> None:
        if self._opening is None:
            self._opening = asyncio.Lock()
        async with self._opening:
            if self._link is not None:
                return
            try:
                self._link = await self._connect()
            except RefusedError as error:
                raise EngineError(
                    f"the Redis at {redact(self._url)} refuses the pool's books ({error}).",
                    mend="allow its user EVALSHA, SCRIPT LOAD, PUBLISH and SUBSCRIBE, name a main"
                    " server rather than a replica, or give it more memory.",
                ) from None
            except LostError as error:
                raise EngineError(
                    f"no Redis answers at {redact(self._url)} ({error}).",
                    mend="start it, correct MOX_REDIS_URL, or unset it: Mox starts one then.",
                ) from None
            self._beats = asyncio.create_task(self._keep_beating())

    async def _connect(self) -> Link:
        """A connection on which this process is counted and hears the news."""
        link = await Link.open(self._url)
        try:
            await self._beat(link)
            await self._subscribe()
        except BaseException:
            await link.aclose()
            raise
        return link

    async def _beat(self, link: Link) -> None:
        said = await self._send(link, "beat", [], [number(0)], None)
        self._outages.workers = max(1, int(float(said.split(b" ")[2])))

    async def _keep_beating(self) -> None:
        """Be counted, and hear the news; notice when Redis is away, and when it is back."""
        while True:
            away = self._outages.books is not None
            await asyncio.sleep(TRIES_AGAIN_S if away else BEAT_S)
            try:
                if self._outages.books is None and self._link is not None:
                    await self._beat(self._link)
                    if self._news is None or self._news.lost:
                        await self._subscribe()
                else:
                    await self._come_back()
            except LostError as error:
                self._outages.begin(str(error))

    async def _come_back(self) -> None:
        link = await self._connect()
        old, self._link, self._outages.books = self._link, link, None
        # Before anything else is said on it: what this process gave out meanwhile.
        queued = self._outages.waiting()
        accounts = [account for account, _ in queued]
        tail = [number(cost) for _, costs in queued for cost in costs]
        try:
            await self._send(link, "rejoin", accounts, tail, None)
        finally:
            if old is not None:
                await old.aclose()

    async def _subscribe(self) -> None:
        """Hear what other processes' calls met: an account that is held, a provider that fails."""

        def told(what: bytes) -> None:
            kind, name, rest = what.split(b" ", 2)
            if kind == b"provider":
                self._tell_of(unquote(name.decode()), float(rest))
            else:
                numbers = list(map(float, rest.split(b" ")))
                self._tell(self._heads.account(name.decode()), view_of(numbers[1:]))

        old, self._news = self._news, await News.open(self._url, self._heads.news, told)
        if old is not None:
            await old.aclose()

    def _later(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._regrets.add(task)
        task.add_done_callback(self._regrets.discard)
