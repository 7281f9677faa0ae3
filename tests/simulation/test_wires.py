"""Both wire formats by the official SDKs, in process: answers, refusals, and what they cost."""

from __future__ import annotations

import asyncio
import base64
import json
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from mox.simulation.app import Simulator
from mox.simulation.config import made
from mox.simulation.naming import even
from mox.simulation.transport import SimulatedTransport

CONFIG: dict[str, Any] = {
    "time_scale": 0.001,
    "models": {"m": even(), "thinks": {"like": "sim-thinking"}},
    "context_tokens": 20_000,
    "accounts": {
        "alice": {"keys": ["alice-2"]},
        "open": {"limits": {"rpm": 600, "tpm": 60_000}},
        "claude": {"limits": {"accounting": "anthropic", "rpm": 50, "itpm": 40_000, "otpm": 8_000}},
    },
}
ASKED: Any = [{"role": "user", "content": "Say something."}]


class Sdks:
    """Both SDKs' clients of one simulator."""

    def __init__(self, simulator: Simulator, key: str) -> None:
        self.http = httpx2.AsyncClient(transport=SimulatedTransport(simulator), timeout=5)
        given: dict[str, Any] = {"api_key": key, "max_retries": 0, "http_client": self.http}
        self.openai = openai.AsyncOpenAI(base_url="http://sim/v1", **given)
        self.anthropic = anthropic.AsyncAnthropic(base_url="http://sim", **given)


def with_sdks(use: Callable[[Sdks], Awaitable[Any]], *, key: str = "alice") -> Any:
    """What comes of a use of both SDKs. Limits' clock stands still: nothing is refilled."""

    async def main() -> Any:
        sdks = Sdks(Simulator(made(CONFIG), clock=lambda: 0.0), key)
        async with sdks.http:
            return await use(sdks)

    return asyncio.run(main())


def test_one_question_has_one_answer_by_every_wire_streamed_or_not() -> None:
    """Each by a fresh simulator: the same attempt of the same question."""

    async def chat(sdks: Sdks) -> Any:
        got = await sdks.openai.chat.completions.create(model="m", messages=ASKED, max_tokens=40)
        return got.choices[0].message.content

    async def chat_stream(sdks: Sdks) -> Any:
        got = await sdks.openai.chat.completions.create(
            model="m", messages=ASKED, max_completion_tokens=40, stream=True
        )
        return "".join([chunk.choices[0].delta.content or "" async for chunk in got])

    async def responses(sdks: Sdks) -> Any:
        got = await sdks.openai.responses.create(
            model="m", input="Say something.", max_output_tokens=40
        )
        return got.output_text

    async def responses_stream(sdks: Sdks) -> Any:
        async with sdks.openai.responses.stream(
            model="m", input=ASKED, max_output_tokens=40
        ) as stream:
            return (await stream.get_final_response()).output_text

    async def message(sdks: Sdks) -> Any:
        got = await sdks.anthropic.messages.create(model="m", messages=ASKED, max_tokens=40)
        return got.content[0].text

    async def message_stream(sdks: Sdks) -> Any:
        async with sdks.anthropic.messages.stream(
            model="m", messages=ASKED, max_tokens=40
        ) as stream:
            return "".join([text async for text in stream.text_stream])

    ways = [chat, chat_stream, responses, responses_stream, message, message_stream]
    said = {with_sdks(way) for way in ways}
    assert len(said) == 1
    assert len(said.pop().split()) > 20


def test_texts_do_not_depend_on_order_or_concurrency() -> None:
    questions = [f"Question {number % 12}." for number in range(24)]  # each of them twice

    def answers(order: list[int], *, at_once: bool) -> dict[str, list[str]]:
        async def use(sdks: Sdks) -> dict[str, list[str]]:
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


def test_reasoning_is_counted_by_all_and_shown_by_those_that_show_it() -> None:
    async def use(sdks: Sdks) -> None:
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


def test_an_answer_cut_by_its_limit_says_so_on_every_wire() -> None:
    async def use(sdks: Sdks) -> None:
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


def test_an_answer_in_a_schema_by_every_wire() -> None:
    schema = {
        "type": "object",
        "properties": {"answer": {"type": "string"}, "certain": {"type": "boolean"}},
        "required": ["answer", "certain"],
        "additionalProperties": False,
    }

    async def use(sdks: Sdks) -> list[str]:
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


def test_embeddings_as_numbers_and_as_base64_are_the_same() -> None:
    async def use(sdks: Sdks) -> None:
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


def test_models_are_listed_in_each_shape() -> None:
    async def use(sdks: Sdks) -> None:
        listed = [model.id async for model in sdks.openai.models.list()]
        assert listed == ["m", "thinks", "sim-embed-small", "sim-embed-large"]
        assert [model.id async for model in sdks.anthropic.models.list()] == ["m", "thinks"]
        assert (await sdks.anthropic.models.retrieve("m")).display_name == "m (simulated)"
        with pytest.raises(openai.NotFoundError, match="`gone` does not exist"):
            await sdks.openai.models.retrieve("gone")

    with_sdks(use)


def test_count_tokens_is_what_the_answer_is_charged() -> None:
    async def use(sdks: Sdks) -> None:
        asked: Any = [{"role": "user", "content": "How many tokens is this? " * 30}]
        more: Any = {"model": "m", "messages": asked, "system": "Be brief."}
        counted = await sdks.anthropic.messages.count_tokens(**more)
        message = await sdks.anthropic.messages.create(**more, max_tokens=1)
        assert counted.input_tokens == message.usage.input_tokens > 180

    with_sdks(use)


def test_a_marked_prompt_is_written_and_then_read_and_costs_no_input_limit() -> None:
    """Of 40,000 ITPM, the first takes its prompt, the second only what follows the mark."""
    long = "A sentence that is the same in all requests. " * 400

    async def use(sdks: Sdks) -> None:
        system: Any = [{"type": "text", "text": long, "cache_control": {"type": "ephemeral"}}]
        left, usages = [], []
        for number in range(2):
            raw = await sdks.anthropic.messages.with_raw_response.create(
                model="m", system=system, max_tokens=1,
                messages=[{"role": "user", "content": f"Question {number}"}],
            )  # fmt: skip
            usages.append((await raw.parse()).usage)
            left.append(int(raw.headers["anthropic-ratelimit-input-tokens-remaining"]))
        first, second = usages
        assert first.cache_creation_input_tokens == second.cache_read_input_tokens > 3000
        assert first.cache_read_input_tokens == second.cache_creation_input_tokens == 0
        assert second.input_tokens < 20
        assert left[0] in (36_000, 35_000)  # 40,000 - 4,0xx, rounded to thousands
        assert left[1] == left[0]

    with_sdks(use, key="claude")


def test_openai_finds_a_shared_beginning_by_itself_and_charges_it_all_the_same() -> None:
    long = "A sentence that is the same in all requests. " * 400  # 18,000 characters

    async def use(sdks: Sdks) -> None:
        left, cached = [], []
        for number in range(2):
            raw = await sdks.openai.chat.completions.with_raw_response.create(
                model="m", max_tokens=100,
                messages=[{"role": "user", "content": long + f"Question {number}"}],
            )  # fmt: skip
            usage = raw.parse().usage
            assert usage is not None
            assert usage.prompt_tokens_details is not None
            cached.append(usage.prompt_tokens_details.cached_tokens)
            left.append(int(raw.headers["x-ratelimit-remaining-tokens"]))
        assert cached[0] == 0
        assert cached[1] is not None
        assert cached[1] >= 1024
        # (18,000 + 10) / 4 + 100 = 4,602 each
        assert left == [60_000 - 4602, 60_000 - 2 * 4602]

    with_sdks(use, key="open")


def test_a_rate_limit_in_openais_words_and_headers() -> None:
    """60,000 tokens a minute, all in the bucket: four of 15,000, and another one waits 15 s."""

    async def use(sdks: Sdks) -> None:
        ask = sdks.openai.chat.completions.create
        asked: Any = [{"role": "user", "content": "x" * 4 * 14_990}]
        for _ in range(4):
            await ask(model="m", messages=asked, max_tokens=10)
        with pytest.raises(openai.RateLimitError) as caught:
            await ask(model="m", messages=asked, max_tokens=10)
        error = caught.value
        assert error.code == "rate_limit_exceeded"
        assert error.type == "tokens"
        assert "on tokens per min (TPM): Limit 60000, Used 60000, Requested 15000" in str(error)
        assert "Please try again in 15.000s" in str(error)
        headers = error.response.headers
        assert headers["retry-after"] == "15"
        assert headers["retry-after-ms"] == "15000"
        assert headers["x-ratelimit-limit-tokens"] == "60000"
        assert headers["x-ratelimit-remaining-tokens"] == "0"
        assert headers["x-ratelimit-reset-tokens"] == "1m0s"

    with_sdks(use, key="open")


def test_a_rate_limit_in_anthropics_words_and_headers() -> None:
    async def use(sdks: Sdks) -> None:
        async def many() -> None:
            for _ in range(60):
                await sdks.anthropic.messages.create(model="m", max_tokens=1, messages=ASKED)

        with pytest.raises(anthropic.RateLimitError) as caught:
            await many()
        error = caught.value
        assert error.type == "rate_limit_error"
        assert error.error_code is None
        assert "50 requests per minute" in str(error)
        headers = error.response.headers
        assert headers["retry-after"] == "2"  # one request comes back in 1.2 s
        assert "retry-after-ms" not in headers
        assert headers["anthropic-ratelimit-requests-remaining"] == "0"
        assert headers["request-id"] == error.request_id

    with_sdks(use, key="claude")


def test_models_of_one_class_share_a_limit_and_others_do_not() -> None:
    """Two requests a minute for each class."""
    config = {
        "time_scale": 0.001,
        "models": {name: even() for name in ("large", "larger", "small")},
        "classes": {"big": ["large", "larger"]},
        "accounts": {
            "k": {
                "limits": {"rpm": 2, "tpm": 10_000},
                "by_class": {"small": {"rpm": 1, "tpm": 10_000}},
            }
        },
    }
    simulator = Simulator(made(config))

    def status(model: str) -> int:
        body = {"model": model, "messages": ASKED, "max_tokens": 1}
        told = json.dumps(body).encode()
        return simulator.reply("POST", "/v1/chat/completions", {"x-api-key": "k"}, told).status

    asked = ["large", "larger", "large", "larger", "small", "small"]
    assert [status(model) for model in asked] == [200, 200, 429, 429, 200, 429]


def test_what_fails_counts_at_openais_and_not_at_anthropics() -> None:
    openais = {"rpm": 100, "tpm": 10_000}
    anthropics = {"accounting": "anthropic", "rpm": 100, "itpm": 10_000, "otpm": 10_000}
    config = {
        "models": {"m": even()},
        "accounts": {"o": {"limits": openais}, "a": {"limits": anthropics}},
        "faults": [{"kind": "server"}],
    }
    simulator = Simulator(made(config))
    body = json.dumps({"model": "m", "messages": ASKED, "max_tokens": 50}).encode()
    for key in ("o", "a"):
        reply = simulator.reply("POST", "/v1/chat/completions", {"x-api-key": key}, body)
        assert reply.status == 500
    charged = {row["account"]: row["charged"] for row in simulator.stats()["accounts"]}
    # "Say something." has 14 characters: 3 tokens
    assert charged == {
        "o": {"requests": 1, "tokens": 53},
        "a": {"requests": 0, "input": 0, "output": 0},
    }


@pytest.mark.parametrize("key", ["alice", "alice-2"])
def test_an_accounts_keys_are_one_account(key: str) -> None:
    async def use(sdks: Sdks) -> Any:
        got = await sdks.openai.chat.completions.create(model="m", messages=ASKED, max_tokens=40)
        return got.choices[0].message.content

    assert with_sdks(use, key=key) == with_sdks(use, key="alice")


def test_a_wrong_key_and_a_missing_one_are_401_in_each_shape() -> None:
    async def use(sdks: Sdks) -> None:
        with pytest.raises(openai.AuthenticationError, match="Incorrect API key") as caught:
            await sdks.openai.chat.completions.create(model="m", messages=ASKED)
        assert caught.value.code == "invalid_api_key"
        assert "sk-secret" not in str(caught.value)
        with pytest.raises(anthropic.AuthenticationError, match="authentication_error"):
            await sdks.anthropic.messages.create(model="m", messages=ASKED, max_tokens=1)
        for path in ("/v1/models", "/v1/responses", "/v1/embeddings", "/v1/messages"):
            got = await sdks.http.post("http://sim" + path, json={})
            assert got.status_code == 401
            assert got.headers["x-mox-simulated"] == "1"

    with_sdks(use, key="sk-secret")


def test_a_key_that_has_no_name_is_never_repeated() -> None:
    simulator = Simulator(made({"models": {"m": even()}}))
    body = b'{"model": "m", "messages": [{"role": "user", "content": "x"}], "max_tokens": 1}'
    reply = simulator.reply(
        "POST", "/v1/chat/completions", {"authorization": "Bearer sk-real-one"}, body
    )
    told = f"{reply} {simulator.stats()} {reply.sent(0, [])}"
    assert reply.status == 200
    assert "sk-real-one" not in told


def test_an_unknown_model_is_404_in_each_shape() -> None:
    async def use(sdks: Sdks) -> None:
        with pytest.raises(openai.NotFoundError, match="`gpt-0` does not exist") as caught:
            await sdks.openai.chat.completions.create(model="gpt-0", messages=ASKED)
        assert caught.value.code == "model_not_found"
        with pytest.raises(openai.NotFoundError):
            await sdks.openai.responses.create(model="gpt-0", input="x")
        with pytest.raises(openai.NotFoundError):
            await sdks.openai.embeddings.create(model="m", input="x")
        with pytest.raises(anthropic.NotFoundError, match="not_found_error"):
            await sdks.anthropic.messages.create(model="claude-0", messages=ASKED, max_tokens=1)

    with_sdks(use)


def test_a_prompt_that_does_not_fit_is_told_apart() -> None:
    async def use(sdks: Sdks) -> None:
        asked: Any = [{"role": "user", "content": "word " * 19_990}]
        with pytest.raises(openai.BadRequestError, match="maximum context length") as caught:
            await sdks.openai.chat.completions.create(model="m", messages=asked, max_tokens=100)
        assert caught.value.code == "context_length_exceeded"
        with pytest.raises(anthropic.BadRequestError, match="prompt is too long"):
            await sdks.anthropic.messages.create(model="m", messages=asked, max_tokens=100)

    with_sdks(use)


CHAT = {"model": "m", "messages": ASKED}


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("chat/completions", {**CHAT, "model": 3}, "Invalid type for 'model'"),
        ("chat/completions", {"messages": ASKED}, "must provide a model"),
        ("chat/completions", {**CHAT, "messages": []}, "Invalid 'messages'"),
        ("chat/completions", {**CHAT, "messages": ["x"]}, r"messages[0].role"),
        ("chat/completions", {**CHAT, "messages": [{"role": "user"}]}, r"messages[0].content"),
        ("chat/completions", {**CHAT, "max_tokens": 0}, "below minimum"),
        ("chat/completions", {**CHAT, "max_tokens": True}, "expected an integer"),
        ("chat/completions", {**CHAT, "n": 2}, "'n' other than 1 is not simulated"),
        ("chat/completions", {**CHAT, "tools": [{}]}, "'tools' is not simulated"),
        ("chat/completions", {**CHAT, "response_format": {"type": "xml"}}, "response_format"),
        (
            "chat/completions",
            {**CHAT, "messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "only text is simulated",
        ),
        ("responses", {"model": "m", "input": []}, "'input' is a text"),
        ("responses", {"model": "m", "input": [{"type": "item_reference"}]}, "only messages"),
        ("responses", {"model": "m", "input": "x", "previous_response_id": "r"}, "not simulated"),
        ("embeddings", {"model": "sim-embed-small", "input": [[1, 2]]}, "token ids"),
        ("embeddings", {"model": "sim-embed-small", "input": [""]}, "none of them empty"),
        ("messages", CHAT, "max_tokens: Field required"),
        ("messages", {**CHAT, "max_tokens": 1, "tools": [{}]}, "not simulated"),
        ("messages", {**CHAT, "max_tokens": 1, "output_config": {"format": {}}}, "json_schema"),
    ],
)  # fmt: skip
def test_what_can_not_be_meant_is_a_400_that_names_it(
    path: str, body: dict[str, Any], said: str
) -> None:
    async def use(sdks: Sdks) -> None:
        headers = {"x-api-key": "alice", "anthropic-version": "2023-06-01"}
        got = await sdks.http.post(f"http://sim/v1/{path}", json=body, headers=headers)
        assert got.status_code == 400
        assert said in got.json()["error"]["message"]
        assert got.json().get("type") == ("error" if path == "messages" else None)

    with_sdks(use)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b"nul",
        b"[" * 100_000,
        b'{"model": "\\ud800"}',
    ],
)
def test_a_body_that_is_no_json_object_is_a_400(body: bytes) -> None:
    reply = Simulator(made(CONFIG)).reply(
        "POST", "/v1/chat/completions", {"x-api-key": "alice"}, body
    )
    assert reply.status == 400
