"""Answers that were paid once: kept here and for others, whole or not at all."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import Request as Post
from urllib.request import urlopen

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mox.errors import MemoWarning, ProviderError, SpecError
from mox.providers.answers import read_row, row_of
from mox.providers.remembered import Origin, Remembered, digest_of
from mox.providers.shared import ROW_BYTES, SharedAnswers
from mox.types.providers import Answer, Delta, Event, Message, Request, Timings, Usage


class Wire:
    """A provider of one small server's answers, over HTTP."""

    def __init__(self, url: str, *, simulated: bool = False) -> None:
        self.url = url
        self.simulated = simulated

    async def complete(self, request: Request, *, timeout_s: float = 120.0) -> Answer:
        asked = json.dumps({"text": request.messages[0].text}).encode()
        said = await asyncio.to_thread(_post, self.url, asked)
        if "error" in said:
            raise ProviderError("it failed", mend="ask again.", kind="server")
        usage = Usage(10, 0, 0, 3)
        return Answer(
            said["text"], usage, "stop", "m-1", "req", Timings(1), simulated=self.simulated
        )

    async def stream(self, request: Request, *, timeout_s: float = 120.0) -> AsyncIterator[Event]:
        answer = await self.complete(request, timeout_s=timeout_s)
        yield Delta(answer.text)
        yield answer

    async def aclose(self) -> None:
        """Nothing stays open."""


def _post(url: str, raw: bytes) -> dict[str, Any]:
    with urlopen(Post(url, raw), timeout=20) as answer:  # noqa: S310
        return dict(json.loads(answer.read()))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    asked: list[str]
    slow_s = 0.0


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        text = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"]
        self.server.asked.append(text)
        time.sleep(self.server.slow_s)
        fails = text.startswith("fail") and self.server.asked.count(text) == 1
        said = {"error": "no"} if fails else {"text": f"{text}: {len(self.server.asked)}"}
        raw = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(raw)))
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
    return f"http://127.0.0.1:{server.server_address[1]}/"


def asked(text: str = "why?", **fields: Any) -> Request:
    return Request("m", (Message("user", text),), **fields)


def remembered(server: _Server, **changes: Any) -> Remembered:
    origin = Origin("compatible", url(server))
    return Remembered(Wire(url(server)), origin, **changes)


def complete(memo: Remembered, *texts: str) -> None:
    for text in texts:
        asyncio.run(memo.complete(asked(text)))


def test_the_second_asking_costs_nothing_and_says_the_same(server: _Server) -> None:
    memo = remembered(server)

    async def go() -> tuple[Answer, Answer]:
        return await memo.complete(asked()), await memo.complete(asked())

    first, second = asyncio.run(go())
    assert server.asked == ["why?"]
    assert (memo.hits, memo.misses) == (1, 1)
    assert (second.text, second.usage, second.request_id) == ("why?: 1", Usage(10, 0, 0, 3), "req")
    assert second.timings.first_text is None  # nothing was streamed
    assert first.text == second.text


def test_a_stream_is_remembered_and_answers_complete(server: _Server) -> None:
    memo = remembered(server)

    async def go() -> tuple[list[Event], list[Event], Answer]:
        first = [event async for event in memo.stream(asked())]
        second = [event async for event in memo.stream(asked())]
        return first, second, await memo.complete(asked())

    first, second, third = asyncio.run(go())
    assert server.asked == ["why?"]
    assert [type(event) for event in second] == [Delta, Answer]
    assert isinstance(second[0], Delta)
    assert second[0].text == third.text == "why?: 1"
    assert len(first) == 2


def test_a_stream_that_is_left_is_asked_again(server: _Server) -> None:
    memo = remembered(server)

    async def go() -> str:
        stream = memo.stream(asked())
        async for _ in stream:
            break
        await stream.aclose()  # type: ignore[attr-defined]  # a generator has it
        return (await memo.complete(asked())).text

    assert asyncio.run(go()) == "why?: 2"


def test_another_account_is_served_and_another_url_or_model_is_not(server: _Server) -> None:
    wire = Wire(url(server))
    request = asked()

    async def go() -> None:
        for base in ["https://a/v1", "https://a/v1/", "https://b/v1"]:
            await Remembered(wire, Origin("openai", base)).complete(request)
        await Remembered(wire, Origin("compatible", "https://a/v1")).complete(request)

    asyncio.run(go())
    assert len(server.asked) == 3  # a, b, and a as another kind


def test_many_tasks_that_ask_at_once_make_one_call(server: _Server) -> None:
    server.slow_s = 0.1
    memo = remembered(server)

    async def go() -> list[Answer]:
        return await asyncio.gather(*(memo.complete(asked()) for _ in range(20)))

    answers = asyncio.run(go())
    assert server.asked == ["why?"]
    assert {answer.text for answer in answers} == {"why?: 1"}
    assert (memo.hits, memo.misses) == (19, 1)


def test_errors_are_not_remembered_nor_handed_to_those_who_wait(server: _Server) -> None:
    server.slow_s = 0.05
    memo = remembered(server)

    async def go() -> list[Answer | BaseException]:
        calls = (memo.complete(asked("fail")) for _ in range(3))
        return await asyncio.gather(*calls, return_exceptions=True)

    found = asyncio.run(go())
    failed = [one for one in found if isinstance(one, ProviderError)]
    assert len(failed) == 1
    assert {one.text for one in found if isinstance(one, Answer)} == {"fail: 2"}
    assert len(server.asked) == 2


def test_who_waits_for_a_cancelled_task_asks_itself(server: _Server) -> None:
    server.slow_s = 0.1
    memo = remembered(server)

    async def go() -> Answer:
        first = asyncio.create_task(memo.complete(asked()))
        second = asyncio.create_task(memo.complete(asked()))
        await asyncio.sleep(0.03)
        first.cancel()
        return await second

    assert asyncio.run(go()).text.startswith("why?")
    assert memo.misses == 2


def test_who_waits_has_its_own_time_limit(server: _Server) -> None:
    server.slow_s = 0.5
    memo = remembered(server)

    async def go() -> float:
        first = asyncio.create_task(memo.complete(asked()))
        await asyncio.sleep(0.02)
        begun = time.monotonic()
        with pytest.raises(ProviderError, match="did not come in time") as raised:
            await memo.complete(asked(), timeout_s=0.05)
        assert raised.value.kind == "timeout_total"
        spent = time.monotonic() - begun
        await first
        return spent

    assert asyncio.run(go()) < 0.4


@pytest.mark.parametrize("damage", ["cut", "edited", "empty", "binary", "list", "newer"])
def test_an_unreadable_row_is_asked_again_and_mended(
    server: _Server, own_state: Path, damage: str
) -> None:
    memo = remembered(server)
    asyncio.run(memo.complete(asked()))
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
    assert asyncio.run(memo.complete(asked())).text == "why?: 2"
    assert asyncio.run(remembered(server).complete(asked())).text == "why?: 2"


def test_a_simulated_answer_never_serves_a_real_one(server: _Server) -> None:
    # The simulator behind a URL that a real server takes over later.
    origin = Origin("compatible", url(server))
    asyncio.run(Remembered(Wire(url(server), simulated=True), origin).complete(asked()))
    real = Remembered(Wire(url(server)), origin)
    assert asyncio.run(real.complete(asked())).text == "why?: 2"
    assert real.hits == 0
    said = Origin("compatible", url(server), simulated=True)
    again = Remembered(Wire(url(server), simulated=True), said)
    asyncio.run(again.complete(asked()))
    assert asyncio.run(again.complete(asked())).simulated
    assert again.hits == 1


def test_a_folder_that_takes_nothing_loses_no_answer(server: _Server, own_state: Path) -> None:
    own_state.mkdir()
    (own_state / "memo").mkdir()
    (own_state / "memo" / "answers").write_text("no folder")
    memo = remembered(server)
    with pytest.warns(MemoWarning, match="will be paid again") as said:
        complete(memo, "why?", "why?")
    assert len(said) == 1
    assert len(server.asked) == 2


ASKS = """
import asyncio, sys
sys.path.insert(0, sys.argv[1])
from test_remembered import Wire, asked
from mox.providers.remembered import Origin, Remembered
memo = Remembered(Wire(sys.argv[2]), Origin("compatible", sys.argv[2]))
print(asyncio.run(memo.complete(asked())).text, memo.hits, memo.misses)
"""


def process(server: _Server, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", ASKS, str(Path(__file__).parent), url(server)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def test_two_processes_of_a_machine_at_once_make_one_call(server: _Server) -> None:
    server.slow_s = 0.5
    pair = [process(server), process(server)]
    said = sorted(one.communicate(timeout=60)[0].strip() for one in pair)
    assert server.asked == ["why?"]
    assert said == ["why?: 1 0 1", "why?: 1 1 0"]


def test_a_process_that_is_killed_while_it_asks_blocks_nobody(server: _Server) -> None:
    server.slow_s = 3
    killed = process(server)
    until = time.monotonic() + 60
    while not server.asked:
        assert time.monotonic() < until
        time.sleep(0.01)
    killed.kill()
    killed.communicate()
    server.slow_s = 0
    assert asyncio.run(remembered(server).complete(asked(), timeout_s=20)).text == "why?: 2"


def test_another_machine_pays_nothing(server: _Server, valkey: str, tmp_path: Path) -> None:
    for machine in "ab":  # two state folders, and only the server between them
        one = process(server, MOX_HOME=str(tmp_path / machine), MOX_REDIS_URL=valkey)
        said = one.communicate(timeout=60)[0].split()
        assert said[:2] == ["why?:", "1"]
    assert server.asked == ["why?"]
    assert said[2:] == ["1", "0"]


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


def test_a_server_that_is_away_is_said_once_and_answers_go_on(server: _Server) -> None:
    shared = SharedAnswers("redis://someone:hunter2@127.0.0.1:1/0")
    memo = remembered(server, shared=shared)
    with pytest.warns(MemoWarning, match="aren't shared") as said:
        complete(memo, "a", "b", "a")
    assert server.asked == ["a", "b"]
    assert len(said) == 1
    assert "hunter2" not in str(said[0].message)
    asyncio.run(memo.aclose())


def test_what_is_no_url_of_a_server_is_refused_without_its_password() -> None:
    with pytest.raises(SpecError, match="no URL of a Redis") as raised:
        SharedAnswers("ftp://someone:hunter2@host/0")
    assert "hunter2" not in str(raised.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "model": st.sampled_from(["m", "n"]),
    "messages": st.lists(
        st.builds(Message, st.sampled_from(["system", "user"]), st.sampled_from(["", "a", "b"])),
        max_size=2,
    ).map(tuple),
    "max_output_tokens": st.integers(1, 2),
    "temperature": st.none() | st.sampled_from([0.0, 0.5]),
    "json_schema": st.none() | st.dictionaries(st.sampled_from("ab"), JSON, max_size=2),
    "cached_messages": st.integers(0, 1),
    "extra": st.dictionaries(st.sampled_from("ab"), JSON, max_size=2),
}
REQUESTS = st.builds(Request, **FIELDS)


@given(st.data(), REQUESTS, st.sampled_from(sorted(FIELDS)))
def test_digests_are_equal_exactly_where_requests_are(
    data: st.DataObject, one: Request, field: str
) -> None:
    other = replace(one, **{field: data.draw(FIELDS[field])})
    # To Python 1 is True; to a provider it isn't, and so they are compared as it reads them.
    same = one == other and as_read(one) == as_read(other)
    assert (digest_of(one, ORIGIN) == digest_of(other, ORIGIN)) == same


ORIGIN = Origin("compatible", "https://a/v1")


def as_read(request: Request) -> str:
    return json.dumps([request.json_schema, request.extra], sort_keys=True)


@given(REQUESTS)
def test_a_digest_depends_on_nothing_but_the_request_and_its_origin(request: Request) -> None:
    again = Request(
        request.model,
        tuple(Message(one.role, one.text) for one in request.messages),
        request.max_output_tokens,
        request.temperature,
        None if request.json_schema is None else dict(reversed(request.json_schema.items())),
        request.cached_messages,
        dict(reversed(request.extra.items())),
    )
    assert digest_of(again, ORIGIN) == digest_of(request, ORIGIN)
    for other in [Origin("openai", "https://a/v1"), Origin("compatible", "https://b/v1")]:
        assert digest_of(request, other) != digest_of(request, ORIGIN)


@pytest.mark.parametrize("extra", [{"x": float("nan")}, {"x": {1, 2}}, {"x": b"raw"}])
def test_what_json_has_not_got_is_refused(extra: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match="is no JSON"):
        digest_of(asked(extra=extra), ORIGIN)


@given(
    st.builds(
        Answer,
        text=st.text(),
        usage=st.builds(Usage, *[st.integers(0, 2**40)] * 5),
        finish=st.sampled_from(["stop", "length"]),
        model=st.text(),
        request_id=st.none() | st.text(),
        timings=st.just(Timings(sent=0)),
        reasoning=st.text(),
        simulated=st.booleans(),
    )
)
def test_an_answer_comes_back_from_its_row_as_it_went_in(answer: Answer) -> None:
    assert read_row(row_of(answer)) == answer
