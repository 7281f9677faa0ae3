"""One request over real HTTP: what is kept of it, and each way in which it fails.

All requests are made once, in one run of the client: each is a target of its own.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from mox.bench.providers.client import Timeouts
from mox.bench.providers.moments import answered
from mox.bench.providers.record import Load, Record

WIRES = ("chat", "responses", "messages")
STREAMS: dict[str, tuple[str | None, int]] = {
    "cut": ("connection", 1),
    "stall": ("timeout_stall", 1),
    "error": ("stream_error", 1),
    "truncated": ("truncated", 3),
    "half a head": ("connection", 0),
    "silence": ("timeout_first_byte", 0),
    "until closed": (None, 3),
    "cut before the count": ("connection", 3),
    "cut after the end": (None, 3),
    "stall after the end": (None, 3),
}
"""What goes wrong with three deltas, the error it is, and how many of them came before it."""
RAW = {
    "html in the stream": (["<html>busy</html>"], "truncated"),
    "no JSON": (["data: <html>\n\n"], "malformed"),
    "no object": (["data: 7\n\n"], "malformed"),
    "no count of tokens": (
        ['data: {"choices": [{"delta": {"content": "a"}, "finish_reason": "stop"}]}\n\n'],
        "unusable",
    ),
    "half a character": (['data: {"choices": [{"delta": {"content": "\xc3"}}]}\n\n'], "malformed"),
}
REFUSALS: dict[str, tuple[int, Any]] = {
    "auth": (401, {"error": {"message": "Incorrect API key", "type": "invalid_request_error"}}),
    "model_not_found": (404, {"error": {"message": "no m", "code": "model_not_found"}}),
    "server": (500, {"error": {"message": "The server had an error"}}),
    "quota_exhausted": (429, {"error": {"message": "You exceeded", "code": "insufficient_quota"}}),
}


@dataclass(frozen=True)
class Try:
    """One request: what its provider is told, and what else differs."""

    say: Mapping[str, Any] = field(default_factory=dict)
    wire: Any = "chat"
    port: int | None = None
    timeouts: Timeouts = field(default_factory=lambda: Timeouts(2, 1, 1, 5))

    def cell(self) -> dict[str, Any]:
        target = {"wire": self.wire}
        if self.port is not None:
            target["base_url"] = f"http://127.0.0.1:{self.port}/v1"
        return {"load": Load("closed", 1), "say": self.say, "target": target, "requests": 1,
                "timeouts": self.timeouts, "warm_up": 0}  # fmt: skip


def tries(nobody: int) -> dict[str, Try]:
    """All requests by name.

    Args:
        nobody: a port on which nobody listens.
    """
    short = Timeouts(2, 0.3, 0.3, 5)
    whole = {"n": 4, "text": "wörd ", "ttft": 0.05, "itl": 0.02}
    cut = ['data: {"choices": [{"delta": {"content": "caf\xc3',
           '\xa9"}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 1,'
           ' "completion_tokens": 1}}\n\n']  # fmt: skip
    page = {"status": 200, "body": "<html>Welcome</html>", "head": {"content-type": "text/html"}}
    overloaded = {"type": "error", "error": {"type": "overloaded_error", "message": "O"}}
    return {
        **{f"whole {wire}": Try(whole, wire) for wire in WIRES},
        **{f"late {wire}": Try({"n": 1, "ttft": 0.2}, wire) for wire in WIRES},
        **{
            f"{fault} {wire}": Try({"n": 3, "fault": fault}, wire, timeouts=short)
            for fault in STREAMS
            for wire in WIRES
        },
        **{f"raw {name}": Try({"raw": parts}) for name, (parts, _) in RAW.items()},
        **{
            f"refused {kind}": Try({"status": status, "body": body})
            for kind, (status, body) in REFUSALS.items()
        },
        "refused overloaded": Try({"status": 529, "body": overloaded}, "messages"),
        "cut character": Try({"raw": cut}),
        "page": Try(page),
        "total": Try({"n": 100, "itl": 0.05}, timeouts=Timeouts(2, 1, 1, 0.4)),
        "nobody": Try(port=nobody),
    }


@dataclass(frozen=True)
class Came:
    """What came of one request, and how the server saw it."""

    record: Record
    asked: Any


@pytest.fixture(scope="module")
def came(all_at_once: Any) -> Mapping[str, Came]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        wanted = tries(free.getsockname()[1])
        found = all_at_once({name: one.cell() for name, one in wanted.items()})
    assert [one.turn.failed for one in found.values() if one.turn.failed] == []
    return {
        name: Came(one.records[0], one.asked[0] if one.asked else None)
        for name, one in found.items()
    }


@pytest.mark.parametrize("wire", WIRES)
def test_an_answer_is_kept_with_its_usage_and_the_moments_of_its_chunks(
    came: Mapping[str, Came], wire: str
) -> None:
    record, asked = came[f"whole {wire}"].record, came[f"whole {wire}"].asked
    assert (record.error, record.finish, record.request_id) == (None, "stop", "req_7")
    # 11 fresh, 5 from a cache and 2 written to it by Anthropic's count; 18 in all by OpenAI's.
    assert (record.usage.input_tokens, record.usage.cached_tokens) == (18, 5)
    assert record.usage.output_tokens == 4
    assert [chunk.characters for chunk in record.chunks] == [5] * 4
    assert record.sent_ns is not None
    assert record.sent_ns <= asked.at_ns <= asked.sent_ns[0]
    for chunk, sent in zip(record.chunks, asked.sent_ns, strict=True):
        assert sent <= chunk.at_ns < sent + 200_000_000


@pytest.mark.parametrize("wire", WIRES)
def test_an_event_that_names_only_a_role_is_no_first_token(
    came: Mapping[str, Came], wire: str
) -> None:
    # Headers and the first event come at once, text 0.2 s later.
    record = came[f"late {wire}"].record
    assert record.headers_ns is not None
    assert record.chunks[0].at_ns - record.headers_ns > 150_000_000


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("fault", STREAMS)
def test_streams_that_fail_are_told_apart_and_keep_what_came(
    came: Mapping[str, Came], wire: str, fault: str
) -> None:
    record = came[f"{fault} {wire}"].record
    kind, chunks = STREAMS[fault]
    if kind == "stream_error" and wire == "messages":
        kind = "overloaded"  # the event says so itself
    assert (record.error, len(record.chunks)) == (kind, chunks)
    assert (record.said is None) == (kind is None)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("fault", ["cut after the end", "stall after the end"])
def test_an_answer_whose_last_event_came_is_one_and_ends_there(
    came: Mapping[str, Came], wire: str, fault: str
) -> None:
    found = came[f"{fault} {wire}"]
    record, last_ns = found.record, found.asked.sent_ns[-1]
    assert answered(record)
    assert record.usage.output_tokens == 3
    # The stall is given up 0.3 s after it.
    assert record.done_ns is not None
    assert last_ns <= record.done_ns < last_ns + 200_000_000


@pytest.mark.parametrize("wire", WIRES)
def test_what_failed_ends_when_it_is_given_up(came: Mapping[str, Came], wire: str) -> None:
    record = came[f"silence {wire}"].record
    assert record.sent_ns is not None
    assert record.done_ns is not None
    # No answer within 0.3 s.
    assert record.done_ns - record.sent_ns >= 290_000_000


@pytest.mark.parametrize("name", RAW)
def test_streams_that_cannot_be_read_are_no_answers(came: Mapping[str, Came], name: str) -> None:
    assert came[f"raw {name}"].record.error == RAW[name][1]


def test_a_character_cut_by_the_network_is_one_character(came: Mapping[str, Came]) -> None:
    # é is two bytes in UTF-8, C3 and A9.
    record = came["cut character"].record
    assert (record.error, [chunk.characters for chunk in record.chunks]) == (None, [4])


@pytest.mark.parametrize("kind", [*REFUSALS, "overloaded"])
def test_refusals_are_told_apart(came: Mapping[str, Came], kind: str) -> None:
    found = came[f"refused {kind}"]
    assert found.record.error == kind
    assert found.asked.say["body"]["error"]["message"] in str(found.record.said)
    assert found.record.chunks == ()


def test_a_web_page_is_no_answer(came: Mapping[str, Came]) -> None:
    record = came["page"].record
    assert record.error == "malformed"
    assert "text/html" in str(record.said)


def test_a_total_time_ends_a_stream_that_never_stalls(came: Mapping[str, Came]) -> None:
    record = came["total"].record
    assert record.error == "timeout_total"
    # A delta each 0.05 s for 0.4 s.
    assert 2 <= len(record.chunks) <= 9


def test_nobody_listening_is_an_error_of_the_connection(came: Mapping[str, Came]) -> None:
    record = came["nobody"].record
    assert (record.error, record.sent_ns) == ("connection", None)


def test_a_request_is_what_its_wire_asks_for(came: Mapping[str, Came]) -> None:
    chat, responses, messages = (came[f"whole {wire}"].asked for wire in WIRES)
    assert chat.body["stream_options"] == {"include_usage": True}
    assert chat.body["max_completion_tokens"] == 64
    assert responses.body["max_output_tokens"] == messages.body["max_tokens"] == 64
    assert [one.body["model"] for one in (chat, responses, messages)] == ["m"] * 3
    assert messages.head["anthropic-version"]
