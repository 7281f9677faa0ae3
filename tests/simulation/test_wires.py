"""Both wire formats by the official SDKs, in process: what is answered, and in what shape."""

from __future__ import annotations

import asyncio
import base64
import json
import struct
from typing import Any

import openai
import pytest

ASKED: Any = [{"role": "user", "content": "Say something."}]


def test_one_question_has_one_answer_by_every_wire_streamed_or_not(with_sdks: Any) -> None:
    """Each by a fresh simulator: the same attempt of the same question."""

    async def chat(sdks: Any) -> Any:
        got = await sdks.openai.chat.completions.create(model="m", messages=ASKED, max_tokens=40)
        return got.choices[0].message.content

    async def chat_stream(sdks: Any) -> Any:
        got = await sdks.openai.chat.completions.create(
            model="m", messages=ASKED, max_completion_tokens=40, stream=True
        )
        return "".join([chunk.choices[0].delta.content or "" async for chunk in got])

    async def responses(sdks: Any) -> Any:
        got = await sdks.openai.responses.create(
            model="m", input="Say something.", max_output_tokens=40
        )
        return got.output_text

    async def responses_stream(sdks: Any) -> Any:
        async with sdks.openai.responses.stream(
            model="m", input=ASKED, max_output_tokens=40
        ) as stream:
            return (await stream.get_final_response()).output_text

    async def message(sdks: Any) -> Any:
        got = await sdks.anthropic.messages.create(model="m", messages=ASKED, max_tokens=40)
        return got.content[0].text

    async def message_stream(sdks: Any) -> Any:
        async with sdks.anthropic.messages.stream(
            model="m", messages=ASKED, max_tokens=40
        ) as stream:
            return "".join([text async for text in stream.text_stream])

    ways = [chat, chat_stream, responses, responses_stream, message, message_stream]
    said = {with_sdks(way) for way in ways}
    assert len(said) == 1
    assert len(said.pop().split()) > 20


def test_texts_do_not_depend_on_order_or_concurrency(with_sdks: Any) -> None:
    questions = [f"Question {number % 12}." for number in range(24)]  # each of them twice

    def answers(order: list[int], *, at_once: bool) -> dict[str, list[str]]:
        async def use(sdks: Any) -> dict[str, list[str]]:
            async def one(number: int) -> tuple[str, str]:
                asked: Any = [{"role": "user", "content": questions[number]}]
                got = await sdks.openai.chat.completions.create(
                    model="m", messages=asked, max_tokens=20
                )
                return questions[number], got.choices[0].message.content or ""

            if at_once:
                found = await asyncio.gather(*map(one, order))
            else:
                found = [await one(number) for number in order]
            said: dict[str, list[str]] = {}
            for question, answer in sorted(found):
                said.setdefault(question, []).append(answer)
            return said

        return with_sdks(use)

    one_by_one = answers(list(range(24)), at_once=False)
    assert one_by_one == answers(list(reversed(range(24))), at_once=True)
    assert one_by_one == answers(list(range(24)), at_once=True)


def test_reasoning_is_counted_by_all_and_shown_by_those_that_show_it(with_sdks: Any) -> None:
    async def use(sdks: Any) -> None:
        message = await sdks.anthropic.messages.create(
            model="thinks", messages=ASKED, max_tokens=2000
        )
        assert [block.type for block in message.content] == ["thinking", "text"]
        assert message.usage.output_tokens_details is not None
        thought = message.usage.output_tokens_details.thinking_tokens
        assert 0 < thought < message.usage.output_tokens
        async with sdks.anthropic.messages.stream(
            model="thinks", messages=ASKED, max_tokens=2000
        ) as stream:
            last = await stream.get_final_message()
        assert [block.type for block in last.content] == ["thinking", "text"]
        assert last.content[0].thinking
        async with sdks.openai.responses.stream(
            model="thinks", input="Say something.", max_output_tokens=2000,
            reasoning={"summary": "auto"},
        ) as stream:  # fmt: skip
            kinds = [event.type async for event in stream]
            done = await stream.get_final_response()
        assert "response.reasoning_summary_text.delta" in kinds
        assert [item.type for item in done.output] == ["reasoning", "message"]
        assert done.usage is not None
        assert done.usage.output_tokens_details.reasoning_tokens > 0
        hidden = await sdks.openai.responses.create(model="thinks", input="Say something.")
        assert hidden.output[0].summary == []

    with_sdks(use)


def test_an_answer_cut_by_its_limit_says_so_on_every_wire(with_sdks: Any) -> None:
    async def use(sdks: Any) -> None:
        few = 5  # of reasoning alone there are more
        chat = await sdks.openai.chat.completions.create(
            model="thinks", messages=ASKED, max_tokens=few
        )
        assert chat.choices[0].finish_reason == "length"
        response = await sdks.openai.responses.create(
            model="thinks", input="Say something.", max_output_tokens=few
        )
        assert response.status == "incomplete"
        assert response.incomplete_details is not None
        assert response.incomplete_details.reason == "max_output_tokens"
        message = await sdks.anthropic.messages.create(
            model="thinks", messages=ASKED, max_tokens=few
        )
        assert message.stop_reason == "max_tokens"

    with_sdks(use)


def test_an_answer_in_a_schema_by_every_wire(with_sdks: Any) -> None:
    schema = {
        "type": "object",
        "properties": {"answer": {"type": "string"}, "certain": {"type": "boolean"}},
        "required": ["answer", "certain"],
        "additionalProperties": False,
    }

    async def use(sdks: Any) -> list[str]:
        chat = await sdks.openai.chat.completions.create(
            model="m", messages=ASKED, max_tokens=200,
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "said", "schema": schema, "strict": True},
            },
        )  # fmt: skip
        response = await sdks.openai.responses.create(
            model="m", input="Say something.", max_output_tokens=200,
            text={"format": {"type": "json_schema", "name": "said", "schema": schema}},
        )  # fmt: skip
        message = await sdks.anthropic.messages.create(
            model="m", messages=ASKED, max_tokens=200,
            output_config={"format": {"type": "json_schema", "schema": schema}},
        )  # fmt: skip
        any_object = await sdks.openai.chat.completions.create(
            model="m", messages=ASKED, max_tokens=200, response_format={"type": "json_object"}
        )
        assert isinstance(json.loads(any_object.choices[0].message.content or ""), dict)
        return [
            chat.choices[0].message.content or "",
            response.output_text,
            "".join(block.text for block in message.content if block.type == "text"),
        ]

    for said in with_sdks(use):
        told = json.loads(said)
        assert sorted(told) == ["answer", "certain"]
        assert isinstance(told["answer"], str)
        assert isinstance(told["certain"], bool)


def test_embeddings_as_numbers_and_as_base64_are_the_same(with_sdks: Any) -> None:
    async def use(sdks: Any) -> None:
        texts = ["A cat on a mat.", "Stocks fell on Monday."]
        as_numbers = await sdks.openai.embeddings.create(
            model="sim-embed-small", input=texts, dimensions=16, encoding_format="float"
        )
        raw = await sdks.http.post(
            "http://sim/v1/embeddings",
            json={
                "model": "sim-embed-small", "input": texts, "dimensions": 16,
                "encoding_format": "base64",
            },
            headers={"authorization": "Bearer alice"},
        )  # fmt: skip
        for got, told in zip(as_numbers.data, raw.json()["data"], strict=True):
            unpacked = struct.unpack("<16f", base64.b64decode(told["embedding"]))
            assert got.embedding == pytest.approx(unpacked, abs=1e-7)
            assert sum(value * value for value in unpacked) == pytest.approx(1, abs=1e-5)
        assert as_numbers.usage.prompt_tokens == as_numbers.usage.total_tokens > 8
        with pytest.raises(openai.BadRequestError, match="has no 999 dimensions"):
            await sdks.openai.embeddings.create(model="sim-embed-small", input="x", dimensions=999)

    with_sdks(use)


def test_models_are_listed_in_each_shape(with_sdks: Any) -> None:
    async def use(sdks: Any) -> None:
        listed = [model.id async for model in sdks.openai.models.list()]
        assert listed == ["m", "thinks", "sim-embed-small", "sim-embed-large"]
        assert [model.id async for model in sdks.anthropic.models.list()] == ["m", "thinks"]
        assert (await sdks.anthropic.models.retrieve("m")).display_name == "m (simulated)"
        with pytest.raises(openai.NotFoundError, match="`gone` does not exist"):
            await sdks.openai.models.retrieve("gone")

    with_sdks(use)
