"""What comes back through the official SDKs over real HTTP, for each wire."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from mox.providers import providers
from mox.providers.compatible import Compatible
from mox.types.providers import Answer, Delta, Message, Usage

TEXTS = ("The sky", " is blue", ", über – 🌍.")


def test_a_stream_is_deltas_and_one_answer_at_its_end(lab: Any, wire: str) -> None:
    async def main() -> None:
        async with lab.serving(lab.good(wire, *TEXTS)) as raw:
            provider = lab.open_at(wire, raw)
            *deltas, answer = await lab.drained(provider, lab.ask())
            await provider.aclose()
        assert [delta.text for delta in deltas] == list(TEXTS)
        assert all(isinstance(delta, Delta) for delta in deltas)
        assert isinstance(answer, Answer)
        assert answer.text == "".join(TEXTS)
        assert answer.finish == "stop"
        assert answer.model == "m-1"
        assert answer.simulated is False

    asyncio.run(main())


def test_usage_counts_the_cache_within_the_input(lab: Any, wire: str) -> None:
    # Chat and Responses: 11, of which 4 cached. Messages: 5 + 4 read + 2 written.
    expected = Usage(11, 4, 2 if wire == "messages" else 0, 7, 2)

    async def main() -> None:
        async with lab.serving(lab.good(wire, *TEXTS)) as raw:
            provider = lab.open_at(wire, raw)
            assert (await lab.drained(provider, lab.ask()))[-1].usage == expected
            assert (await provider.complete(lab.ask())).usage == expected
            await provider.aclose()

    asyncio.run(main())


def test_complete_gives_what_a_stream_gives(lab: Any, wire: str) -> None:
    async def main() -> None:
        async with lab.serving(lab.good(wire, *TEXTS)) as raw:
            provider = lab.open_at(wire, raw)
            streamed = (await lab.drained(provider, lab.ask()))[-1]
            at_once = await provider.complete(lab.ask())
            await provider.aclose()
        for field in ("text", "usage", "finish", "model", "request_id", "standing"):
            assert getattr(streamed, field) == getattr(at_once, field)
        assert streamed.request_id.startswith("req_")
        assert streamed.standing is not None

    asyncio.run(main())


def test_times_are_when_bytes_arrived_and_not_when_they_were_read(lab: Any, wire: str) -> None:
    """All events in one packet have one time; a pause between two packets is between them."""

    def reply(asked: dict[str, Any]) -> Any:
        pieces = lab.STREAMS[wire](*TEXTS)
        at = next(n for n, piece in enumerate(pieces) if b"is blue" in piece)
        split = [b"".join(pieces[:at]), 0.1, b"".join(pieces[at:])]
        return lab.Reply(split, headers=lab.OPENAI_HEADERS)

    async def main() -> None:
        async with lab.serving(reply) as raw:
            provider = lab.open_at(wire, raw)
            one, two, three, answer = await lab.drained(provider, lab.ask())
            await provider.aclose()
        times = answer.timings
        assert times.sent <= times.headers <= one.at == times.first_text
        assert two.at == three.at == times.last_text == times.done
        assert 0.05 < (two.at - one.at) / 1e9 < 5

    asyncio.run(main())


def test_a_connection_is_used_again(lab: Any, wire: str) -> None:
    async def main() -> None:
        async with lab.serving(lab.good(wire, *TEXTS)) as raw:
            provider = lab.open_at(wire, raw)
            for _ in range(3):
                await lab.drained(provider, lab.ask())
                await provider.complete(lab.ask())
            await provider.aclose()
            assert raw.connections == 1

    asyncio.run(main())


@pytest.mark.parametrize("size", [1, 7])
def test_half_a_character_in_a_piece_is_no_trouble(lab: Any, wire: str, size: int) -> None:
    text = "ü–🌍東" * 3

    def reply(asked: dict[str, Any]) -> Any:
        raw = b"".join(lab.STREAMS[wire](text))
        cut = [raw[at : at + size] for at in range(0, len(raw), size)]
        return lab.Reply(cut, headers=lab.OPENAI_HEADERS)

    async def main() -> None:
        async with lab.serving(reply) as raw:
            provider = lab.open_at(wire, raw)
            assert (await lab.drained(provider, lab.ask()))[-1].text == text
            await provider.aclose()

    asyncio.run(main())


def test_a_server_that_says_it_is_the_simulator_is_believed(lab: Any) -> None:
    def reply(asked: dict[str, Any]) -> Any:
        return lab.Reply(lab.chat("x"), headers={**lab.OPENAI_HEADERS, "x-mox-simulated": "true"})

    async def main() -> None:
        async with lab.serving(reply) as raw:
            spec = Compatible(model="m", base_url=f"{raw.url}/v1")
            provider = providers[spec](spec)
            assert (await lab.drained(provider, lab.ask()))[-1].simulated is True
            await provider.aclose()

    asyncio.run(main())


def test_what_is_sent_to_each_wire(lab: Any, wire: str) -> None:
    schema = {
        "type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"],
        "additionalProperties": False,
    }  # fmt: skip
    request = lab.ask(
        messages=(Message("system", "Be brief."), Message("user", "Why?")),
        max_output_tokens=50, temperature=0.0, json_schema=schema, cached_messages=1,
        extra={"metadata": {"user_id": "u"}},
    )  # fmt: skip

    async def main() -> None:
        async with lab.serving(lab.good(wire, "{}")) as raw:
            provider = lab.open_at(wire, raw)
            await lab.drained(provider, request)
            await provider.aclose()
            (asked,) = raw.asked
        body = asked["body"]
        assert body["temperature"] == 0.0
        assert body["stream"] is True
        assert body["metadata"] == {"user_id": "u"}
        key = "an-anthropic-key-of-tests" if wire == "messages" else "an-openai-key-of-tests"
        assert asked["headers"]["authorization"] == f"Bearer {key}"
        turns = [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Why?"},
        ]
        if wire == "chat":
            assert asked["path"] == "/v1/chat/completions"
            assert body["messages"] == turns
            assert body["max_completion_tokens"] == 50
            assert body["response_format"]["json_schema"]["schema"] == schema
            assert body["response_format"]["json_schema"]["strict"] is True
            assert body["stream_options"] == {"include_usage": True}
        elif wire == "responses":
            assert asked["path"] == "/v1/responses"
            assert body["input"] == turns
            assert body["max_output_tokens"] == 50
            assert body["text"]["format"]["schema"] == schema
            assert body["store"] is False
        else:
            assert asked["path"] == "/v1/messages"
            kept = {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}
            assert body["system"] == [kept]
            content = [{"type": "text", "text": "Why?"}]
            assert body["messages"] == [{"role": "user", "content": content}]
            assert body["max_tokens"] == 50
            assert body["output_config"]["format"] == {"type": "json_schema", "schema": schema}

    asyncio.run(main())
