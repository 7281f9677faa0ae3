"""One request over real HTTP: what is kept of it, and each way in which it fails."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

from mox.bench.providers.client import Timeouts
from mox.bench.providers.record import Record
from mox.errors import EngineError

Ask = Callable[..., Record]
WIRES = pytest.mark.parametrize("wire", ["chat", "responses", "messages"])


def of(wire: str, server: Any) -> dict[str, Any]:
    """A target's fields for a wire; Anthropic's address ends before `/v1`."""
    path = "" if wire == "messages" else "/v1"
    return {"wire": wire, "base_url": f"http://127.0.0.1:{server.port}{path}"}


@WIRES
def test_an_answer_is_kept_with_its_usage_and_the_moments_of_its_chunks(
    ask: Ask, server: Any, prompts: Any, wire: str
) -> None:
    record = ask(prompts.say(n=4, text="wörd ", ttft=0.05, itl=0.02), target=of(wire, server))
    assert record.error is None
    assert record.finish == "stop"
    # 11 fresh, 5 from a cache and 2 written to it by Anthropic's count; 18 in all by OpenAI's.
    assert (record.usage.input_tokens, record.usage.cached_tokens) == (18, 5)
    assert record.usage.output_tokens == 4
    assert record.request_id == "req_7"
    assert [chunk.characters for chunk in record.chunks] == [5] * 4
    asked = server.asked[-1]
    assert record.sent_ns is not None
    assert record.sent_ns <= asked.at_ns <= asked.sent_ns[0]
    for chunk, sent in zip(record.chunks, asked.sent_ns, strict=True):
        assert sent <= chunk.at_ns < sent + 200_000_000


@WIRES
def test_an_event_that_names_only_a_role_is_no_first_token(
    ask: Ask, server: Any, prompts: Any, wire: str
) -> None:
    # Headers and the first event come at once, text 0.2 s later.
    record = ask(prompts.say(n=1, ttft=0.2), target=of(wire, server))
    assert record.headers_ns is not None
    assert record.chunks[0].at_ns - record.headers_ns > 150_000_000


@WIRES
@pytest.mark.parametrize(
    ("fault", "kind", "chunks"),
    [
        ("cut", "connection", 1),
        ("stall", "timeout_stall", 1),
        ("error", "stream_error", 1),
        ("truncated", "truncated", 3),
        ("half a head", "connection", 0),
        ("silence", "timeout_first_byte", 0),
        ("until closed", None, 3),
    ],
)
def test_streams_that_fail_are_told_apart_and_keep_what_came(
    ask: Ask, server: Any, prompts: Any, wire: str, fault: str, kind: str | None, chunks: int
) -> None:
    record = ask(
        prompts.say(n=3, fault=fault), target=of(wire, server), timeouts=Timeouts(2, 0.3, 0.3, 5),
        warm_up=0,
    )  # fmt: skip
    assert record.error == kind
    assert len(record.chunks) == chunks
    assert (record.said is None) == (kind is None)


RAW = {
    "html in the stream": (["<html>busy</html>"], "truncated"),
    "no JSON": (["data: <html>\n\n"], "malformed"),
    "no object": (["data: 7\n\n"], "malformed"),
    "half a character": (['data: {"choices": [{"delta": {"content": "\xc3"}}]}\n\n'], "malformed"),
}


@pytest.mark.parametrize("raw", RAW)
def test_streams_that_cannot_be_read_are_no_answers(ask: Ask, prompts: Any, raw: str) -> None:
    parts, kind = RAW[raw]
    assert ask(prompts.say(raw=parts)).error == kind


def test_a_character_cut_by_the_network_is_one_character(ask: Ask, prompts: Any) -> None:
    # é is two bytes in UTF-8, C3 and A9.
    parts = [
        'data: {"choices": [{"delta": {"content": "caf\xc3',
        '\xa9"}, "finish_reason": "stop"}]}\n\n',
    ]
    record = ask(prompts.say(raw=parts))
    assert (record.error, [chunk.characters for chunk in record.chunks]) == (None, [4])


REFUSALS = {
    "auth": (401, {"error": {"message": "Incorrect API key", "type": "invalid_request_error"}}),
    "model_not_found": (404, {"error": {"message": "no m", "code": "model_not_found"}}),
    "overloaded": (529, {"type": "error", "error": {"type": "overloaded_error", "message": "O"}}),
    "server": (500, {"error": {"message": "The server had an error"}}),
    "quota_exhausted": (429, {"error": {"message": "You exceeded", "code": "insufficient_quota"}}),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_refusals_are_told_apart(ask: Ask, prompts: Any, kind: str) -> None:
    status, body = REFUSALS[kind]
    record = ask(prompts.say(status=status, body=body))
    assert record.error == kind
    assert body["error"]["message"] in str(record.said)
    assert record.chunks == ()


def test_a_web_page_is_no_answer(ask: Ask, prompts: Any) -> None:
    page = {"status": 200, "body": "<html>Welcome</html>", "head": {"content-type": "text/html"}}
    record = ask(prompts.say(**page))
    assert record.error == "malformed"
    assert "Welcome" in str(record.said)


def test_a_total_time_ends_a_stream_that_never_stalls(ask: Ask, prompts: Any) -> None:
    record = ask(prompts.say(n=100, itl=0.05), timeouts=Timeouts(2, 1, 1, 0.4), warm_up=0)
    assert record.error == "timeout_total"
    assert 2 <= len(record.chunks) <= 9


def test_nobody_listening_is_an_error_of_the_connection(ask: Ask) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        record = ask(target={"base_url": f"http://127.0.0.1:{free.getsockname()[1]}/v1"})
    assert (record.error, record.sent_ns) == ("connection", None)


def test_prompts_that_fail_fail_their_cell_by_name(ask: Ask, prompts: Any) -> None:
    with pytest.raises(EngineError, match="no such passage"):
        ask(prompts.broken)
