"""A request's bytes, from what a file says of its provider."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mox.bench.providers.client.wires import body
from mox.bench.providers.file import load
from mox.bench.providers.targets import target
from mox.types.providers import Message, Request

ASKED = Request("whichever", (Message("user", "Go on."),), max_output_tokens=7)


def sent(**settings: Any) -> dict[str, Any]:
    provider = {"kind": "compatible", "model": "m", "base_url": "http://127.0.0.1:1/v1"}
    found = load(
        {
            "providers": [{**provider, **settings}],
            "workloads": ["short"],
            "loads": [{"kind": "closed", "concurrency": 1}],
        }
    )
    made: dict[str, Any] = json.loads(body(target(found.providers[0], found.plain), ASKED))
    return made


def test_a_server_of_openais_shape_is_told_its_limit_by_the_name_it_knows() -> None:
    # Servers that don't know the longer name answer without a limit, or refuse.
    assert sent()["max_tokens"] == 7
    assert "max_completion_tokens" not in sent()
    assert sent(output_limit="max_completion_tokens")["max_completion_tokens"] == 7


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_a_request_streams_and_asks_for_the_targets_model(api: str) -> None:
    found = sent(api=api)
    assert (found["model"], found["stream"]) == ("m", True)
