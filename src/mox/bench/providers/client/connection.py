"""One HTTP/1.1 connection that keeps, for each network read, what came and when; nothing more."""

from __future__ import annotations

import asyncio
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from mox.bench.providers.client.jobs import Timeouts
    from mox.bench.providers.client.messages import Raw
    from mox.types.providers import ErrorKind


class Connection(asyncio.Protocol):
    """A connection that asks one thing at a time."""

    def __init__(self) -> None:
        import httptools

        self._broken = httptools.HttpParserError
        self._parser = httptools.HttpResponseParser(self)
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._raw: Raw | None = None
        self._over: asyncio.Future[None] | None = None
        self._now = 0
        self._framed = False
        """Whether the answer says where its body ends; else the connection's end is its end."""
        self.open = False

    async def ask(self, message: bytes, raw: Raw, timeouts: Timeouts) -> None:
        """Send a request and wait for its answer's end; what comes, and what fails, is in `raw`."""
        assert self._transport is not None  # noqa: S101  made by create_connection
        self._raw, self._over = raw, self._loop.create_future()
        self._now, self._framed = 0, False
        raw.sent = perf_counter_ns()
        self._transport.write(message)
        timer = _Timer(self._loop, self, raw, timeouts)
        try:
            await self._over
        finally:
            timer.cancel()
            self._raw = None
            if not self._over.done() or raw.failed is not None:
                self.close()

    def close(self) -> None:
        """Close it at once."""
        self.open = False
        if self._transport is not None:
            self._transport.abort()

    def give_up(self, kind: ErrorKind, said: str) -> None:
        """End what is under way with an error."""
        raw = self._raw
        if raw is None or self._over is None or self._over.done():
            return
        raw.failed, raw.said, raw.done = kind, said, perf_counter_ns()
        self.open = False
        self._over.set_result(None)

    @property
    def last_read(self) -> int:
        """When something came last; 0 before."""
        return self._now

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.open = True

    def data_received(self, data: bytes) -> None:
        self._now = perf_counter_ns()
        if self._raw is None:  # an answer to nothing: what follows can't be trusted
            self.close()
            return
        try:
            self._parser.feed_data(data)
        except self._broken as error:
            self.give_up("malformed", f"no HTTP: {error}")

    def connection_lost(self, error: Exception | None) -> None:
        self.open = False
        if self._raw is None:
            return
        if error is None and self._raw.headers is not None and not self._framed:
            self._finish()
            return
        where = "in mid-answer" if self._raw.headers is not None else "before an answer"
        self.give_up("connection", f"closed {where}" + (f" ({error})" if error else ""))

    # httptools' side

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._raw is not None:
            self._raw.head[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        raw = self._raw
        if raw is None:
            return
        raw.status = self._parser.get_status_code()
        raw.headers = self._now
        self._framed = "content-length" in raw.head or "chunked" in raw.head.get(
            "transfer-encoding", ""
        )

    def on_body(self, body: bytes) -> None:
        raw = self._raw
        if raw is not None:
            raw.times.append(self._now)
            raw.parts.append(body)

    def on_message_complete(self) -> None:
        raw = self._raw
        if raw is not None and raw.status is not None and raw.status < 200:
            raw.status, raw.headers = None, None  # "go on", "early hints": the answer follows
            raw.head.clear()
            return
        if not self._parser.should_keep_alive():
            self.open = False
        self._finish()

    def _finish(self) -> None:
        if self._raw is not None and self._over is not None and not self._over.done():
            self._raw.done = self._now
            self._over.set_result(None)


class _Timer:
    """Gives a request up when one of its times is over.

    It looks when the nearest of them may be over at the earliest, not at each read.
    """

    def __init__(self, loop: Any, connection: Connection, raw: Raw, timeouts: Timeouts) -> None:
        self._loop, self._connection, self._raw, self._timeouts = loop, connection, raw, timeouts
        self._handle: asyncio.TimerHandle | None = None
        self._look()

    def cancel(self) -> None:
        if self._handle is not None:
            self._handle.cancel()

    def _look(self) -> None:
        left, kind, said = min(self._left())
        if left <= 0:
            self._connection.give_up(kind, said)
        else:
            self._handle = self._loop.call_later(left + 0.001, self._look)

    def _left(self) -> list[tuple[float, ErrorKind, str]]:
        now, times, sent = perf_counter_ns(), self._timeouts, self._raw.sent or 0
        total = times.total_s - (now - sent) / 1e9
        if self._raw.parts:
            gap = times.stall_s - (now - self._connection.last_read) / 1e9
            other = gap, "timeout_stall", f"nothing came for {times.stall_s:g} s"
        else:
            first = times.first_byte_s - (now - sent) / 1e9
            other = first, "timeout_first_byte", f"no answer within {times.first_byte_s:g} s"
        return [
            cast("tuple[float, ErrorKind, str]", other),
            (total, "timeout_total", f"no end within {times.total_s:g} s"),
        ]
