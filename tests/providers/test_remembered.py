"""Answers that were paid once: kept here and for others, whole or not at all."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

import pytest

from mox.errors import BudgetError, MemoWarning, ProviderError, SpecError
from mox.providers.budget import Budget, RunBook
from mox.providers.compatible import Compatible, open_compatible
from mox.providers.ledger import Ledger
from mox.providers.pool import memory_pool
from mox.providers.pool.limits import Account, Limits
from mox.providers.pooled import Manner, Pooled
from mox.providers.prices import Prices
from mox.providers.remembered import Origin, Remembered
from mox.providers.shared import ROW_BYTES, SharedAnswers
from mox.providers.simulated import Simulated, open_simulated
from mox.types.providers import Answer, Delta, Event, Message, Request, Usage


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


def test_the_second_asking_costs_nothing_and_says_the_same(server: _Server) -> None:
    memo = remembered(server)
    first, second = ask(memo, "why?", "why?")
    assert server.asked == ["why?"]
    assert (memo.hits, memo.misses) == (1, 1)
    assert (second.text, second.usage, second.finish) == ("why?: 1", Usage(10, 0, 0, 3), "stop")
    assert second.timings.first_text is None  # nothing was streamed
    assert (first.text, first.request_id) == (second.text, second.request_id)


def test_a_stream_is_remembered_and_answers_complete(server: _Server) -> None:
    async def go(memo: Remembered) -> tuple[list[Event], list[Event], Answer]:
        first = [event async for event in memo.stream(asked())]
        second = [event async for event in memo.stream(asked())]
        return first, second, await memo.complete(asked())

    first, second, third = run(remembered(server), go)
    assert server.asked == ["why?"]
    assert [type(event) for event in first] == [type(event) for event in second] == [Delta, Answer]
    assert isinstance(second[0], Delta)
    assert second[0].text == third.text == "why?: 1"


def test_a_stream_that_is_left_is_asked_again(server: _Server) -> None:
    async def go(memo: Remembered) -> str:
        stream = memo.stream(asked())
        async for _ in stream:
            break
        assert isinstance(stream, AsyncGenerator)
        await stream.aclose()
        return (await memo.complete(asked())).text

    assert run(remembered(server), go) == "why?: 2"


def test_another_account_is_served_and_another_kind_or_url_is_not(
    server: _Server, tmp_path: Path
) -> None:
    (tmp_path / "key").write_text("k")
    (tmp_path / "other").write_text("l")
    for changes in [{}, {"key_file": tmp_path / "key"}, {"key_file": tmp_path / "other"}]:
        spec = spec_of(server, **changes)
        assert ask(Remembered(open_compatible(spec), Origin.of(spec)))[0].text == "why?: 1"
    for origin in [
        Origin.of(spec_of(server, api="responses")),
        replace(Origin.of(spec), base_url="http://elsewhere/v1"),
        replace(Origin.of(spec), kind="openai"),
    ]:
        ask(Remembered(open_compatible(spec), origin))
    assert len(server.asked) == 4


def test_many_tasks_that_ask_at_once_make_one_call(server: _Server) -> None:
    server.slow_s = 0.1
    memo = remembered(server)

    async def go(memo: Remembered) -> list[Answer]:
        return await asyncio.gather(*(memo.complete(asked()) for _ in range(20)))

    assert {answer.text for answer in run(memo, go)} == {"why?: 1"}
    assert server.asked == ["why?"]
    assert (memo.hits, memo.misses) == (19, 1)


def test_errors_are_not_remembered_nor_handed_to_those_who_wait(server: _Server) -> None:
    server.slow_s = 0.05

    async def go(memo: Remembered) -> list[Answer | BaseException]:
        calls = (memo.complete(asked("fail")) for _ in range(3))
        return await asyncio.gather(*calls, return_exceptions=True)

    found = run(remembered(server), go)
    failed = [one for one in found if isinstance(one, ProviderError)]
    assert [one.kind for one in failed] == ["server"]
    assert {one.text for one in found if isinstance(one, Answer)} == {"fail: 2"}
    assert len(server.asked) == 2


def test_who_waits_for_a_cancelled_task_asks_itself(server: _Server) -> None:
    server.slow_s = 0.2

    async def go(memo: Remembered) -> Answer:
        first = asyncio.create_task(memo.complete(asked()))
        second = asyncio.create_task(memo.complete(asked()))
        await asyncio.sleep(0.1)
        first.cancel()
        return await second

    memo = remembered(server)
    assert run(memo, go).text.startswith("why?")
    assert memo.misses == 2


def test_who_waits_has_its_own_time_limit(server: _Server) -> None:
    server.slow_s = 1

    async def go(memo: Remembered) -> float:
        first = asyncio.create_task(memo.complete(asked()))
        await asyncio.sleep(0.02)
        begun = time.monotonic()
        with pytest.raises(ProviderError, match="did not come in time") as raised:
            await memo.complete(asked(), timeout_s=0.05)
        assert raised.value.kind == "timeout_total"
        spent = time.monotonic() - begun
        first.cancel()
        return spent

    assert run(remembered(server), go) < 0.8


@pytest.mark.parametrize("damage", ["cut", "edited", "empty", "binary", "list", "newer"])
def test_an_unreadable_row_is_asked_again_and_mended(
    server: _Server, own_state: Path, damage: str
) -> None:
    ask(remembered(server))
    (file,) = (own_state / "memo" / "answers").glob("*.json")
    raw = file.read_bytes()
    file.write_bytes(
        {
            "cut": raw[: len(raw) // 2],
            "edited": raw.replace(b"why?: 1", b"why?: 9"),
            "empty": b"",
            "binary": b"\xff\xfe\x00",
            "list": b"[1]",
            "newer": raw.replace(b'"schema": 1', b'"schema": 2'),
        }[damage]
    )
    assert ask(remembered(server))[0].text == "why?: 2"
    assert ask(remembered(server))[0].text == "why?: 2"


def test_a_simulated_answer_never_serves_a_real_one(server: _Server) -> None:
    # A simulator at an address where a real server answers later.
    server.simulated = True
    (first,) = ask(remembered(server))
    assert first.simulated
    server.simulated = False
    real = remembered(server)
    assert [one.text for one in ask(real, "why?", "why?")] == ["why?: 2", "why?: 2"]
    assert real.hits == 1


def test_answers_of_the_simulator_are_remembered_by_its_seed() -> None:
    for seed, hits in [(0, 0), (0, 1), (1, 0)]:
        spec = Simulated(model="sim-swift", seed=seed, time_scale=0.001)
        memo = Remembered(open_simulated(spec), Origin.of(spec))
        request = replace(asked(), model=spec.model)
        answer = run(memo, lambda memo, request=request: memo.complete(request))
        assert (answer.simulated, memo.hits) == (True, hits)


def test_a_folder_that_takes_nothing_loses_no_answer(server: _Server, own_state: Path) -> None:
    own_state.mkdir()
    (own_state / "memo").mkdir()
    (own_state / "memo" / "answers").write_text("no folder")
    with pytest.warns(MemoWarning, match="will be paid again") as said:
        ask(remembered(server), "why?", "why?")
    assert len(said) == 1
    assert len(server.asked) == 2

    async def together(memo: Remembered) -> list[Answer]:
        return await asyncio.gather(*(memo.complete(asked("together")) for _ in range(5)))

    with pytest.warns(MemoWarning):
        run(remembered(server), together)
    assert server.asked.count("together") == 1


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


def test_processes_of_a_machine_at_once_make_one_call_and_a_killed_one_blocks_nobody(
    server: _Server,
) -> None:
    server.slow_s = 0.5
    other = Process(server)

    async def at_once(memo: Remembered) -> Answer:
        task = asyncio.create_task(memo.complete(asked()))
        while not server.asked:
            await asyncio.sleep(0.01)
        other.ask("why?")
        return await task

    async def after_it(memo: Remembered) -> Answer:
        other.ask("how?")
        while len(server.asked) < 2:
            await asyncio.sleep(0.01)
        task = asyncio.create_task(memo.complete(asked("how?")))
        await asyncio.sleep(0.2)
        assert server.asked == ["why?", "how?"]  # it waits
        other.end()
        server.slow_s = 0
        return await task

    try:
        assert run(remembered(server), at_once).text == "why?: 1"
        assert other.said() == "why?: 1 1 0"
        assert server.asked == ["why?"]
        server.slow_s = 30
        assert run(remembered(server), after_it).text == "how?: 3"
    finally:
        other.end()


def test_another_machine_pays_nothing(
    server: _Server, valkey: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Two state folders, two processes, and only the shared server between them.
    other = Process(server, MOX_HOME=str(tmp_path / "other"), MOX_REDIS_URL=valkey)
    other.ask("why?")
    assert other.said() == "why?: 1 0 1"
    other.end()
    monkeypatch.setenv("MOX_REDIS_URL", valkey)
    memo = remembered(server)
    assert ask(memo)[0].text == "why?: 1"
    assert (memo.hits, memo.misses) == (1, 0)
    assert server.asked == ["why?"]
    monkeypatch.delenv("MOX_REDIS_URL")
    assert ask(remembered(server))[0].text == "why?: 1"  # it lies here now, too


def test_what_others_damaged_is_asked_again(server: _Server, valkey: str, tmp_path: Path) -> None:
    import redis

    client = redis.Redis.from_url(valkey)
    ask(remembered(server, shared=SharedAnswers(valkey), root=tmp_path / "a"))
    (key,) = client.zrange("mox:{answers}:ends", 0, -1)
    client.hset("mox:{answers}:rows", key, b"\xff no row")
    memo = remembered(server, shared=SharedAnswers(valkey), root=tmp_path / "b")
    assert ask(memo)[0].text == "why?: 2"
    assert (memo.hits, memo.misses) == (0, 1)
    client.close()


def test_shared_rows_end_after_their_time(valkey: str) -> None:
    shared = SharedAnswers(valkey, ttl_s=0.3)
    assert shared.put("k", b"row")
    assert shared.get("k") == b"row"
    time.sleep(0.35)
    assert shared.get("k") is None
    shared.close()


def test_all_shared_rows_stay_within_a_size_and_the_oldest_go_first(valkey: str) -> None:
    import redis

    # Room for three rows of 100 bytes and what each takes beside its value.
    shared = SharedAnswers(valkey, value_bytes=500, total_bytes=3 * (100 + ROW_BYTES))
    for number in range(10):
        assert shared.put(f"k{number}", bytes([number]) * 100)
        time.sleep(0.002)  # the server tells ages by milliseconds
    kept = [number for number in range(10) if shared.get(f"k{number}") is not None]
    assert kept == [7, 8, 9]
    assert not shared.put("large", b"x" * 501)
    shared.put("k9", b"y" * 40)  # in place of the older one, whose bytes count no more
    assert shared.get("k9") == b"y" * 40
    client = redis.Redis.from_url(valkey)
    assert client.hget("mox:{answers}:rows", "#bytes") == str(240 + 3 * ROW_BYTES).encode()
    client.delete("mox:{answers}:ends")  # as a server short of memory may
    assert shared.put("k", b"z")
    assert shared.get("k") == b"z"
    assert client.hlen("mox:{answers}:rows") == 2
    client.close()
    shared.close()


def test_writers_at_once_keep_the_sum_of_sizes_right(valkey: str) -> None:
    import redis

    shared = SharedAnswers(valkey, total_bytes=20 * (50 + ROW_BYTES))
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda n: shared.put(f"k{n % 40}", b"v" * (1 + n % 50)), range(400)))
    client = redis.Redis.from_url(valkey)
    rows = client.hgetall("mox:{answers}:rows")
    total = int(rows.pop(b"#bytes"))
    assert total == sum(len(value) + ROW_BYTES for value in rows.values())
    assert total <= 20 * (50 + ROW_BYTES)
    client.close()
    shared.close()


def test_a_server_that_is_away_is_said_once_and_answers_go_on(
    server: _Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mox.providers.shared.AWAY_S", 0.0)  # it is tried each time
    shared = SharedAnswers("redis://someone:hunter2@127.0.0.1:1/0")
    with pytest.warns(MemoWarning, match="aren't shared") as said:
        ask(remembered(server, shared=shared), "a", "b", "a")
    assert server.asked == ["a", "b"]
    assert len(said) == 1
    assert "hunter2" not in str(said[0].message)


def test_what_is_no_url_of_a_server_is_refused_without_its_password() -> None:
    with pytest.raises(SpecError, match="no URL of a Redis") as raised:
        SharedAnswers("ftp://someone:hunter2@host/0")
    assert "hunter2" not in str(raised.value)


def test_over_pool_and_ledger_a_remembered_answer_costs_nothing(own_state: Path) -> None:
    spec = Simulated(model="sim-swift", time_scale=0.001)
    account = Account("a", Limits(requests_per_min=6e5), "simulated")
    ledger = Ledger(own_state)
    prices = Prices.load(Path(__file__).parents[2] / "experiments" / "prices.yaml")
    book = RunBook(ledger, prices, run="r", budget=Budget.of("0.001"))
    request = replace(asked(), model=spec.model, max_output_tokens=50)

    async def go() -> tuple[Answer, Answer]:
        pool = memory_pool()
        manner = Manner(purpose="judge", simulated=True)
        pooled = Pooled({account: open_simulated(spec)}, pool, manner=manner, book=book)
        memo = Remembered(pooled, Origin.of(spec))
        try:
            first, second = await memo.complete(request), await memo.complete(request)
            with pytest.raises(BudgetError, match="would be exceeded"):
                # 0.60 USD for a million output tokens: 2,000 may cost more than 0.001
                await memo.complete(replace(request, max_output_tokens=2_000))
            return first, second
        finally:
            await memo.aclose()
            await pool.aclose()

    first, second = asyncio.run(go())
    assert second.text == first.text
    (row,) = ledger.rows()
    assert (row["purpose"], row["simulated"], row["error"]) == ("judge", 1, None)
    # 0.15 USD for a million input tokens, 0.60 for output; the simulator caches nothing so short
    usage = first.usage
    wanted = (15 * usage.input_tokens + 60 * usage.output_tokens) / Decimal(10**8)
    assert Decimal(row["usd"]) == wanted
    assert row["output_tokens"] == usage.output_tokens > 0
