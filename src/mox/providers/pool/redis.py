"""The pool of all processes and machines that share a Redis or a Valkey."""

from __future__ import annotations

import asyncio
import json
import time
import warnings
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from hashlib import sha1
from importlib import resources
from typing import Any
from urllib.parse import quote, unquote
from uuid import uuid4

from mox.errors import EngineError, PoolWarning
from mox.providers.pool.books import Ask, Booked, Books, Closing, Refused, View
from mox.providers.pool.closing import NAN
from mox.providers.pool.desk import Desk, Tell, TellOf
from mox.providers.pool.limits import PER_MIN, Account, Limits
from mox.providers.pool.link import Link, LostError, News, end, number, words
from mox.registry import missing_package
from mox.settings import redact

BEAT_S = 3.0
"""How often a process says that it works here."""
TRIES_AGAIN_S = 1.0
SHARED = 0
"""The origin of leases from the shared books; each outage has one of its own."""


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
        self._url, self._name = url, name
        self._worker = uuid4().hex[:12].encode()
        self._link: Link | None = None
        self._opening: asyncio.Lock | None = None
        self._beats: asyncio.Task[None] | None = None
        self._news: News | None = None
        self._tell: Tell = lambda *_: None
        self._tell_of: TellOf = lambda *_: None
        self._regrets: set[asyncio.Task[Any]] = set()
        self._time = (0.0, 0.0)
        self._workers = 1
        self._own: Books | None = None
        self._outages = 0
        self._queued: dict[str, deque[tuple[float, Account, tuple[float, ...]]]] = {}
        self._heads: dict[tuple[Any, ...], tuple[bytes, int, tuple[Account, ...]]] = {}

    @property
    def origin(self) -> int:
        return SHARED if self._own is None else self._outages

    # What the desk asks

    def listen(self, tell: Tell, tell_of: TellOf) -> None:
        self._tell, self._tell_of = tell, tell_of

    async def place(self, ask: Ask) -> Booked | Refused:
        tail = [
            ask.lease.encode(), number(ask.max_wait_s), number(ask.ahead_s), ask.tenant.encode(),
            number(ask.weight),
        ]  # fmt: skip
        for speed, costs in zip(ask.speeds, ask.costs, strict=True):
            tail.append(number(speed))
            tail.extend(number(cost) for cost in costs)

        def orphan(said: bytes) -> None:
            placed = self._read_placed(said, ask)
            if isinstance(placed, Booked):
                account, costs = ask.accounts[placed.account], ask.costs[placed.account]
                self._later(self.settle(account, Closing(ask.lease, costs, undo=True), SHARED))

        placed: Booked | Refused
        try:
            said = await self._call("place", ask.accounts, tail, orphan=orphan)
        except LostError as error:
            own = self._fallen_back(error)
            shares = [self._share(account) for account in ask.accounts]
            placed = own.place(ask._replace(accounts=shares), time.monotonic())
        else:
            placed = self._read_placed(said, ask)
        if isinstance(placed, Booked):
            self._queue(ask, placed)
        return placed

    async def settle(self, account: Account, closing: Closing, origin: int) -> View | None:
        if origin != self.origin:  # what it took stands in books that are closed, or away
            closing = closing._replace(
                give_back=(0.0,) * len(closing.give_back), flow=0.0, hit=(), left=(), undo=False
            )
        size = len(account.limits.resources)
        blank = (NAN,) * size
        tail = [
            closing.lease.encode(), number(closing.undo), number(closing.hold_s),
            number(closing.slower), number(closing.verdict), number(closing.aside_s),
            closing.why.encode(), number(closing.flow),
        ]  # fmt: skip
        columns = (closing.give_back, closing.hit, closing.left, closing.share)
        for row in zip(*(column or blank for column in columns), strict=True):
            tail.extend(b"-" if value != value else number(value) for value in row)
        try:
            return self._read_view(await self._call("settle", [account], tail))
        except LostError as error:
            own = self._fallen_back(error)
            return own.settle(self._share(account), closing, time.monotonic())

    async def progress(
        self, account: Account, lease: str, flow: float, beyond: float, origin: int
    ) -> View | None:
        if origin != self.origin:
            return None
        tail = [lease.encode(), number(flow), number(beyond)]
        try:
            return self._read_view(await self._call("progress", [account], tail))
        except LostError as error:
            own = self._fallen_back(error)
            return own.progress(self._share(account), lease, flow, beyond, time.monotonic())

    async def aside(self, account: Account, reason: str, until_s: float) -> View | None:
        tail = [number(until_s), reason.encode()]
        try:
            return self._read_view(await self._call("aside", [account], tail))
        except LostError as error:
            own, now = self._fallen_back(error), time.monotonic()
            own.aside(self._share(account), reason, until_s, now)
            return own.view(self._share(account), now)

    async def state(self, accounts: Sequence[Account]) -> list[dict[str, Any]]:
        try:
            found: list[dict[str, Any]] = json.loads(await self._call("state", accounts, []))
        except LostError as error:
            own = self._fallen_back(error)
            return own.state([self._share(each) for each in accounts], time.monotonic())
        return found

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
        if self._link is None or self._own is not None:
            raise LostError("away")
        return await self._send(self._link, op, accounts, tail, orphan)

    async def _send(
        self, link: Link, op: str, accounts: Sequence[Account], tail: list[bytes], orphan: Any
    ) -> bytes:
        from redis.exceptions import NoScriptError, ResponseError

        head, count = self._head(op, accounts)
        now = time.monotonic()
        claimed = self._time[0] + now - self._time[1] if self._time[0] else 0.0
        parts = [number(claimed), self._worker, *tail]
        command = b"*%d\r\n%b%b" % (count + len(parts), head, words(parts))
        try:
            try:
                said = await link.call(command, orphan=orphan)
            except NoScriptError:
                await link.call(b"*3\r\n" + words([b"SCRIPT", b"LOAD", _script()[0]]))
                said = await link.call(command, orphan=orphan)
        except ResponseError as error:  # a full disk or memory, a replica: it books nothing
            raise LostError(str(error)) from None
        if op != "state":
            self._time = (float(said.split(b" ", 2)[1]), time.monotonic())
        return said

    def _head(self, op: str, accounts: Sequence[Account]) -> tuple[bytes, int]:
        """The part of a command that is the same for the same accounts."""
        key = (op, *map(id, accounts))
        found = self._heads.get(key)
        if found is None:
            room = b"{%b}:" % self._name.encode()
            parts = [b"EVALSHA", _script()[1], b"%d" % (1 + len(accounts)), room + b"room"]
            parts += [room + b"account:" + quote(account.name).encode() for account in accounts]
            parts += [op.encode(), b"%d" % len(accounts)]
            for account in accounts:
                parts += _stated(account)
            # With the accounts, so that none of these numbers becomes another one's.
            found = self._heads[key] = (words(parts), len(parts), tuple(accounts))
        return found[:2]

    async def _open(self) -> None:
        if self._opening is None:
            self._opening = asyncio.Lock()
        async with self._opening:
            if self._link is not None:
                return
            try:
                link = await Link.open(self._url)
                await self._beat(link)
                self._news = await self._listen()
            except LostError as error:
                raise EngineError(
                    f"no Redis answers at {redact(self._url)} ({error}).",
                    mend="start it, correct MOX_REDIS_URL, or unset it: Mox starts one then.",
                ) from None
            self._link = link
            self._beats = asyncio.create_task(self._keep_beating())

    async def _beat(self, link: Link) -> None:
        said = await self._send(link, "beat", [], [number(0)], None)
        self._workers = max(1, int(float(said.split(b" ")[2])))

    async def _keep_beating(self) -> None:
        """Be counted; notice when Redis is away, and when it is back."""
        while True:
            away = self._own is not None
            await asyncio.sleep(TRIES_AGAIN_S if away else BEAT_S)
            try:
                if self._own is None and self._link is not None:
                    await self._beat(self._link)
                else:
                    await self._come_back()
            except LostError as error:
                self._fallen_back(error)

    async def _come_back(self) -> None:
        link = await Link.open(self._url)
        try:
            await self._beat(link)
        except BaseException:
            await link.aclose()
            raise
        old, self._link, self._own = self._link, link, None
        # Before anything else is said on it: what this process gave out meanwhile.
        queued = self._still_queued()
        accounts = [account for account, _ in queued]
        tail = [number(cost) for _, costs in queued for cost in costs]
        await self._send(link, "rejoin", accounts, tail, None)
        if self._news is not None:
            await self._news.aclose()
        self._news = await self._listen()
        if old is not None:
            await old.aclose()

    async def _listen(self) -> News:
        """Hear what other processes' calls met: an account that is held, a provider that fails."""
        start = len(f"{{{self._name}}}:account:")

        def told(what: bytes) -> None:
            kind, name, rest = what.split(b" ", 2)
            if kind == b"provider":
                self._tell_of(unquote(name.decode()), float(rest))
            else:
                numbers = list(map(float, rest.split(b" ")))
                self._tell(unquote(name.decode()[start:]), _view(numbers[1:]))

        return await News.open(self._url, f"{{{self._name}}}:room:news", told)

    def _later(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._regrets.add(task)
        task.add_done_callback(self._regrets.discard)

    # Without it

    def _fallen_back(self, error: LostError) -> Books:
        """This process's own books: made when Redis goes, with what waits already in them."""
        if self._own is None:
            self._outages += 1
            self._own = Books(self._outages)
            now = time.monotonic()
            for account, costs in self._still_queued():
                self._own.owe(self._share(account), costs, now)
            share = f"1/{self._workers}" if self._workers > 1 else "all"
            warnings.warn(
                f"Redis at {redact(self._url)} is away ({error}): this process goes on with"
                f" {share} of each limit, and comes back when it answers.",
                PoolWarning,
                stacklevel=2,
            )
        return self._own

    def _share(self, account: Account) -> Account:
        return _split(account, self._workers)

    def _queue(self, ask: Ask, placed: Booked) -> None:
        """Note what is booked and not begun, in case Redis goes."""
        account, now = ask.accounts[placed.account], time.monotonic()
        queued = self._queued.setdefault(account.name, deque())
        queued.append((now + placed.wait_s, account, ask.costs[placed.account]))
        while queued[0][0] < now - 1e-3:
            queued.popleft()

    def _still_queued(self) -> list[tuple[Account, tuple[float, ...]]]:
        now = time.monotonic()
        found: list[tuple[Account, tuple[float, ...]]] = []
        for queued in self._queued.values():
            account = queued[-1][1]
            waits = [costs for start, _, costs in queued if start > now]
            zero = (0.0,) * len(account.limits.resources)
            found.append((account, tuple(map(sum, zip(zero, *waits, strict=True)))))
        return found

    # Replies

    def _read_placed(self, said: bytes, ask: Ask) -> Booked | Refused:
        if said[:1] == b"-":
            _, _, wait, why, detail = said.split(b" ", 4)
            return Refused(why.decode(), float(wait), detail.decode())
        numbers = list(map(float, said[2:].split(b" ")))
        index, wait_s = int(numbers[1]), numbers[2]
        middle = 3 + 2 * len(ask.costs[index])
        marks, ends = tuple(numbers[3:middle:2]), tuple(numbers[4:middle:2])
        return Booked(index, wait_s, marks, ends, _view(numbers[middle:]))

    def _read_view(self, said: bytes) -> View:
        return _view(list(map(float, said[2:].split(b" ")))[1:])


def _view(numbers: list[float]) -> View:
    return View(tuple(numbers[1::3]), tuple(numbers[2::3]), tuple(numbers[3::3]), held_s=numbers[0])


@lru_cache(maxsize=1)
def _script() -> tuple[bytes, bytes]:
    """The books in Lua, and the name that Redis gives them."""
    text = resources.files("mox.providers.pool").joinpath("books.lua").read_bytes()
    return text, sha1(text).hexdigest().encode()  # noqa: S324  Redis' own way of naming


def _stated(account: Account) -> list[bytes]:
    limits = account.limits
    out = limits.resources.index("output") + 1 if "output" in limits.resources else 0
    said = [quote(account.fails_with).encode(), number(limits.ramp_per_min or 0.0)]
    said += [b"%d" % len(limits.resources), b"%d" % out]
    for rate, cap in zip(limits.rates, limits.caps, strict=True):
        said += [number(rate), number(cap)]
    return said


@lru_cache(maxsize=256)
def _split(account: Account, workers: int) -> Account:
    """An account with one worker's share of its limits."""
    limits = account.limits
    shares = {PER_MIN[name]: getattr(limits, PER_MIN[name]) / workers for name in limits.resources}
    return Account(account.name, Limits(**{**limits.model_dump(), **shares}), account.provider)
