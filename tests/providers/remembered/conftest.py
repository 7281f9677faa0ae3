"""A provider that counts what it is asked, and processes that ask it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest

from mox.providers.compatible import Compatible, open_compatible
from mox.providers.remembered import Origin, Remembered
from mox.types.providers import Answer, Message, Request


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    asked: list[str]
    slow_s = 0.0
    simulated = False


class _Handler(BaseHTTPRequestHandler):
    """Chat Completions: says how many requests came so far. The first of "fail" fails."""

    server: _Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text = body["messages"][0]["content"]
        self.server.asked.append(text)
        said = f"{text}: {len(self.server.asked)}"
        time.sleep(self.server.slow_s)
        usage = {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13}
        whole = {"id": "req", "object": "chat.completion", "created": 1, "model": "m-1"}
        if text == "fail" and self.server.asked.count(text) == 1:
            self.answer(500, json.dumps({"error": {"message": "no"}}))
        elif body.get("stream"):
            events = [
                {"choices": [{"index": 0, "delta": {"content": said}, "finish_reason": None}]},
                {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
                {"choices": [], "usage": usage},
            ]
            lines = [f"data: {json.dumps({**whole, **event})}\n\n" for event in events]
            self.answer(200, "".join([*lines, "data: [DONE]\n\n"]), kind="text/event-stream")
        else:
            message = {"role": "assistant", "content": said}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            self.answer(200, json.dumps({**whole, "choices": [choice], "usage": usage}))

    def answer(self, status: int, text: str, *, kind: str = "application/json") -> None:
        raw = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(raw)))
        if self.server.simulated:
            self.send_header("x-mox-simulated", "true")
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: object) -> None:
        """Nothing is written."""


@pytest.fixture
def server() -> Iterator[_Server]:
    made = _Server(("127.0.0.1", 0), _Handler)
    made.asked = []
    running = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    running.start()
    yield made
    made.shutdown()
    running.join()
    made.server_close()


def url(server: _Server) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}"


def asked(text: str = "why?", **fields: Any) -> Request:
    return Request("m", (Message("user", text),), **fields)


def spec_of(server: _Server, **changes: Any) -> Compatible:
    return Compatible(model="m", base_url=f"{url(server)}/v1", **changes)


def remembered(server: _Server, **changes: Any) -> Remembered:
    spec = spec_of(server)
    return Remembered(open_compatible(spec), Origin.of(spec), **changes)


T = TypeVar("T")


def run(memo: Remembered, work: Callable[[Remembered], Awaitable[T]]) -> T:
    """All that is asked of a memo, in one loop, and its end."""

    async def whole() -> T:
        try:
            return await work(memo)
        finally:
            await memo.aclose()

    return asyncio.run(whole())


def ask(memo: Remembered, *texts: str) -> list[Answer]:
    """One after the other."""

    async def each(memo: Remembered) -> list[Answer]:
        return [await memo.complete(asked(text)) for text in texts or ("why?",)]

    return run(memo, each)


ASKS = """
import asyncio, sys
from mox.providers.compatible import Compatible, open_compatible
from mox.providers.remembered import Origin, Remembered
from mox.types.providers import Message, Request

async def ask():
    spec = Compatible(model="m", base_url=sys.argv[1])
    memo = Remembered(open_compatible(spec), Origin.of(spec))
    print("ready", flush=True)
    while text := sys.stdin.readline().strip():
        answer = await memo.complete(Request("m", (Message("user", text),)))
        print(answer.text, memo.hits, memo.misses, flush=True)
    await memo.aclose()

asyncio.run(ask())
"""


class Process:
    """Another one, that asks what it is told to."""

    def __init__(self, server: _Server, **environment: str) -> None:
        self.running = subprocess.Popen(
            [sys.executable, "-c", ASKS, f"{url(server)}/v1"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        assert self.said() == "ready"

    def ask(self, text: str) -> None:
        assert self.running.stdin is not None
        self.running.stdin.write(f"{text}\n")
        self.running.stdin.flush()

    def said(self) -> str:
        assert self.running.stdout is not None
        return self.running.stdout.readline().strip()

    def end(self) -> None:
        self.running.kill()
        self.running.communicate(timeout=20)


@pytest.fixture
def lab() -> SimpleNamespace:
    """What the tests of this folder ask by."""
    return SimpleNamespace(**globals())
