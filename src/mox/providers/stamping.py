"""When bytes go and come: an httpx2 client that notes it, below whatever reads the answer.

Imported only by what opens an SDK's client: it needs httpx2.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import httpx2

DRAIN_S = 0.05
"""An SDK stops reading at the last event. What follows it is nothing but the end of the body; a
connection on which that was not read can't be used again."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long silence is borne, in seconds of this machine's clock."""

    connect_s: float = 10.0
    first_byte_s: float = 60.0
    """Of a stream, from the sending to the first byte of its body."""
    stall_s: float = 60.0
    """Between two pieces of a stream."""


@dataclass(slots=True)
class Stamps:
    """Moments of one attempt, `time.perf_counter_ns`, and what its head said."""

    patience: Patience
    sent: int | None = None
    headers: int | None = None
    first: int | None = None
    last: int | None = None
    """The newest bytes of the body. An SDK reads on only when it has handed out all events of
    what it has, so they are those that completed the event it hands out."""
    status: int | None = None
    said: dict[str, str] = field(default_factory=dict)
    """The response's headers, names in lower case."""


_current: ContextVar[Stamps] = ContextVar("stamps")


@contextmanager
def noting(stamps: Stamps) -> Iterator[None]:
    """What is sent within, by this task, is noted there."""
    token = _current.set(stamps)
    try:
        yield
    finally:
        _current.reset(token)


class StampingClient(httpx2.AsyncClient):
    """Notes when requests go and answers come, and ends what stays silent too long.

    The silence is measured here and not by httpx2's own limits, so that it is the same over any
    transport.
    """

    async def send(
        self,
        request: httpx2.Request,
        *,
        stream: bool = False,
        auth: Any = httpx2.USE_CLIENT_DEFAULT,
        follow_redirects: Any = httpx2.USE_CLIENT_DEFAULT,
    ) -> httpx2.Response:
        """As httpx2's own; a whole answer (not `stream`) may take as long as its caller lets it."""
        stamps = _current.get()
        stamps.sent = time.perf_counter_ns()
        async with _within(stamps.patience.first_byte_s if stream else None, request):
            response = await super().send(
                request, stream=True, auth=auth, follow_redirects=follow_redirects
            )
        stamps.headers = time.perf_counter_ns()
        stamps.status = response.status_code
        stamps.said = {name.lower(): value for name, value in response.headers.items()}
        response.stream = _Stamped(response, stamps, hasty=stream)
        if not stream:
            try:
                await response.aread()
            except BaseException:
                await response.aclose()
                raise
        return response


class _Stamped(httpx2.AsyncByteStream):
    """A body, each piece noted as it is read."""

    def __init__(self, response: httpx2.Response, stamps: Stamps, *, hasty: bool) -> None:
        if not isinstance(response.stream, httpx2.AsyncByteStream):
            raise TypeError("a transport for AsyncClient answers with an AsyncByteStream")
        self._inner = response.stream
        self._pieces = aiter(self._inner)
        self._request = response.request
        self._stamps = stamps
        self._hasty = hasty
        self._ended = False
        self._tail = b""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        stamps = self._stamps
        while True:
            limit = (
                stamps.patience.first_byte_s if stamps.first is None else stamps.patience.stall_s
            )
            async with _within(limit if self._hasty else None, self._request):
                piece = await anext(self._pieces, None)
            if piece is None:
                self._ended = True
                return
            stamps.last = time.perf_counter_ns()
            if stamps.first is None:
                stamps.first = stamps.last
            self._tail = (self._tail + piece)[-64:] if len(piece) < 64 else piece[-64:]
            yield piece

    async def aclose(self) -> None:
        if not self._ended and b"[DONE]" in self._tail:
            await self._drain()
        await self._inner.aclose()
        if isinstance(self._pieces, AsyncGenerator):
            await self._pieces.aclose()

    async def _drain(self) -> None:
        """Read the end of the body, so that the connection can be used again."""
        try:
            async with asyncio.timeout(DRAIN_S):
                while await anext(self._pieces, None) is not None:
                    pass
        except (TimeoutError, httpx2.TransportError):
            return  # then it is closed instead


@asynccontextmanager
async def _within(limit_s: float | None, request: httpx2.Request) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(limit_s) as timer:
            yield
    except TimeoutError:
        if not timer.expired():
            raise
        raise httpx2.ReadTimeout(f"silent for {limit_s:g} s", request=request) from None
