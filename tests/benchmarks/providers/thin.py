"""A provider of one account over kept connections: no SDK, little CPU.

An SDK's 2 to 3 ms for a request and 0.2 ms for a chunk, of several processes on a few cores, would
be booked as the pool's.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

from mox.errors import ProviderError
from mox.providers.standing import retry_after_s, standing
from mox.types.providers import Answer, Delta, Event, Request, Timings, Usage


class Thin:
    """A `Provider`.

    Args:
        wire: `chat` or `messages`.
    """

    def __init__(self, url: str, wire: str, key: str) -> None:
        self._host, _, self._port = url.removeprefix("http://").partition(":")
        self._wire, self._key = wire, key
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def stream(self, request: Request, *, timeout_s: float = 120.0) -> AsyncIterator[Event]:
        """See `Provider`; it takes whatever time it takes."""
        if self._free:
            reader, writer = self._free.pop()
        else:
            reader, writer = await asyncio.open_connection(self._host, int(self._port))
        whole = False
        try:
            sent = time.perf_counter_ns()
            writer.write(self._said(request))
            status, headers = await _head(reader)
            if status != 200:
                await reader.readexactly(int(headers["content-length"]))
                whole = True
                raise _refused(status, headers, self._wire)
            text, usage = "", Usage()
            async for said in _events(reader):
                piece, usage = _read(said, usage)
                if piece:
                    text += piece
                    yield Delta(piece, "text", time.perf_counter_ns())
            whole = True
        finally:
            if whole:
                self._free.append((reader, writer))
            else:
                writer.close()
        timings = Timings(sent, done=time.perf_counter_ns())
        yield Answer(
            text, usage, "stop", request.model, None, timings, standing=standing(headers),
            simulated=True,
        )  # fmt: skip

    async def complete(self, request: Request, *, timeout_s: float = 120.0) -> Answer:
        """See `Provider`."""
        async for event in self.stream(request, timeout_s=timeout_s):
            if isinstance(event, Answer):
                return event
        raise AssertionError

    async def aclose(self) -> None:
        """See `Provider`."""
        for _, writer in self._free:
            writer.close()

    def _said(self, request: Request) -> bytes:
        path = "/v1/chat/completions" if self._wire == "chat" else "/v1/messages"
        asked: dict[str, Any] = {
            "model": request.model, "max_tokens": request.max_output_tokens, "stream": True,
            "messages": [{"role": each.role, "content": each.text} for each in request.messages],
        }  # fmt: skip
        if self._wire == "chat":
            asked["stream_options"] = {"include_usage": True}
        body = json.dumps(asked).encode()
        return (
            f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {self._key}\r\n"
            "anthropic-version: 2023-06-01\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        ).encode() + body


async def _head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    """Status, and headers in lower case."""
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().rstrip().split("\r\n")
    rows = (line.partition(":") for line in lines)
    return int(first.split()[1]), {name.lower(): value.strip() for name, _, value in rows}


async def _events(reader: asyncio.StreamReader) -> AsyncIterator[dict[str, Any]]:
    """What a chunked stream of server-sent events says."""
    kept = b""
    while size := int(await reader.readline(), 16):
        *events, kept = (kept + (await reader.readexactly(size + 2))[:-2]).split(b"\n\n")
        for event in events:
            data = event.partition(b"data: ")[2]
            if data != b"[DONE]":
                yield json.loads(data)
    await reader.readline()


def _read(said: dict[str, Any], usage: Usage) -> tuple[str, Usage]:
    """An event's text, and the usage that is known after it."""
    if "choices" in said:
        pieces = [each["delta"].get("content") or "" for each in said["choices"]]
        counted = said.get("usage") or {}
        if counted:
            usage = Usage(counted["prompt_tokens"], output_tokens=counted["completion_tokens"])
        return "".join(pieces), usage
    if said["type"] == "message_start":
        usage = Usage(said["message"]["usage"]["input_tokens"])
    elif said["type"] == "message_delta":
        usage = Usage(usage.input_tokens, output_tokens=said["usage"]["output_tokens"])
    return said.get("delta", {}).get("text", ""), usage


def _refused(status: int, headers: dict[str, str], wire: str) -> ProviderError:
    kind: Any = "server"
    if status == 429:
        kind = "rate_limit_output" if wire == "messages" else "rate_limit_tokens"
    return ProviderError(
        f"the simulator said {status}.", mend="see its limits.", kind=kind, status=status,
        retry_after_s=retry_after_s(headers),
    )  # fmt: skip
