"""A planted key is sent to its provider, and is nowhere else."""

from __future__ import annotations

import asyncio
import io
import logging
import pickle
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydantic import ValidationError

from mox.errors import FieldError, MissingError, MoxError, ProviderError
from mox.providers import providers
from mox.providers.compatible import Compatible
from mox.providers.keys import key_of
from mox.providers.openai import OpenAI
from mox.providers.simulated import Simulated
from mox.registry import validate
from mox.secrets import guard, looks_like_a_key, scrub

PLANTED = "pl4nted-9f8e7d6c5b4a-in-a-test"
"""Of no known shape: nothing but where it stands says that it is a key."""
SHAPED = "sk-proj-pl4ntedpl4ntedpl4nted0123456789"
OF_ANTHROPIC = "sk-ant-api03-pl4ntedpl4ntedpl4nted0123456789"
TAIL = "/t4il+x=="
"""What a key may go on with that is in no known shape: a gateway's of base64."""


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """All that anything logs, down to DEBUG."""
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield said
    root.removeHandler(handler)
    root.setLevel(before)


@pytest.mark.parametrize("tail", ["", TAIL], ids=["of no shape", "shaped, with a tail"])
@pytest.mark.parametrize("place", ["own variable", "named variable", "file"])
def test_a_key_reaches_its_provider_and_nothing_else(
    lab: Any, wire: str, place: str, tail: str, logged: io.StringIO, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The server repeats the key in its refusals, as some do: in the body, in mid-answer, whole
    and streamed."""
    shaped = OF_ANTHROPIC if wire == "messages" else SHAPED
    planted = f"{shaped}{tail}" if tail else PLANTED
    more: dict[str, Any] = {}
    if place == "file":
        (tmp_path / "key").write_text(f"{planted}\n")
        more["key_file"] = tmp_path / "key"
    elif place == "named variable":
        monkeypatch.setenv("MY_OTHER_ACCOUNT", planted)
        more["key_env"] = "MY_OTHER_ACCOUNT"
    else:
        name = "ANTHROPIC_API_KEY" if wire == "messages" else "OPENAI_API_KEY"
        monkeypatch.setenv(name, planted)
    spec = lab.spec_of(wire, **more)
    said: list[str] = [repr(spec), str(spec), spec.model_dump_json(), repr(spec.model_dump())]

    def reply(asked: dict[str, Any]) -> Any:
        wrong = {"message": f"Incorrect key: {planted}", "type": "authentication_error"}
        text = f'{{"error": {{"message": "{wrong["message"]}", "type": "{wrong["type"]}"}}}}'
        if len(servers[0].asked) > 2:
            event = lab.data if wire != "messages" else lab.event
            pieces = [*lab.STREAMS[wire]("a")[:2], event({"type": "error", "error": wrong})]
            return lab.Reply(pieces, headers=lab.OPENAI_HEADERS)
        return lab.Reply([text.encode()], status=401, headers={"content-type": "application/json"})

    servers: list[Any] = []

    async def main() -> None:
        async with lab.serving(reply) as raw:
            servers.append(raw)
            provider = providers[spec](spec, transport=lab.Elsewhere(raw.url))
            said.append(repr(provider))
            calls = (
                provider.complete(lab.ask()), lab.drained(provider, lab.ask()),
                lab.drained(provider, lab.ask()),
            )  # fmt: skip
            for call in calls:
                with pytest.raises(ProviderError, match=r"Incorrect key: \*\*\*") as caught:
                    await call
                error = caught.value
                said.extend([repr(error), str(error), repr(error.args), repr(vars(error))])
                said.append("".join(traceback.format_exception(error)))
                said.append(repr(pickle.dumps(error.message)))
            await provider.aclose()
            assert [a["headers"]["authorization"] for a in raw.asked] == [f"Bearer {planted}"] * 3

    asyncio.run(main())
    assert "http" in logged.getvalue().lower()
    for text in (*said, logged.getvalue()):
        assert "pl4nted" not in text
        assert "t4il" not in text


def test_a_key_in_what_the_network_says_is_hidden(lab: Any, wire: str, tmp_path: Path) -> None:
    """A proxy's refusal, or h11's of a header, may hold the request's own."""

    def refuse(request: httpx2.Request) -> httpx2.Response:
        said = request.headers["authorization"]
        raise httpx2.ProxyError(f"407 for {said}", request=request)

    (tmp_path / "key").write_text(PLANTED)
    spec = lab.spec_of(wire, key_file=tmp_path / "key")

    async def main() -> None:
        provider = providers[spec](spec, transport=httpx2.MockTransport(refuse))
        with pytest.raises(ProviderError, match=r"407 for Bearer \*\*\*"):
            await provider.complete(lab.ask())
        await provider.aclose()

    asyncio.run(main())


def test_what_can_be_no_key_is_refused_before_a_client_repeats_it(
    lab: Any, wire: str, tmp_path: Path
) -> None:
    """An illegal header's value would stand in the exception of who refuses it."""
    for text in (f"{PLANTED}\n{PLANTED}", f"Bearer {PLANTED}", f"{PLANTED}–9"):
        (tmp_path / "key").write_text(text)
        spec = lab.spec_of(wire, key_file=tmp_path / "key")
        with pytest.raises(MissingError, match="that no key has") as caught:
            providers[spec](spec)
        assert PLANTED not in str(caught.value)


WRITTEN_WRONGLY = [
    {"key_env": SHAPED},
    {"key_env": PLANTED},
    {"key_env": "0a1b2c3d4e5f60718293a4b5c6d7e8f9"},  # Azure's have this shape
    {"key_env": "ABCDEF0123456789ABCDEF0123456789"},
    {"key_env": "OPENAI KEY"},
    {"key_env": ""},
    {"key_file": SHAPED},
    {"model": SHAPED},
    {"api_key": PLANTED},
    {"api_key": SHAPED},
    {"organisation": OF_ANTHROPIC},
    {"model": ["m", SHAPED]},
    {"key_env": ["X", SHAPED]},
    {"key_env": {"value": PLANTED}},
    {"model": 7, "key_env": [PLANTED]},
]


@pytest.mark.parametrize("wrong", WRITTEN_WRONGLY, ids=[str(n) for n in range(15)])
def test_a_key_in_a_spec_is_refused_and_not_repeated(wrong: dict[str, Any]) -> None:
    """By the registry, as files are read, and by the class, as notebooks do it."""
    settings = {"kind": "openai", "model": "m", **wrong}
    with pytest.raises(MoxError, match=r"openai") as caught:
        providers.parse(settings)
    with pytest.raises((MoxError, ValidationError), match=r".") as direct:
        OpenAI(**settings)
    for error in (caught.value, direct.value):
        said = "".join(traceback.format_exception(error)) + repr(error) + str(error)
        for key in (PLANTED, SHAPED, OF_ANTHROPIC, *map(str, wrong.values())):
            assert not key or key == "7" or key not in said


@pytest.mark.parametrize(
    "wrong",
    [
        {"base_url": f"https://me:{PLANTED}@host/v1"},
        {"base_url": f"https://host/v1?api_key={PLANTED}"},
        {"headers": {"Authorization": f"Bearer {PLANTED}"}},
        {"headers": {"api-key": PLANTED}},
        {"headers": {"X-Team": SHAPED}},
        {"base_url": PLANTED},
    ],
    ids=["user", "query", "authorization", "api-key", "shape", "url"],
)
def test_no_field_of_a_compatible_address_takes_a_secret(wrong: dict[str, Any]) -> None:
    settings = {"kind": "compatible", "model": "m", "base_url": "http://h/v1", **wrong}
    with pytest.raises(FieldError, match=next(iter(wrong))) as caught:
        providers.parse(settings)
    assert PLANTED not in str(caught.value)
    assert SHAPED not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    ["Authorization", "Proxy-Authorization", "api-key", "X-Api-Key", "X-ApiKey", "apiKey",
     "Ocp-Apim-Subscription-Key", "X-Auth-Token", "Cookie", "X-Amz-Signature", "client_secret",
     "api_keys", "apikeys", "X-Api-KEYS", "APIKEYv2", "secrets", "passwords", "access_tokens",
     "accessTokens", "X-Auth-Tokens"],
)  # fmt: skip
def test_names_of_secrets_are_known_in_headers_and_in_addresses(name: str) -> None:
    with pytest.raises(ValidationError, match="carries a secret by its name"):
        Compatible(model="m", base_url="http://h/v1", headers={name: "value"})
    assert scrub(f"see http://h/v1?a=1&{name}=value") == f"see http://h/v1?a=1&{name}=***"


@pytest.mark.parametrize(
    "name",
    [
        "X-Max-Tokens",
        "X-Keyword",
        "max_tokens",
        "monkey",
        "design",
        "tokens",
        "MAX_TOKENS",
        "totalTokens",
        "monkeys",
        "X-KEYWORD",
    ],
)
def test_names_that_only_look_like_a_secrets_are_taken(name: str) -> None:
    Compatible(model="m", base_url=f"http://h/v1?{name}=50", headers={name: "50"})
    assert scrub(f"http://h/v1?{name}=50") == f"http://h/v1?{name}=50"


def test_a_value_of_a_secret_variable_is_refused_in_a_spec(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", PLANTED)
    with pytest.raises(FieldError, match=r"openai\.project holds a key") as caught:
        validate(OpenAI, {"kind": "openai", "model": "m", "project": PLANTED})
    assert PLANTED not in str(caught.value)


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "KEY", "_K2", "MY_OTHER_ACCOUNT"])
def test_names_of_variables_are_taken(name: str) -> None:
    assert OpenAI(model="m", key_env=name).key_env == name


@pytest.mark.parametrize(
    ("wire", "key", "whose"),
    [
        ("chat", OF_ANTHROPIC, "Anthropic"),
        ("responses", OF_ANTHROPIC, "Anthropic"),
        ("messages", SHAPED, "OpenAI"),
        ("chat", "gsk_pl4ntedpl4ntedpl4nted0123", "Groq"),
    ],
)
def test_a_key_of_another_provider_is_not_sent(
    lab: Any, wire: str, key: str, whose: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLANTED_KEY", key)
    spec = lab.spec_of(wire, key_env="PLANTED_KEY")
    with pytest.raises(ProviderError, match=f"begins as {whose}'s do .* was not sent") as caught:
        providers[spec](spec)
    assert caught.value.kind == "auth"
    assert key not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "key"),
    [("https://api.openai.com/v1", OF_ANTHROPIC), ("https://api.anthropic.com/v1", SHAPED)],
)
def test_a_compatible_address_of_a_known_provider_gets_its_own_keys_only(
    host: str, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLANTED_KEY", key)
    spec = Compatible(model="m", base_url=host, key_env="PLANTED_KEY")
    with pytest.raises(ProviderError, match="was not sent"):
        providers[spec](spec)


def test_a_key_that_is_not_there_is_said_with_the_variables_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    spec = OpenAI(model="m")
    with pytest.raises(MissingError, match="no key, OPENAI_API_KEY is not set"):
        providers[spec](spec)
    (tmp_path / "empty").write_text(" \n")
    for path, said in ((tmp_path / "none", "can't be read"), (tmp_path / "empty", "is empty")):
        with pytest.raises(MissingError, match=said):
            key_of(OpenAI(model="m", key_file=path))
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(MissingError, match="is no text"):
        key_of(OpenAI(model="m", key_file=tmp_path / "bytes"))


def test_no_key_is_sent_where_none_is_named(lab: Any) -> None:
    """Not even the one that the SDK would take from the environment by itself."""

    async def main() -> None:
        async with lab.serving(lab.good("chat", "a")) as raw:
            spec = Compatible(model="m", base_url=f"{raw.url}/v1", headers={"X-Team": "search"})
            provider = providers[spec](spec)
            await provider.complete(lab.ask())
            await provider.aclose()
            headers = raw.asked[0]["headers"]
        assert "authorization" not in headers
        assert headers["x-team"] == "search"

    asyncio.run(main())


def test_nothing_of_the_environment_goes_to_a_compatible_address(
    lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-pl4nted")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-pl4nted")
    monkeypatch.setenv("OPENAI_ADMIN_KEY", PLANTED)
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", f"x-gateway: {PLANTED}")

    async def main() -> None:
        async with lab.serving(lab.good("chat", "a")) as raw:
            spec = Compatible(model="m", base_url=f"{raw.url}/v1")
            provider = providers[spec](spec)
            await provider.complete(lab.ask())
            await provider.aclose()
            assert "pl4nted" not in str(raw.asked)

    asyncio.run(main())


def test_what_was_read_as_a_key_is_hidden_from_then_on(tmp_path: Path) -> None:
    text = "another-pl4nted-key-of-a-file"
    assert text in scrub(f"it is {text}.")
    (tmp_path / "key").write_text(text)
    key_of(OpenAI(model="m", key_file=tmp_path / "key"))
    assert scrub(f"it is {text}.") == "it is ***."


@pytest.mark.parametrize("text", [SHAPED, OF_ANTHROPIC, f"x={SHAPED}", f"Bearer {SHAPED}"])
def test_keys_are_known_by_their_shape(text: str) -> None:
    assert looks_like_a_key(text)
    assert "pl4nted" not in scrub(text)


@pytest.mark.parametrize(
    "text", ["gpt-4o-mini-2024-07-18", "claude-sonnet-5-5", "risk-adjusted-returns-of-portfolios",
             "sk-text-repr-fallback", "meta-llama/Llama-3.1-405B-Instruct"],
)  # fmt: skip
def test_names_of_models_are_no_keys(text: str) -> None:
    assert not looks_like_a_key(text)


def test_a_simulated_account_needs_no_key() -> None:
    assert key_of(Simulated(model="sim-swift")) is None


def test_a_key_that_is_a_mere_word_hides_no_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """As servers that need no key are given one; `kind: simulated` would be refused else."""
    for name in ("OPENAI_API_KEY", "SIMULATED_KEY", "KEY"):
        monkeypatch.setenv(name, "simulated")
    monkeypatch.setenv("SOME_PASSWORD", "letmeinplease")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "opensesame")
    assert guard("simulated") == "simulated"
    assert scrub("simulated letmeinplease opensesame") == "simulated *** ***"
    assert providers.parse({"kind": "simulated", "model": "sim-swift"}).kind == "simulated"
