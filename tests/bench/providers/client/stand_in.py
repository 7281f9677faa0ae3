"""A small provider of our own: real HTTP, one fault each. What a prompt says is what it does.

The prompt is JSON: `n` deltas of `text`, the first after `ttft` seconds and then one each `itl`;
`fault` names what goes wrong. Everything that is asked is noted, with its moment and connection.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from dataclasses import dataclass, field, replace
from typing import Any

Writer = asyncio.StreamWriter


@dataclass
class Asked:
    """One request as it came."""

    at_ns: int
    connection: int
    path: str
    head: dict[str, str]
    body: dict[str, Any]
    say: dict[str, Any]
    sent_ns: list[int] = field(default_factory=list)
    """When each delta went."""
    ended_ns: int = 0


class Server:
    """Answers on a free port of this machine, on a thread of its own, until `close`."""

    def __init__(self, tls: Any = None) -> None:
        self.asked: list[Asked] = []
        self._connections = 0
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        assert ready.wait(10)

    def forget(self) -> None:
        """Know nothing of what was asked before."""
        self.asked = []

    def _spoilt(self, asked: Asked) -> Asked:
        """With `busy`, so many first attempts of each request are refused."""
        same = [one for one in self.asked if one.say == asked.say]
        if len(same) > asked.say.get("busy", len(same)):
            return asked
        refusal = {"status": 529, "body": {"error": {"message": "busy"}}}
        return replace(asked, say=refusal) if "busy" in asked.say else asked

    def close(self) -> None:
        async def end() -> None:
            self._server.close()
            tasks = [one for one in asyncio.all_tasks() if one is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _run(self, ready: threading.Event) -> None:
        async def start() -> None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
            self.port = self._server.sockets[0].getsockname()[1]

        self._loop.run_until_complete(start())
        ready.set()
        self._loop.run_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: Writer) -> None:
        self._connections += 1
        number = self._connections
        try:
            while True:
                asked = await _heard(reader, number)
                self.asked.append(asked)
                try:
                    await _answer(self._spoilt(asked), writer)
                finally:
                    asked.ended_ns = time.perf_counter_ns()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


async def _heard(reader: asyncio.StreamReader, connection: int) -> Asked:
    top, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().rstrip().split("\r\n")
    at_ns = time.perf_counter_ns()
    head = dict(line.split(": ", 1) for line in lines)
    body = json.loads(await reader.readexactly(int(head["content-length"])))
    turns = body.get("messages") or body.get("input")
    content = turns[-1]["content"]
    prompt = content if isinstance(content, str) else content[0]["text"]
    return Asked(at_ns, connection, top.split()[1], head, body, json.loads(prompt))


async def _answer(asked: Asked, writer: Writer) -> None:
    say = asked.say
    if say.get("fault") == "silence":
        await asyncio.sleep(60)
    if (status := say.get("status")) is not None:
        content = say["body"] if isinstance(say["body"], str) else json.dumps(say["body"])
        extra = "".join(f"{name}: {value}\r\n" for name, value in say.get("head", {}).items())
        writer.write(
            f"HTTP/1.1 {status} x\r\ncontent-length: {len(content.encode())}\r\n{extra}\r\n"
            f"{content}".encode()
        )
        await writer.drain()
        return
    if say.get("fault") == "half a head":
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-")
        writer.close()
        raise ConnectionError
    framed = say.get("fault") != "until closed"
    writer.write(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-request-id: req_7\r\n"
        + (b"transfer-encoding: chunked\r\n\r\n" if framed else b"connection: close\r\n\r\n")
    )
    for raw in _events(asked):
        if raw is None:
            await asyncio.sleep(say.get("ttft", 0) if not asked.sent_ns else say.get("itl", 0))
            asked.sent_ns.append(time.perf_counter_ns())
            continue
        if raw == b"cut":
            writer.transport.abort()
            raise ConnectionError
        if raw == b"stall":
            await asyncio.sleep(60)
        writer.write(b"%x\r\n%b\r\n" % (len(raw), raw) if framed else raw)
        await writer.drain()
    if not framed:
        writer.close()
        raise ConnectionError
    writer.write(b"0\r\n\r\n")
    await writer.drain()


def _events(asked: Asked) -> Any:
    """Bytes to send; None where time passes first."""
    say, path = asked.say, asked.path
    wire = "chat" if path.endswith("completions") else path.rsplit("/", 1)[-1]
    fault, n = say.get("fault"), say.get("n", 3)
    if say.get("raw") is not None:
        yield None
        for part in say["raw"]:
            yield part.encode("latin-1")
        return
    yield from _sse(_BEGIN[wire])
    for at in range(n):
        yield None
        if at == 1 and fault in ("cut", "stall"):
            yield fault.encode()
        if at == 1 and fault == "error":
            yield from _sse([_ERROR[wire]])
            return
        yield from _sse([_DELTA[wire](say.get("text", "tok "))])
    if fault == "truncated":
        return
    *ending, last = _sse(_END[wire](n))
    yield from ending
    if fault == "cut before the count":
        yield b"cut"
    yield last
    if wire == "chat":
        yield b"data: [DONE]\n\n"
    if fault in ("cut after the end", "stall after the end"):
        yield fault.split()[0].encode()


def _sse(values: list[dict[str, Any]]) -> Any:
    for value in values:
        name = f"event: {value['type']}\n" if "type" in value else ""
        yield f"{name}data: {json.dumps(value)}\n\n".encode()


def _chat(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}], "usage": None}


_BEGIN = {
    "chat": [_chat({"role": "assistant", "content": ""})],
    "responses": [{"type": "response.created", "response": {"status": "in_progress"}}],
    "messages": [
        {
            "type": "message_start",
            "message": {
                "usage": {
                    "input_tokens": 11, "cache_read_input_tokens": 5,
                    "cache_creation_input_tokens": 2, "output_tokens": 1,
                }
            },
        },
        {"type": "ping"},
    ],
}  # fmt: skip
_DELTA = {
    "chat": lambda text: _chat({"content": text}),
    "responses": lambda text: {"type": "response.output_text.delta", "delta": text},
    "messages": lambda text: {
        "type": "content_block_delta",
        "delta": {"type": "text_delta", "text": text},
    },
}
_END = {
    "chat": lambda n: [
        _chat({}, "stop"),
        {
            "choices": [],
            "usage": {
                "prompt_tokens": 18, "completion_tokens": n,
                "prompt_tokens_details": {"cached_tokens": 5},
            },
        },
    ],
    "responses": lambda n: [
        {
            "type": "response.completed",
            "response": {
                "status": "completed",
                "usage": {
                    "input_tokens": 18, "output_tokens": n,
                    "input_tokens_details": {"cached_tokens": 5},
                },
            },
        }
    ],
    "messages": lambda n: [
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn"},
            "usage": {"output_tokens": n},
        },
        {"type": "message_stop"},
    ],
}  # fmt: skip
_ERROR = {
    "chat": {"error": {"message": "boom", "type": "server_error"}},
    "responses": {"type": "error", "code": "server_error", "message": "boom"},
    "messages": {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
}


def most_open(asked: list[Asked]) -> int:
    """How many of some requests were answered at the same time, at most."""
    steps = [(one.at_ns, 1) for one in asked] + [(one.ended_ns, -1) for one in asked]
    now = most = 0
    for _, step in sorted(steps):
        now += step
        most = max(most, now)
    return most
