"""Both wire formats by the official SDKs, in process: what is charged, limited and refused."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import openai
import pytest

from mox.simulation.app import Simulator
from mox.simulation.config import made
from mox.simulation.naming import even

ASKED: Any = [{"role": "user", "content": "Say something."}]


def test_count_tokens_is_what_the_answer_is_charged(with_sdks: Any) -> None:
    async def use(sdks: Any) -> None:
        asked: Any = [{"role": "user", "content": "How many tokens is this? " * 30}]
        more: Any = {"model": "m", "messages": asked, "system": "Be brief."}
        counted = await sdks.anthropic.messages.count_tokens(**more)
        message = await sdks.anthropic.messages.create(**more, max_tokens=1)
        assert counted.input_tokens == message.usage.input_tokens > 180

    with_sdks(use)


def test_a_marked_prompt_is_written_and_then_read_and_costs_no_input_limit(with_sdks: Any) -> None:
    """Of 40,000 ITPM, the first takes its prompt, the second only what follows the mark."""
    long = "A sentence that is the same in all requests. " * 400

    async def use(sdks: Any) -> None:
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


MARK: Any = {"cache_control": {"type": "ephemeral"}}
LONG = "word " * 2_000  # 2,001 tokens, and 3 of its message


def _asked_twice(with_sdks: Any, asked: Any) -> list[Any]:
    """Usage of the same request with one question and another."""

    async def use(sdks: Any) -> list[Any]:
        return [
            (await sdks.anthropic.messages.create(model="m", max_tokens=1, **asked(text))).usage
            for text in ("Who?", "When was that?")
        ]

    found: list[Any] = with_sdks(use)
    return found


def test_a_document_that_is_marked_is_read_whatever_is_asked_after_it_in_its_message(
    with_sdks: Any,
) -> None:
    def asked(question: str) -> dict[str, Any]:
        parts = [{"type": "text", "text": LONG, **MARK}, {"type": "text", "text": question}]
        return {"messages": [{"role": "user", "content": parts}]}

    first, second = _asked_twice(with_sdks, asked)
    assert (first.cache_creation_input_tokens, first.cache_read_input_tokens) == (2_004, 0)
    assert (second.cache_creation_input_tokens, second.cache_read_input_tokens) == (0, 2_004)
    assert second.input_tokens < 10  # the question's


def test_each_of_two_marks_is_kept(with_sdks: Any) -> None:
    def asked(question: str) -> dict[str, Any]:
        last = [{"type": "text", "text": question, **MARK}]
        return {
            "system": [{"type": "text", "text": LONG, **MARK}],
            "messages": [{"role": "user", "content": last}],
        }

    first, second = _asked_twice(with_sdks, asked)
    # "Who?" has 2 tokens, "When was that?" 4, and 3 their message
    assert (first.cache_creation_input_tokens, first.cache_read_input_tokens) == (2_009, 0)
    assert (second.cache_creation_input_tokens, second.cache_read_input_tokens) == (7, 2_004)


def test_openai_finds_a_shared_beginning_by_itself_and_charges_it_all_the_same(
    with_sdks: Any,
) -> None:
    long = "A sentence that is the same in all requests. " * 400  # 18,000 characters

    async def use(sdks: Any) -> None:
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


def test_a_rate_limit_in_openais_words_and_headers(with_sdks: Any) -> None:
    """60,000 tokens a minute, all in the bucket: four of 15,000, and another one waits 15 s."""

    async def use(sdks: Any) -> None:
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


def test_a_rate_limit_in_anthropics_words_and_headers(with_sdks: Any) -> None:
    async def use(sdks: Any) -> None:
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
def test_an_accounts_keys_are_one_account(with_sdks: Any, key: str) -> None:
    async def use(sdks: Any) -> Any:
        got = await sdks.openai.chat.completions.create(model="m", messages=ASKED, max_tokens=40)
        return got.choices[0].message.content

    assert with_sdks(use, key=key) == with_sdks(use, key="alice")


def test_a_wrong_key_and_a_missing_one_are_401_in_each_shape(with_sdks: Any) -> None:
    async def use(sdks: Any) -> None:
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


def test_an_unknown_model_is_404_in_each_shape(with_sdks: Any) -> None:
    async def use(sdks: Any) -> None:
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


def test_a_prompt_that_does_not_fit_is_told_apart(with_sdks: Any) -> None:
    async def use(sdks: Any) -> None:
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
        ("chat/completions", {**CHAT, "messages": [{"role": ["user"]}]}, r"messages[0].role"),
        ("responses", {"model": "m", "input": [{"role": ["user"]}]}, "only messages"),
        ("messages", {**CHAT, "max_tokens": 1, "messages": [{"role": {}}]}, "messages.0.role"),
        (
            "chat/completions",
            {**CHAT, "response_format": {"type": "json_schema", "json_schema": "x"}},
            "Invalid 'response_format'",
        ),
        ("responses", {"model": "m", "input": "x", "text": {"format": "x"}}, "'format'"),
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
    with_sdks: Any, path: str, body: dict[str, Any], said: str
) -> None:
    async def use(sdks: Any) -> None:
        headers = {"x-api-key": "alice", "anthropic-version": "2023-06-01"}
        got = await sdks.http.post(f"http://sim/v1/{path}", json=body, headers=headers)
        assert got.status_code == 400
        assert said in got.json()["error"]["message"]
        assert got.json().get("type") == ("error" if path == "messages" else None)

    with_sdks(use)


@pytest.mark.parametrize("delay", ["inf", "nan", "1e300", "-1", "soon"])
def test_a_delay_that_is_none_is_a_400(simulator: Any, delay: str) -> None:
    given = {"x-api-key": "alice", "x-mox-fault": f"slow@{delay}"}
    body = json.dumps(CHAT).encode()
    reply = simulator.reply("POST", "/v1/chat/completions", given, body)
    assert reply.status == 400
    assert "x-mox-fault" in json.loads(reply.body)["error"]["message"]


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
def test_a_body_that_is_no_json_object_is_a_400(simulator: Any, body: bytes) -> None:
    reply = simulator.reply("POST", "/v1/chat/completions", {"x-api-key": "alice"}, body)
    assert reply.status == 400
