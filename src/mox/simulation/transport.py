"""A simulator in this process: a transport for `httpx2` clients, the SDKs' own included.

No port and no second process. Pieces are handed over when they are due, by the event loop's
timers; a loop that is kept busy hands them over late, as it would read a socket late.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx2

from mox.simulation.app import Simulator
from mox.simulation.config import Simulation, made
from mox.simulation.reply import Reply
from mox.simulation.sent import SentLog

KEPT, KEPT_PIECES = 10_000, 100_000
"""How many requests' send times are kept, and of how many pieces: some 20 MB of a kernel's."""


class SimulatedTransport(httpx2.AsyncBaseTransport):
    """Plays a simulator's replies.

    Args:
        simulation: what is simulated, or a simulator that several clients share.
    """

    def __init__(self, simulation: Simulation | Mapping[str, Any] | Simulator) -> None:
        self.simulator = (
            simulation if isinstance(simulation, Simulator) else Simulator(made(simulation))
        )
        self.simulator.warm(vectors=False)
        self.kept = SentLog(requests=KEPT, pieces=KEPT_PIECES)
        self.sent = self.kept.rows
        """What was handed over when, by request id, of the latest requests."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """One request: returns with the headers, when the first piece is due."""
        body = await request.aread()
        given = {name.lower(): value for name, value in request.headers.items()}
        admitted_ns = time.perf_counter_ns()
        reply = self.simulator.reply(request.method, request.url.raw_path.decode(), given, body)
        reply = reply.head() if request.method == "HEAD" else reply
        stream = _Played(reply, admitted_ns, request, self)
        try:
            await stream.first_due()
        except BaseException:
            await stream.aclose()
            raise
        return httpx2.Response(reply.status, headers=reply.headers, stream=stream)


class _Played(httpx2.AsyncByteStream):
    """A reply's body, piece by piece."""

    def __init__(
        self, reply: Reply, admitted_ns: int, request: httpx2.Request, by: SimulatedTransport
    ) -> None:
        self._reply = reply
        # One for all: who leaves off reading and begins again, as OpenAI's SDK does after [DONE],
        # gets the rest, as from a socket.
        self._pieces = iter(reply.pieces)
        self._admitted_ns = admitted_ns
        self._request = request
        self._by = by
        self._sent_ns: list[int] = []
        self._over = False

    async def first_due(self) -> None:
        """Until the first piece is due; as long as the client waits where there is none."""
        if self._reply.pieces:
            await self._until(self._reply.pieces[0].due_s)
        elif self._reply.ending == "stalled":
            await self._silence()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            for piece in self._pieces:
                await self._until(piece.due_s)
                self._sent_ns.append(time.perf_counter_ns())
                if piece.data:
                    yield piece.data
            if self._reply.ending == "stalled":
                await self._silence()
            if self._reply.ending == "cut":
                raise httpx2.RemoteProtocolError(
                    "peer closed connection without sending complete message body (simulated)",
                    request=self._request,
                )
        except GeneratorExit:
            raise  # whoever left off may go on; it is over when the response is closed
        except BaseException:
            self._end()
            raise
        self._end()

    async def aclose(self) -> None:
        self._end()

    def __del__(self) -> None:
        self._end()  # of a client that neither read to the end nor closed

    def _end(self) -> None:
        if not self._over:
            self._over = True
            self._reply.ended(len(self._sent_ns) == len(self._reply.pieces))
            self._by.kept.add(self._reply.sent(self._admitted_ns, self._sent_ns))

    async def _until(self, due_s: float) -> None:
        left = due_s - (time.perf_counter_ns() - self._admitted_ns) / 1e9
        # Pieces that are due at once go in one turn of the loop, as they would in one packet.
        if left > 0:
            await asyncio.sleep(left)

    async def _silence(self) -> None:
        """Nothing comes: until the client's own limit of time, told as httpx2 tells it."""
        limits = self._request.extensions.get("timeout") or {}
        await asyncio.sleep(limits.get("read") or float(10**9))
        raise httpx2.ReadTimeout("nothing came (simulated)", request=self._request)
