"""Addresses of servers that speak as OpenAI does: Azure's, and what is none."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from mox.errors import FieldError
from mox.providers import providers
from mox.providers.compatible import Compatible


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_what_azures_address_asks_for_goes_with_each_request(lab: Any, api: str) -> None:
    """Its reference: POST {endpoint}/openai/v1/chat/completions?api-version=preview."""
    path = {"chat": "/chat/completions", "responses": "/responses"}[api]

    async def main() -> None:
        async with lab.serving(lab.good(api, "a")) as raw:
            for root in ("/openai/v1", "/openai/v1/"):
                url = f"{raw.url}{root}?api-version=preview"
                spec = Compatible(model="m", base_url=url, api=api)
                provider = providers[spec](spec)
                await provider.complete(lab.ask())
                await lab.drained(provider, lab.ask())
                await provider.aclose()
            paths = {asked["path"] for asked in raw.asked}
            assert paths == {f"/openai/v1{path}?api-version=preview"}

    asyncio.run(main())


def test_notes_of_azures_filter_are_no_part_of_the_answer(lab: Any) -> None:
    """Its asynchronous filter sends them between the text, in chunks without a `delta`."""
    note = {
        "id": "", "object": "", "created": 0, "model": "", "usage": None,
        "choices": [{
            "index": 0, "finish_reason": None,
            "content_filter_results": {"hate": {"filtered": False, "severity": "safe"}},
            "content_filter_offsets": {"check_offset": 44, "start_offset": 44, "end_offset": 198},
        }],
    }  # fmt: skip
    first = {**note, "choices": [], "prompt_filter_results": [{"prompt_index": 0}]}
    good = lab.chat("Hello", " world")
    pieces = [lab.data(first), *good[:2], lab.data(note), *good[2:4], lab.data(note), *good[4:]]

    async def main() -> None:
        async with lab.serving(lab.Reply(pieces, headers=lab.OPENAI_HEADERS)) as raw:
            spec = Compatible(model="m", base_url=f"{raw.url}/v1")
            provider = providers[spec](spec)
            *deltas, answer = await lab.drained(provider, lab.ask())
            await provider.aclose()
        assert [delta.text for delta in deltas] == ["Hello", " world"]
        assert (answer.text, answer.finish, answer.model) == ("Hello world", "stop", "m-1")

    asyncio.run(main())


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("localhost:8000/v1", "write an address"),
        ("ftp://host/v1", "write an address"),
        ("http:///v1", "write an address"),
        ("http://localhost:port/v1", "write an address"),
        ("http://localhost:99999/v1", "write an address"),
        ("http://[::1/v1", "write an address"),
        ("http://host name/v1", "write an address"),
        ("http://host/v1\n", "write an address"),
        ("http://host/v1#latest", "no fragment"),
        ("http://someone:7/hunter2@host/v1", "name the key with key_env"),
    ],
)
def test_what_is_no_address_is_refused_when_it_is_read(url: str, said: str) -> None:
    for settings in ({"kind": "compatible", "base_url": url}, {"kind": "simulated", "url": url}):
        with pytest.raises(FieldError, match=said) as caught:
            providers.parse({**settings, "model": "m"})
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8901/v1", "http://127.0.0.1:8901?x=1"])
def test_a_simulator_is_named_without_a_path(url: str) -> None:
    with pytest.raises(FieldError, match="without a path"):
        providers.parse({"kind": "simulated", "model": "m", "url": url})
