"""What the three wires say beyond plain text: reasoning, refusals, why an answer ended."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from mox.errors import ProviderError, SpecError
from mox.providers import providers
from mox.providers.classify import MENDS
from mox.providers.compatible import Compatible
from mox.providers.wire.schemas import is_closed
from mox.types.providers import Answer, ErrorKind, Event, Message, Usage

JSON = {"content-type": "application/json"}


async def both(lab: Any, wire: str, pieces: list[bytes], body: Any) -> tuple[list[Event], Answer]:
    """What a stream of these pieces gives, and an answer of this body at once."""

    def reply(asked: dict[str, Any]) -> Any:
        if asked["body"].get("stream"):
            return lab.Reply(pieces, headers=lab.OPENAI_HEADERS)
        return lab.Reply([json.dumps(body).encode()], headers=JSON)

    async with lab.serving(reply) as raw:
        provider = lab.open_at(wire, raw)
        events = await lab.drained(provider, lab.ask())
        answer = await provider.complete(lab.ask())
        await provider.aclose()
    return events, answer


def in_chat(lab: Any, field: str) -> tuple[list[bytes], Any]:
    first, *rest = lab.chat("It is.")
    thought = json.loads(first.removeprefix(b"data: "))
    thought["choices"][0]["delta"] = {field: "Hm."}
    body = json.loads(lab.chat_whole("It is.")[0])
    body["choices"][0]["message"][field] = "Hm."
    return [lab.data(thought), *rest], body


def in_responses(lab: Any, kind: str) -> tuple[list[bytes], Any]:
    first, *rest = lab.responses("It is.")
    delta = {"type": f"response.{kind}.delta", "delta": "Hm.", "item_id": "r", "output_index": 0,
             "content_index": 0, "summary_index": 0, "sequence_number": 1}  # fmt: skip
    part = {"type": "summary_text", "text": "Hm."}
    item: dict[str, Any] = {"id": "r", "type": "reasoning", "summary": [part]}
    if kind == "reasoning_text":
        item = {**item, "summary": [], "content": [{"type": "reasoning_text", "text": "Hm."}]}
    body = lab.response("It is.")
    body["output"].insert(0, item)
    return [first, lab.event(delta), *rest], body


def in_messages(lab: Any, _: str) -> tuple[list[bytes], Any]:
    pieces = lab.messages("It is.")
    delta = {"type": "content_block_delta", "index": 0,
             "delta": {"type": "thinking_delta", "thinking": "Hm."}}  # fmt: skip
    body = json.loads(lab.whole("messages", "It is.")[0])
    body["content"].insert(0, {"type": "thinking", "thinking": "Hm.", "signature": "s"})
    return [pieces[0], lab.event(delta), *pieces[1:]], body


@pytest.mark.parametrize(
    ("wire", "made", "how"),
    [
        ("chat", in_chat, "reasoning_content"),  # DeepSeek, vLLM
        ("chat", in_chat, "reasoning"),  # OpenRouter, Ollama
        ("responses", in_responses, "reasoning_summary_text"),
        ("responses", in_responses, "reasoning_text"),
        ("messages", in_messages, ""),
    ],
)
def test_reasoning_is_kept_apart(lab: Any, wire: str, made: Any, how: str) -> None:
    events, answer = asyncio.run(both(lab, wire, *made(lab, how)))
    thought, text, streamed = events
    assert (thought.kind, thought.text) == ("reasoning", "Hm.")
    assert (text.kind, text.text) == ("text", "It is.")
    for found in (streamed, answer):
        assert (found.reasoning, found.text) == ("Hm.", "It is.")
        assert found.timings.first_reasoning <= found.timings.first_text
    assert streamed.timings.first_reasoning == thought.at


@pytest.mark.parametrize("details", [{"reasoning_tokens": 288}, None])
def test_reasoning_that_is_counted_beside_the_completion_is_output(lab: Any, details: Any) -> None:
    """26 + 63 + 288 are the total of 377: xAI says of what kind the 288 are, Gemini doesn't. In all
    other tests here they stand within, as OpenAI's do."""
    usage = {"prompt_tokens": 26, "completion_tokens": 63, "total_tokens": 377,
             "completion_tokens_details": details}  # fmt: skip
    *pieces, last, done = lab.chat("a")
    chunk = {**json.loads(last.removeprefix(b"data: ")), "usage": usage}
    body = {**json.loads(lab.chat_whole("a")[0]), "usage": usage}
    events, answer = asyncio.run(both(lab, "chat", [*pieces, lab.data(chunk), done], body))
    assert events[-1].usage == answer.usage == Usage(26, output_tokens=351, reasoning_tokens=288)


ENDS = [
    ("chat", "stop", "stop"), ("chat", "length", "length"), ("chat", "tool_calls", "tool"),
    ("chat", "content_filter", "content_filter"),
    ("messages", "end_turn", "stop"), ("messages", "stop_sequence", "stop"),
    ("messages", "max_tokens", "length"), ("messages", "model_context_window_exceeded", "length"),
    ("messages", "tool_use", "tool"), ("messages", "refusal", "content_filter"),
]  # fmt: skip


@pytest.mark.parametrize(("wire", "reason", "finish"), ENDS)
def test_why_an_answer_ended(lab: Any, wire: str, reason: str, finish: str) -> None:
    body = json.loads(lab.whole(wire, "a")[0])
    if wire == "chat":
        body["choices"][0]["finish_reason"] = reason
    else:
        body["stop_reason"] = reason
    pieces = lab.STREAMS[wire]("a", reason=reason)
    events, answer = asyncio.run(both(lab, wire, pieces, body))
    assert events[-1].finish == answer.finish == finish


@pytest.mark.parametrize(
    ("reason", "finish"), [("max_output_tokens", "length"), ("content_filter", "content_filter")]
)
def test_why_a_response_is_incomplete(lab: Any, reason: str, finish: str) -> None:
    more = {"incomplete_details": {"reason": reason}}
    pieces = lab.responses("a", status="incomplete", **more)
    body = lab.response("a", "incomplete", **more)
    events, answer = asyncio.run(both(lab, "responses", pieces, body))
    assert events[-1].finish == answer.finish == finish


def test_an_end_for_an_unknown_reason_is_refused_by_name(lab: Any) -> None:
    async def main() -> None:
        pieces = lab.chat("a", reason="daydream")
        async with lab.serving(lab.Reply(pieces, headers=lab.OPENAI_HEADERS)) as raw:
            provider = lab.open_at("chat", raw)
            with pytest.raises(ProviderError, match="unknown reason, 'daydream'") as caught:
                await lab.drained(provider, lab.ask())
            assert caught.value.kind == "unusable"
            assert "login" not in caught.value.mend
            assert caught.value.usage == Usage(11, 4, 0, 7, 2)  # as the last chunk says
            await provider.aclose()

    asyncio.run(main())


GATEWAYS: list[tuple[dict[str, Any], ErrorKind]] = [
    # OpenRouter's shape: the code is the status that it got, or would have given.
    ({"message": "upstream failed", "code": 502}, "server"),
    ({"message": "Insufficient credits for user 7", "code": 402}, "quota_exhausted"),
    ({"message": "No auth credentials found", "code": 401}, "auth"),
    ({"message": "Rate limit: 20 requests per minute", "code": 429}, "rate_limit_requests"),
    ({"message": "it broke", "type": "server_error"}, "stream_error"),
    ({"message": "No credit.", "type": "billing_error"}, "quota_exhausted"),
]


@pytest.mark.parametrize(("said", "kind"), GATEWAYS)
def test_a_gateways_error_with_a_status_of_200_is_an_error(
    lab: Any, said: dict[str, Any], kind: str
) -> None:
    """At once, where a stream is asked for, and in a stream that began."""
    body = json.dumps({"error": said}).encode()
    at_once = lab.Reply([body], headers=JSON)
    later = lab.Reply([*lab.chat("a")[:2], lab.data({"error": said})], headers=lab.OPENAI_HEADERS)

    async def main() -> None:
        for reply, streamed in ((at_once, False), (at_once, True), (later, True)):
            async with lab.serving(reply) as raw:
                provider = lab.open_at("chat", raw)
                call = (
                    lab.drained(provider, lab.ask()) if streamed else provider.complete(lab.ask())
                )
                with pytest.raises(ProviderError, match=said["message"]) as caught:
                    await call
                assert caught.value.kind == kind
                assert caught.value.mend == MENDS[caught.value.kind]
                await provider.aclose()

    asyncio.run(main())


@pytest.mark.parametrize("junk", [b"{}", b"[1]", b"{not json", b'{"choices": []}'])
def test_json_without_an_error_is_no_stream_of_events(lab: Any, wire: str, junk: bytes) -> None:
    error = asyncio.run(lab.told(wire, lab.Reply([junk], headers=JSON)))
    assert error.kind == "malformed"
    assert "no stream of events but application/json" in error.message


def test_an_answer_at_once_is_no_stream_and_is_counted(lab: Any, wire: str) -> None:
    error = asyncio.run(lab.told(wire, lab.Reply(lab.whole(wire, "a"), headers=JSON)))
    assert error.kind == "unusable"
    # By Anthropic's count 5 and, from a cache, 4 and 2 in.
    written = 2 if wire == "messages" else 0
    assert error.usage == Usage(11, 4, written, 7, 2)


def test_older_servers_are_told_the_limit_by_its_older_name(lab: Any) -> None:
    async def main() -> None:
        async with lab.serving(lab.good("chat", "a")) as raw:
            for limit in ("max_tokens", "max_completion_tokens"):
                spec = Compatible(model="m", base_url=f"{raw.url}/v1", output_limit=limit)
                provider = providers[spec](spec)
                await provider.complete(lab.ask(max_output_tokens=9))
                await provider.aclose()
            bodies = [asked["body"] for asked in raw.asked]
        assert bodies[0]["max_tokens"] == 9
        assert "max_completion_tokens" not in bodies[0]
        assert bodies[1]["max_completion_tokens"] == 9
        assert "max_tokens" not in bodies[1]

    asyncio.run(main())


def test_a_long_answer_of_anthropics_need_not_be_streamed(lab: Any) -> None:
    """The SDK refuses by itself what may take more than ten minutes, unless it is told how long
    to wait."""

    async def main() -> None:
        async with lab.serving(lab.good("messages", "a")) as raw:
            provider = lab.open_at("messages", raw)
            await provider.complete(lab.ask(max_output_tokens=64000))
            await provider.aclose()
            assert raw.asked[0]["body"]["max_tokens"] == 64000

    asyncio.run(main())


def test_a_system_message_among_the_turns_stays_where_it_is(lab: Any) -> None:
    turns = (Message("system", "A"), Message("user", "B"), Message("system", "C"))

    async def main() -> None:
        async with lab.serving(lab.good("messages", "a")) as raw:
            provider = lab.open_at("messages", raw)
            await provider.complete(lab.ask(messages=turns, cached_messages=2))
            await provider.aclose()
            body = raw.asked[0]["body"]
        assert body["system"] == [{"type": "text", "text": "A"}]
        kept, plain = body["messages"]
        assert kept["role"] == "user"
        assert kept["content"][0]["cache_control"] == {"type": "ephemeral"}
        assert plain == {"role": "system", "content": [{"type": "text", "text": "C"}]}

    asyncio.run(main())


@pytest.mark.parametrize(
    ("more", "said"),
    [({"cached_messages": 2}, "of 1 messages"), ({"cached_messages": -1}, "of 1 messages"),
     ({"json_schema": {"description": "anything"}}, "JSON schema")],
)  # fmt: skip
def test_what_anthropic_cannot_be_asked_is_refused_before_it_is_sent(
    lab: Any, more: dict[str, Any], said: str
) -> None:
    async def main() -> None:
        async with lab.serving(lab.good("messages", "a")) as raw:
            provider = lab.open_at("messages", raw)
            with pytest.raises(SpecError, match=said):
                await provider.complete(lab.ask(**more))
            assert not raw.asked
            await provider.aclose()

    asyncio.run(main())


OPEN = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
CLOSED = {**OPEN, "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "closed"),
    [
        (CLOSED, True),
        (OPEN, False),
        ({**CLOSED, "required": []}, False),
        ({"type": "array", "items": CLOSED}, True),
        ({"type": "array", "items": OPEN}, False),
        ({**CLOSED, "properties": {"a": OPEN}}, False),
        ({**CLOSED, "$defs": {"x": OPEN}}, False),
        ({"anyOf": [CLOSED, OPEN]}, False),
    ],
)
def test_openai_is_asked_to_keep_strictly_what_it_can_keep(
    schema: dict[str, Any], closed: bool
) -> None:
    """Its guide to structured outputs: no further fields, and all of them required."""
    assert is_closed(schema) is closed
