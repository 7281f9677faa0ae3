"""A server that says exactly what a test tells it to, byte by byte, over real HTTP; and answers
of the three wires, as their providers document them."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest

from mox.errors import ProviderError
from mox.providers import providers
from mox.providers.anthropic import Anthropic
from mox.providers.openai import OpenAI
from mox.providers.stamping import Patience
from mox.types.providers import Event, Message, Provider, Request

OPENAI_HEADERS = {
    "content-type": "text/event-stream",
    "x-request-id": "req_openai_1",
    "x-ratelimit-limit-requests": "60",
    "x-ratelimit-limit-tokens": "150000",
    "x-ratelimit-remaining-requests": "59",
    "x-ratelimit-remaining-tokens": "149984",
    "x-ratelimit-reset-requests": "1s",
    "x-ratelimit-reset-tokens": "6m0s",
}
"""The values of OpenAI's guide to rate limits."""
ANTHROPIC_HEADERS = {
    "content-type": "text/event-stream",
    "request-id": "req_anthropic_1",
    "anthropic-ratelimit-requests-limit": "50",
    "anthropic-ratelimit-requests-remaining": "49",
    "anthropic-ratelimit-input-tokens-limit": "40000",
    "anthropic-ratelimit-input-tokens-remaining": "39000",
    "anthropic-ratelimit-output-tokens-limit": "8000",
    "anthropic-ratelimit-output-tokens-remaining": "8000",
}


@dataclass
class Reply:
    """What one request gets: pieces go out one by one, a number is a pause in seconds."""

    pieces: list[bytes | float]
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    ending: str = "whole"
    """`whole`; `cut`, the connection closes in mid-body; `hangs`, it stays open; `silent`, not
    even a head comes."""


@dataclass
class Raw:
    """A running server, and what it was asked."""

    url: str
    reply: Callable[[dict[str, Any]], Reply]
    asked: list[dict[str, Any]] = field(default_factory=list)
    """Of each request: path, headers, and its body as JSON."""
    open: int = 0
    """Connections now."""
    connections: int = 0
    """Ever."""

    async def closed(self, seconds: float = 5.0) -> bool:
        """Whether all connections close in that time."""
        for _ in range(int(seconds / 0.01)):
            if not self.open:
                return True
            await asyncio.sleep(0.01)
        return False

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.connections += 1
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client left, as a test may want it to
        finally:
            self.open -= 1
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        headers = {k.lower(): v.strip() for k, v in (line.split(":", 1) for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.asked.append(
            {"path": first.split()[1], "headers": headers, "body": json.loads(body or b"null")}
        )
        reply = self.reply(self.asked[-1])
        if reply.ending == "silent":
            await reader.read()
            return False
        said = "".join(f"{name}: {value}\r\n" for name, value in reply.headers.items())
        writer.write(
            f"HTTP/1.1 {reply.status} X\r\n{said}transfer-encoding: chunked\r\n\r\n".encode()
        )
        for piece in reply.pieces:
            if isinstance(piece, bytes):
                writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                await writer.drain()
            else:
                await asyncio.sleep(piece)
        if reply.ending == "hangs":
            await reader.read()
        if reply.ending != "whole":
            return False
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True


@asynccontextmanager
async def serving(reply: Reply | Callable[[dict[str, Any]], Reply]) -> AsyncIterator[Raw]:
    """A server on a free port, in this event loop."""
    raw = Raw("", reply if callable(reply) else lambda _: reply)
    server = await asyncio.start_server(raw._serve, "127.0.0.1", 0)
    raw.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield raw
    finally:
        server.close()
        for _ in range(200):
            if not raw.open:
                break
            await asyncio.sleep(0.01)


def data(value: Any) -> bytes:
    """An event of Chat Completions."""
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n".encode()


def event(value: dict[str, Any]) -> bytes:
    """An event of Responses or Messages, named by its type."""
    text = json.dumps(value, ensure_ascii=False)
    return f"event: {value['type']}\ndata: {text}\n\n".encode()


def chat(*texts: str, reason: str = "stop") -> list[bytes | float]:
    """A stream of Chat Completions, as OpenAI's reference shows one with `include_usage`."""
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m-1"}

    def chunk(delta: dict[str, Any], end: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": end}
        return data({**head, "choices": [choice], "usage": None})

    usage = {
        "prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }  # fmt: skip
    return [
        chunk({"role": "assistant", "content": ""}),
        *(chunk({"content": text}) for text in texts),
        chunk({}, reason),
        data({**head, "choices": [], "usage": usage}),
        b"data: [DONE]\n\n",
    ]


def chat_whole(text: str, reason: str = "stop") -> list[bytes | float]:
    """The same, at once."""
    usage = {
        "prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }  # fmt: skip
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": 0, "message": message, "finish_reason": reason, "logprobs": None}
    body = {"id": "c", "object": "chat.completion", "created": 1, "model": "m-1",
            "choices": [choice], "usage": usage}  # fmt: skip
    return [json.dumps(body).encode()]


def response(text: str | None, status: str = "completed", **more: Any) -> dict[str, Any]:
    """An object of Responses."""
    usage = {
        "input_tokens": 11, "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
        "output_tokens": 7, "output_tokens_details": {"reasoning_tokens": 2}, "total_tokens": 18,
    }  # fmt: skip
    part = {"type": "output_text", "text": text, "annotations": []}
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
            "content": [part]}  # fmt: skip
    return {
        "id": "resp_1", "object": "response", "created_at": 1, "status": status, "error": None,
        "incomplete_details": None, "model": "m-1", "tools": [], "tool_choice": "auto",
        "parallel_tool_calls": True, "output": [] if text is None else [item],
        "usage": None if text is None else usage, **more,
    }  # fmt: skip


def responses(*texts: str, status: str = "completed", **more: Any) -> list[bytes | float]:
    """A stream of Responses."""
    at = {"item_id": "msg_1", "output_index": 0, "content_index": 0, "logprobs": []}
    events = [
        {"type": "response.created", "response": response(None, "in_progress")},
        *({"type": "response.output_text.delta", "delta": text, **at} for text in texts),
        {"type": f"response.{status}", "response": response("".join(texts), status, **more)},
    ]
    return [event({**one, "sequence_number": n}) for n, one in enumerate(events)]


def message(**more: Any) -> dict[str, Any]:
    """An object of Messages. By Anthropic's count the input is 5 and, from a cache, 4 and 2."""
    usage = {"input_tokens": 5, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 2,
             "output_tokens": 1}  # fmt: skip
    return {"id": "msg_1", "type": "message", "role": "assistant", "model": "m-1", "content": [],
            "stop_reason": None, "stop_sequence": None, "usage": usage, **more}  # fmt: skip


def messages(*texts: str, reason: str = "end_turn") -> list[bytes | float]:
    """A stream of Messages, as Anthropic's reference shows one."""
    block = {"type": "text", "text": ""}
    usage = {"output_tokens": 7, "output_tokens_details": {"thinking_tokens": 2}}
    events = [
        {"type": "message_start", "message": message()},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "ping"},
        *(
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": t}}
            for t in texts
        ),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None},
         "usage": usage},
        {"type": "message_stop"},
    ]  # fmt: skip
    return [event(one) for one in events]


STREAMS = {"chat": chat, "responses": responses, "messages": messages}


def whole(wire: str, text: str) -> list[bytes | float]:
    """An answer at once."""
    if wire == "chat":
        return chat_whole(text)
    if wire == "responses":
        return [json.dumps(response(text)).encode()]
    content = [{"type": "text", "text": text}]
    usage = {**message()["usage"], "output_tokens": 7,
             "output_tokens_details": {"thinking_tokens": 2}}  # fmt: skip
    return [json.dumps(message(content=content, stop_reason="end_turn", usage=usage)).encode()]


def good(wire: str, *texts: str) -> Callable[[dict[str, Any]], Reply]:
    """A server's part: streams where it is asked to, else answers at once."""
    headers = ANTHROPIC_HEADERS if wire == "messages" else OPENAI_HEADERS

    def reply(asked: dict[str, Any]) -> Reply:
        if asked["body"].get("stream"):
            return Reply(STREAMS[wire](*texts), headers=headers)
        kind = {"content-type": "application/json"}
        return Reply(whole(wire, "".join(texts)), headers={**headers, **kind})

    return reply


class Elsewhere(httpx2.AsyncHTTPTransport):
    """The network, but each request goes to a server of the test's: what is asked of a provider's
    own address never leaves this machine."""

    def __init__(self, url: str) -> None:
        super().__init__(verify=False)
        self._to = httpx2.URL(url)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        request.url = request.url.copy_with(
            scheme=self._to.scheme, host=self._to.host, port=self._to.port
        )
        return await super().handle_async_request(request)


def spec_of(wire: str, **more: Any) -> OpenAI | Anthropic:
    """The providers' own kinds, of a wire."""
    if wire == "messages":
        return Anthropic(model="m", **more)
    return OpenAI(model="m", api=wire, **more)


def open_at(wire: str, raw: Raw, **patience: float) -> Provider:
    """The account of a wire, with a key, at the test's server."""
    spec = spec_of(wire)
    opened: Provider = providers[spec](
        spec, transport=Elsewhere(raw.url), patience=Patience(**patience)
    )
    return opened


def ask(**more: Any) -> Request:
    """A request."""
    return Request(**{"model": "m", "messages": (Message("user", "Why?"),), **more})


async def drained(provider: Provider, request: Request, **more: Any) -> list[Event]:
    """All that a stream gives."""
    return [event async for event in provider.stream(request, **more)]


WIRES = ("chat", "responses", "messages")


@pytest.fixture(params=WIRES)
def wire(request: pytest.FixtureRequest) -> str:
    """Each of the three."""
    return str(request.param)


async def told(wire: str, reply: Any, **more: Any) -> ProviderError:
    """The error that a stream of this reply raises."""
    patience = {k: more.pop(k) for k in ("first_byte_s", "stall_s") if k in more}
    async with serving(reply) as raw:
        provider = open_at(wire, raw, **patience)
        with pytest.raises(ProviderError, match=r".") as caught:
            await drained(provider, ask(), **more)
        await provider.aclose()
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert caught.value.mend
    return caught.value


@pytest.fixture
def lab() -> Any:
    """What the tests of this folder work with."""
    return SimpleNamespace(**globals())


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key for each provider, and nothing else of the developer's."""
    for name in [name for name in os.environ if name.startswith(("OPENAI_", "ANTHROPIC_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OPENAI_API_KEY", "an-openai-key-of-tests")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "an-anthropic-key-of-tests")
