"""A simulator behind HTTP/1.1: one process, one loop, one timer for each answer that runs.

All bytes of an answer are made when its request is let in. What remains to be done while it runs
is to hand finished bytes to a socket, so that one core plays hundreds of streams on time. When it
did is kept for each piece, by `perf_counter_ns`: on Linux all processes of a machine share that
clock, so a client's times can be held against it.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from http import HTTPStatus
from typing import IO, Any

import httptools

from mox.simulation.app import SIMULATED, Simulator
from mox.simulation.reply import Piece, Reply
from mox.simulation.sent import SentLog

KEPT, KEPT_PIECES = 20_000, 1_000_000
"""How many requests' send times are kept, and of how many pieces: some 100 MB."""
LARGEST_BYTES = 32 * 2**20
"""Of a request's body."""
WAITING = 16
"""Requests of one connection that may wait for the one before; more of them close it."""
EARLY_NS = 500_000
"""Timers count in milliseconds: a piece goes up to half of one early rather than spin."""
LAST = b"0\r\n\r\n"


class Server:
    """What all connections share.

    Args:
        simulator: what answers.
        log: where each request's send times are written as a line of JSON, if anywhere.
    """

    def __init__(self, simulator: Simulator, *, log: IO[str] | None = None) -> None:
        self.simulator = simulator
        self._kept = SentLog(requests=KEPT, pieces=KEPT_PIECES)
        self.sent = self._kept.rows
        self.connections: set[Connection] = set()
        self._log = log

    def played(self, reply: Reply, admitted_ns: int, sent_ns: list[int]) -> None:
        """Keep when a request's pieces were sent, as many as were."""
        reply.ended(len(sent_ns) == len(reply.pieces))
        found = reply.sent(admitted_ns, sent_ns)
        self._kept.add(found)
        if self._log is not None:
            self._log.write(json.dumps(found, separators=(",", ":")) + "\n")

    def own(self, method: str, path: str) -> Reply | None:
        """Replies about the simulator itself; None where a path is none of those."""
        if not path.startswith("/mox/"):
            return None
        if (method, path) == ("GET", "/mox/stats"):
            return _document(self.simulator.stats())
        if (method, path) == ("POST", "/mox/reset"):
            self.simulator.reset()
            self._kept.clear()
            return _document({"schema": 1, "simulated": True})
        if (method, path) == ("GET", "/mox/sent"):
            lines = "".join(json.dumps(one) + "\n" for one in self.sent.values())
            return _document(lines.encode(), kind="application/jsonl")
        found = self.sent.get(path.removeprefix("/mox/sent/"))
        if method == "GET" and found is not None:
            return _document(found)
        error = {"message": f"{method} {path}: no such thing, or none yet.", "type": "not_found"}
        return _document({"error": error}, status=404)

    async def close(self) -> None:
        """Close all connections; what was playing ends."""
        for connection in tuple(self.connections):
            connection.close()
        await asyncio.sleep(0)
        if self._log is not None:
            self._log.flush()


def _document(value: Any, *, status: int = 200, kind: str = "application/json") -> Reply:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return Reply(status, {"content-type": kind, SIMULATED: "1"}, (Piece(0.0, data),), "mox")


class Connection(asyncio.Protocol):
    """One client's connection: requests are answered one after the other, in their order."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[tuple[str, str, dict[str, str], bytes, bool]] = deque()
        self._player: _Player | None = None
        self._begin()

    def _begin(self) -> None:
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._size = 0

    # What asyncio tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # of a socket, and so both ways
        self._server.connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._server.connections.discard(self)
        self._transport = None
        self._waiting.clear()
        if self._player is not None:
            self._player.stop()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.close()
        except httptools.HttpParserError:
            self._refuse(HTTPStatus.BAD_REQUEST)

    def eof_received(self) -> bool:
        return False  # who sends no more reads no more, with the clients that there are

    # What the parser tells.

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if self._headers.get("expect", "").lower() == "100-continue" and self._transport:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._size <= LARGEST_BYTES:
            self._body.append(body)

    def on_message_complete(self) -> None:
        whole = b"".join(self._body) if self._size <= LARGEST_BYTES else None
        method = self._parser.get_method().decode()
        keep = self._parser.should_keep_alive()
        if whole is None or len(self._waiting) >= WAITING:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE if whole is None
                         else HTTPStatus.TOO_MANY_REQUESTS)  # fmt: skip
            return
        self._waiting.append((method, self._url.decode("latin-1"), self._headers, whole, keep))
        self._begin()
        self._next()

    def _refuse(self, status: HTTPStatus) -> None:
        """The connection's end, said why where no answer is under way."""
        if self._player is None:
            head = f"HTTP/1.1 {status.value} {status.phrase}\r\n{SIMULATED}: 1\r\n"
            self.write(f"{head}content-length: 0\r\nconnection: close\r\n\r\n".encode())
        self.close()

    # One after the other.

    def _next(self) -> None:
        while self._player is None and self._waiting and self._transport is not None:
            method, url, headers, body, keep = self._waiting.popleft()
            admitted_ns = time.perf_counter_ns()
            reply = self._server.own(method, url.partition("?")[0])
            logged = reply is None
            if reply is None:
                reply = self._server.simulator.reply(method, url, headers, body)
            reply = reply.head() if method == "HEAD" else reply
            player = _Player(self, reply, admitted_ns, logged=logged, keep=keep)
            self._player = player
            player.play()

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def over(self, player: _Player, *, keep: bool) -> None:
        """A reply has been played, or was given up."""
        if player.logged:
            self._server.played(player.reply, player.admitted_ns, player.sent_ns)
        self._player = None
        if not keep:
            self.close()
        elif self._transport is not None and self._waiting:
            asyncio.get_running_loop().call_soon(self._next)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class _Player:
    """Hands the pieces of one reply to the socket when they are due."""

    def __init__(
        self, connection: Connection, reply: Reply, admitted_ns: int, *, logged: bool, keep: bool
    ) -> None:
        self.reply = reply
        self.admitted_ns = admitted_ns
        self.sent_ns: list[int] = []
        self.logged = logged
        self._connection = connection
        self._keep = keep and reply.ending != "cut"
        self._loop = asyncio.get_running_loop()
        # The loop's clock may be coarser than ours: times of waiting are reckoned by ours.
        self._due_ns = [admitted_ns + round(piece.due_s * 1e9) for piece in reply.pieces]
        self._bytes = _framed(reply, keep=self._keep)
        self._timer: asyncio.TimerHandle | None = None

    def play(self) -> None:
        """All that is due, and then sleep until the next piece is."""
        at, due = len(self.sent_ns), self._due_ns
        now = time.perf_counter_ns()
        first = at
        while at < len(due) and due[at] <= now + EARLY_NS:
            at += 1
        if at > first:
            data = self._bytes[first] if at == first + 1 else b"".join(self._bytes[first:at])
            now = time.perf_counter_ns()
            self._connection.write(data)
            self.sent_ns += [now] * (at - first)
        if at < len(due):
            self._timer = self._loop.call_later((due[at] - now) / 1e9, self.play)
            return
        self._timer = None
        if self.reply.ending == "stalled":
            return  # until the client goes
        self._connection.over(self, keep=self._keep)

    def stop(self) -> None:
        """The client went away."""
        if self._timer is not None:
            self._timer.cancel()
        self._connection.over(self, keep=True)


def _framed(reply: Reply, *, keep: bool) -> list[bytes]:
    """A reply's pieces as HTTP/1.1: the head before the first, chunks where it is a stream."""
    status = HTTPStatus(reply.status).phrase if reply.status != 529 else "Overloaded"
    lines = [f"HTTP/1.1 {reply.status} {status}"]
    lines += [f"{name}: {value}" for name, value in reply.headers.items()]
    lines += ["transfer-encoding: chunked" if reply.streamed
              else f"content-length: {reply.length}"]  # fmt: skip
    if not keep and reply.ending == "whole":
        lines.append("connection: close")
    head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    if reply.streamed:
        data = [
            b"%x\r\n%b\r\n" % (len(piece.data), piece.data) if piece.data else b""
            for piece in reply.pieces
        ]
    else:
        data = [piece.data for piece in reply.pieces]
    if data:
        data[0] = head + data[0]
        if reply.streamed and reply.ending == "whole":
            data[-1] += LAST
    return data
