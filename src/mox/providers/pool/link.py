"""One connection to Redis for all callers of a process, who need not wait for each other.

redis-py sends a command and waits for its answer before the next one: 90 µs of CPU each, and a
connection for each caller. What is said within one turn of the loop goes out together here, over
redis-py's own connection (its addresses, TLS and log-in), at an eighth of that.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

CONNECTS_WITHIN_S = 3.0
ANSWERS_WITHIN_S, LOOKS = 2.0, 4
"""An answer that takes longer will not come: Redis is away. So often is looked meanwhile, each
time after the loop has read what came: one that somebody blocks has only not read it yet."""
Orphan = Callable[[bytes], None]


class LostError(Exception):
    """Redis is away, or doesn't answer. What was asked may have been done."""


class RefusedError(LostError):
    """Redis answers, and doesn't do it."""


def words(parts: Iterable[bytes]) -> bytes:
    """Parts of a command as they are sent."""
    return b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)


def number(value: float) -> bytes:
    """A number that Lua reads as the same one."""
    return repr(float(value)).encode()


async def connected(url: str) -> Any:
    """A connection of redis-py's, logged in.

    Raises:
        LostError: nobody answers there, or it is no URL.
    """
    from redis.asyncio import ConnectionPool
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.exceptions import RedisError

    try:
        pool = ConnectionPool.from_url(
            url, protocol=2, socket_timeout=None, socket_connect_timeout=CONNECTS_WITHIN_S,
            retry=Retry(NoBackoff(), 0), decode_responses=False,
        )  # fmt: skip
    except ValueError:  # its text repeats what it stumbled over: a part of the password, maybe
        raise LostError("it is no URL of a Redis; percent-encode its password") from None
    connection: Any = pool.make_connection()  # type: ignore[no-untyped-call]
    try:
        async with asyncio.timeout(CONNECTS_WITHIN_S):
            await connection.connect()
    except (RedisError, OSError, TimeoutError) as error:
        raise LostError(str(error) or type(error).__name__) from None
    return connection


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks until they end: a library may swallow it once."""
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=0.2)


class News:
    """What is published on a channel, on a connection of its own."""

    def __init__(self, connection: Any, told: Orphan) -> None:
        self._connection = connection
        self._task = asyncio.create_task(self._read(told))

    @classmethod
    async def open(cls, url: str, channel: str, told: Orphan) -> News:
        """Subscribe.

        Raises:
            LostError: nobody answers there, or not to this.
        """
        from redis.exceptions import ResponseError

        connection = await connected(url)
        try:
            async with asyncio.timeout(ANSWERS_WITHIN_S):
                await connection.send_command("SUBSCRIBE", channel)
                await connection.read_response(timeout=math.inf)
        except Exception as error:  # noqa: BLE001  whatever it is, there will be no news
            await connection.disconnect(nowait=True)
            kind = RefusedError if isinstance(error, ResponseError) else LostError
            raise kind(str(error) or type(error).__name__) from None
        return cls(connection, told)

    async def _read(self, told: Orphan) -> None:
        from redis.exceptions import RedisError

        with suppress(RedisError, OSError):  # whoever uses it looks at `lost`
            while True:
                _, _, what = await self._connection.read_response(timeout=math.inf)
                told(what)

    @property
    def lost(self) -> bool:
        """Whether its connection is gone: no more news will come."""
        return self._task.done()

    async def aclose(self) -> None:
        await end([self._task])
        with suppress(Exception):
            await self._connection.disconnect(nowait=True)


class Link:
    """An open connection. Once lost it stays so: make another one."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._out: list[bytes] = []
        self._waiting: deque[tuple[asyncio.Future[bytes], Orphan | None]] = deque()
        self._more = asyncio.Event()
        self.lost: LostError | None = None
        self.calls = 0
        self._tasks = [
            asyncio.create_task(each()) for each in (self._write, self._read, self._watch)
        ]

    @classmethod
    async def open(cls, url: str) -> Link:
        """Connect.

        Raises:
            LostError: nobody answers there.
        """
        return cls(await connected(url))

    async def call(self, command: bytes, *, orphan: Orphan | None = None) -> bytes:
        """One command's answer.

        Args:
            orphan: given the answer where the caller was cancelled before it came.

        Raises:
            LostError: the connection is lost.
            redis.exceptions.ResponseError: Redis refused.
        """
        if self.lost is not None:
            raise self.lost
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._out.append(command)
        self._waiting.append((future, orphan))
        self.calls += 1
        self._more.set()
        try:
            return await future
        except asyncio.CancelledError:
            came = future.done() and not future.cancelled() and future.exception() is None
            if came and orphan is not None:  # it came, and the caller hadn't gone on yet
                orphan(future.result())
            raise

    async def _write(self) -> None:
        try:
            while True:
                await self._more.wait()
                self._more.clear()
                batch, self._out = self._out, []
                await self._connection.send_packed_command(batch, check_health=False)
        except Exception as error:  # noqa: BLE001  whatever it is, the connection is of no use
            self._lose(error)

    async def _read(self) -> None:
        from redis.exceptions import ResponseError

        try:
            while True:
                try:
                    said = await self._connection.read_response(timeout=math.inf)
                except ResponseError as error:
                    said = error
                future, orphan = self._waiting.popleft()
                if future.cancelled():
                    if orphan is not None and isinstance(said, bytes):
                        orphan(said)
                elif isinstance(said, Exception):
                    future.set_exception(said)
                else:
                    future.set_result(said)
        except Exception as error:  # noqa: BLE001  as above
            self._lose(error)

    async def _watch(self) -> None:
        looks, last = 0, None
        while self.lost is None:
            await asyncio.sleep(ANSWERS_WITHIN_S / LOOKS)
            first = self._waiting[0][0] if self._waiting else None
            looks, last = looks + 1 if first is not None and first is last else 0, first
            if looks == LOOKS:
                self._lose(TimeoutError(f"no answer within {ANSWERS_WITHIN_S:.0f} s"))

    def _lose(self, error: Exception) -> None:
        if self.lost is None:
            self.lost = LostError(str(error) or type(error).__name__)
            for future, _ in self._waiting:
                if not future.done():
                    future.set_exception(LostError(*self.lost.args))
            self._waiting.clear()

    async def aclose(self) -> None:
        """Close it. What is unanswered is lost."""
        self._lose(ConnectionError("closed"))
        await end(self._tasks)
        with suppress(Exception):
            await self._connection.disconnect(nowait=True)
