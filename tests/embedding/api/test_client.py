"""The client of an embeddings API: what is sent, what is believed, and what is asked again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mox.embedding import embedders
from mox.embedding.check import verify
from mox.errors import BudgetError, FieldError, MissingError, ProviderError, SpecError
from mox.providers import embedding
from mox.types.providers import Call, ErrorKind, Usage

CALL = Call("compatible", "default", "m", "embed")
HTML = {"content-type": "text/html"}
JSON = {"content-type": "application/json"}


class Notes:
    """A book that notes what it is told, and pays for so many tokens."""

    def __init__(self, tokens: int = 10**9) -> None:
        self.left = tokens
        self.lines: list[tuple[int, Usage | None, ErrorKind | None]] = []
        self._open: dict[str, int] = {}

    def before(self, call: Call, *, input_tokens: int, max_output_tokens: int) -> str:
        if input_tokens > self.left:
            raise BudgetError("too dear", mend="pay more")
        self.left -= input_tokens
        self._open[str(len(self._open))] = input_tokens
        return str(len(self._open) - 1)

    def after(
        self,
        booking: str,
        usage: Usage | None,
        *,
        error: ErrorKind | None = None,
        billable: bool | None = None,
    ) -> None:
        self.lines.append((self._open[booking], usage, error))

    def release(self, booking: str) -> None:
        self.left += self._open[booking]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "FIRST_WAIT_S", 0.001)


def client(api: Any, **more: Any) -> Any:
    settings = {"kind": "compatible", "base_url": api.url, "model": "m", "dims": 64, **more}
    spec = embedders.parse(settings)
    return embedders[spec](spec)


def openai(api: Any, **more: Any) -> Any:
    spec = embedders.parse({"kind": "openai", "base_url": api.url, **more})
    return embedders[spec](spec)


def test_vectors_come_in_the_order_of_the_texts_at_length_1(api: Any) -> None:
    book = Notes()
    found = client(api).buy(["a b", "", "b c c"], book, CALL)
    verify(found.vectors, 3, 64, name="compatible")
    assert np.linalg.norm(found.vectors, axis=1).tolist() == pytest.approx([1, 0, 1])
    alone = client(api).buy(["b c c"], book, CALL)
    assert found.vectors[2].tolist() == alone.vectors[0].tolist()
    assert api.texts == {"a b": 1, "b c c": 2}  # an empty text is never sent
    assert found.usage == Usage(input_tokens=api.tokens(["a b", "b c c"]))
    assert book.lines[0][1] == found.usage


def test_openais_vectors_come_as_base64(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-planted")
    api.dims = 1536
    found = openai(api).buy(["a b"], Notes(), CALL)
    verify(found.vectors, 1, 1536, name="openai")
    assert api.requests[0]["encoding_format"] == "base64"
    assert "dimensions" not in api.requests[0]
    assert api.keys == ["Bearer sk-planted"]


def test_fewer_dimensions_are_asked_for(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-planted")
    verify(openai(api, dims=256).buy(["a"], Notes(), CALL).vectors, 1, 256, name="openai")
    verify(client(api, dims=8, shorten=True).buy(["a"], Notes(), CALL).vectors, 1, 8, name="c")
    assert [asked.get("dimensions") for asked in api.requests] == [256, 8]


def test_one_request_takes_so_many_texts_and_tokens(
    api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(client(api, batch=3).buy(list("abcde"), Notes(), CALL).vectors) == 3
    # Two tokens of cl100k, which another provider may count as three.
    monkeypatch.setattr(embedding, "REQUEST_TOKENS", 6)
    assert len(client(api).buy(["a b", "c d", "e f"], Notes(), CALL).vectors) == 2
    assert len(client(api).buy(["a b c d e f"], Notes(), CALL).vectors) == 1


def test_what_is_left_pays_for_fewer_texts(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-planted")
    api.dims = 1536
    book = Notes(tokens=5)  # a letter is a token
    model = openai(api)
    assert len(model.buy(list("abcdefgh"), book, CALL).vectors) == 4
    assert len(model.buy(list("efgh"), book, CALL).vectors) == 1
    with pytest.raises(BudgetError, match="too dear"):
        model.buy(list("fgh"), book, CALL)
    assert api.texts == dict.fromkeys("abcde", 1)


def test_what_passes_is_asked_again_and_each_attempt_is_booked(api: Any) -> None:
    bad = [
        (429, {**JSON, "retry-after": "0"}, json.dumps({"error": {"message": "slow"}}).encode()),
        (503, HTML, b"<html>busy</html>"),
    ]
    api.spoil = lambda _: bad.pop(0) if bad else None
    book = Notes()
    client(api).buy(["a"], book, CALL)
    assert [error for _, _, error in book.lines] == ["rate_limit_tokens", "overloaded", None]
    assert [usage for _, usage, _ in book.lines][:2] == [None, None]


def refusal(code: str, message: str) -> bytes:
    return json.dumps({"error": {"message": message, "type": "t", "code": code}}).encode()


@pytest.mark.parametrize(
    ("answer", "kind", "said", "times"),
    [
        ((401, JSON, refusal("invalid_api_key", "Incorrect API key: sk-pla*ted")), "auth",
         "HTTP 401: Incorrect", 1),
        ((404, JSON, refusal("model_not_found", "The model `m` does not exist")),
         "model_not_found", "does not exist", 1),
        ((429, JSON, refusal("insufficient_quota", "You exceeded your current quota")),
         "quota_exhausted", "current quota", 1),
        ((400, JSON, refusal("x", "does not support matryoshka")), "bad_request", "matryoshka", 1),
        ((200, HTML, b"<html>hello</html>"), "malformed", "an HTML page instead of vectors", 5),
        ((200, JSON, b'{"data": null}'), "malformed", "instead of vectors", 5),
        ((200, {**JSON, "x-mox-simulated": "1"}, b'{"data": [{"index": 0, "embedding": [1]}]}'),
         "bad_request", "a simulator answers, and", 1),
        ((500, JSON, b"{}"), "server", "HTTP 500", 5),
        # A gateway's errors, with a status of 200; the code is the status that it got.
        ((200, JSON, refusal("401", "No auth credentials found")), "auth", "No auth cred", 1),
        ((200, JSON, b'{"error": {"message": "No credits", "code": 402}, "data": null}'),
         "quota_exhausted", "No credits", 1),
        ((200, JSON, refusal("429", "20 requests per minute")), "rate_limit_requests", "20 req", 5),
        ((200, JSON, b'{"error": "it broke"}'), "stream_error", "it broke", 5),
        ((200, JSON, b'{"error": null, "data": 7}'), "malformed", "instead of vectors", 5),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_told_apart(
    api: Any, answer: Any, kind: str, said: str, times: int
) -> None:
    api.spoil = lambda _: answer
    book = Notes()
    with pytest.raises(ProviderError, match=said) as caught:
        client(api).buy(["a"], book, CALL)
    assert caught.value.kind == kind
    assert "127.0.0.1" in caught.value.message
    assert [(usage, error) for _, usage, error in book.lines] == [(None, kind)] * times


def test_nobody_there_and_nobody_answering_are_told_apart(api: Any) -> None:
    api.delay_s = 0.5
    with pytest.raises(ProviderError, match=r"within 0\.1 s") as slow:
        client(api, timeout_s=0.1).buy(["a"], Notes(), CALL)
    assert slow.value.kind == "timeout_first_byte"
    with pytest.raises(ProviderError, match="could not be reached") as away:
        client(api, base_url="http://127.0.0.1:9/v1").buy(["a"], Notes(), CALL)
    assert away.value.kind == "connection"


def test_a_simulator_has_to_be_called_one(api: Any) -> None:
    api.simulated = True
    client(api, simulated=True).buy(["a"], Notes(), CALL)
    api.simulated = False
    with pytest.raises(ProviderError, match="no simulator of Mox answers, though"):
        client(api, simulated=True).buy(["a"], Notes(), CALL)


def test_a_key_never_stands_in_what_is_said(
    api: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "key"
    file.write_text("planted-in-a-file\n")
    api.spoil = lambda _: (401, JSON, refusal("invalid_api_key", "not planted-in-a-file!"))
    model = client(api, key_file=str(file))
    with pytest.raises(ProviderError, match=r"not \*\*\*!") as caught:
        model.buy(["a"], Notes(), CALL)
    assert "planted-in-a-file" not in str(caught.value)
    assert api.keys == ["Bearer planted-in-a-file"]
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(MissingError, match="OPENAI_API_KEY is not set"):
        openai(api).buy(["a"], Notes(), CALL)


def test_texts_that_may_be_cut_are_cut_where_the_model_stops_reading(api: Any) -> None:
    client(api, reads=3, truncate=True).buy(["a b c d e", "a b"], Notes(), CALL)
    assert [asked["input"] for asked in api.requests] == [["a b c", "a b"]]


def test_a_long_text_is_cut_no_sooner_than_the_model_stops_reading(api: Any) -> None:
    """Ten tokens a sentence: of 6,000 sentences 3,200 are read, 144,000 characters; but for a
    word that is parted where a piece ends that is counted at once."""
    sentence = "The quick brown fox jumps over the lazy dog. "
    model = client(api, reads=32_000, truncate=True)
    [sent] = model.sent([sentence * 6_000])
    assert sent.startswith(sentence * 3_199)
    assert (sentence * 3_200).startswith(sent)
    assert model.sent([sent]) == [sent]


def test_a_texts_last_character_is_whole_where_it_is_cut(api: Any) -> None:
    model = client(api, reads=5, truncate=True)
    for text in (
        "\U0001f469\u200d\U0001f469\u200d" * 9,
        "\u6771\u4eac\u90fd\u306e\u5929\u6c17" * 9,
    ):
        [sent] = model.sent([text])
        assert text.startswith(sent)
        assert 0 < int(model.tokens([sent])[0]) <= 5


@pytest.mark.parametrize("key", [{"key_env": "MY_KEY"}, {"key_file": "/k"}])
def test_what_cannot_change_a_vector_is_no_part_of_its_key(api: Any, key: dict[str, str]) -> None:
    plain = {"kind": "openai"}
    other = {**key, "account": "team", "batch": 7, "timeout_s": 3}
    first, second = embedders.parse(plain), embedders.parse({**plain, **other})
    assert first.model_dump(mode="json") == second.model_dump(mode="json")
    assert second.runtime == other
    assert first.runtime == {}
    assert embedders.parse({**first.model_dump(mode="json"), **second.runtime}) == second
    assert embedders.fingerprint(first) == {
        "provider": "openai", "host": "api.openai.com", "model": "text-embedding-3-small",
    }  # fmt: skip


def test_how_far_a_text_is_read_is_part_of_the_key() -> None:
    plain = {
        "kind": "compatible",
        "model": "m",
        "dims": 8,
        "base_url": "http://h",
        "truncate": True,
    }
    short, long = (embedders.parse({**plain, "reads": reads}) for reads in (3, 500))
    assert short.model_dump(mode="json") != long.model_dump(mode="json")
    assert short.runtime == {}


def test_a_provider_is_waited_for_as_long_as_it_asks_or_not_at_all(api: Any) -> None:
    minutes = ProviderError("slow", mend="wait", kind="rate_limit_tokens", retry_after_s=120.0)
    assert embedding._wait_s(0, minutes) == 120.0
    body = json.dumps({"error": {"message": "Slow down."}}).encode()
    api.spoil = lambda _: (429, {**JSON, "retry-after": "3600"}, body)
    with pytest.raises(ProviderError, match=r"Slow down.* It asks to wait 3,600 s") as caught:
        client(api).buy(["a"], Notes(), CALL)
    assert caught.value.kind == "rate_limit_tokens"
    assert caught.value.retry_after_s == 3600.0
    assert len(api.requests) == 1


def test_the_models_own_dimensions_said_or_not_are_one_embedder() -> None:
    said = embedders.parse({"kind": "openai", "dims": 1536})
    assert said == embedders.parse({"kind": "openai"})


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"kind": "openai", "model": "text-embedding-9"}, "dimensions of 'text-embedding-9'"),
        ({"kind": "openai", "dims": 2000}, "has 1536 dimensions, not 2000"),
        ({"kind": "openai", "model": "text-embedding-ada-002", "dims": 8}, "can't be shortened"),
        ({"kind": "compatible", "model": "m", "dims": 8, "base_url": "localhost:1"}, "write an ad"),
        (
            {"kind": "compatible", "model": "m", "dims": 8, "base_url": "http://u:p@h"},
            "another secret",
        ),
        ({"kind": "compatible", "model": "m", "base_url": "http://h"}, "needs the field 'dims'"),
        ({"kind": "openai", "key": "sk-proj-" + "a1B2c3D4" * 4}, "openai.key holds a key"),
    ],
)
def test_what_cannot_be_meant_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(FieldError, match=said):
        embedders.parse(settings)


def test_nothing_is_asked_without_a_book(api: Any) -> None:
    with pytest.raises(SpecError, match="without a book"):
        client(api).embed(["a"])
    assert not api.requests


def test_headers_of_the_environment_go_to_no_address(
    api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "x-gateway: pl4nted-for-another-address")
    client(api).buy(["a"], Notes(), CALL)
    assert len(api.headers) == 1
    assert "x-gateway" not in api.headers[0].lower()
    assert "pl4nted" not in api.headers[0]
