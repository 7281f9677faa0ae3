"""An answer whose tokens nobody counted has no price: it is refused by name, over real HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from mox.errors import ProviderError
from mox.providers.charging import may_be_billed


def recounted(pieces: list[bytes], change: Callable[[dict[str, Any]], Any]) -> list[bytes]:
    """An answer's pieces with every usage in them changed."""

    def walked(value: Any) -> Any:
        if isinstance(value, list):
            return [walked(one) for one in value]
        if not isinstance(value, dict):
            return value
        return {
            name: change(one) if name == "usage" and one else walked(one)
            for name, one in value.items()
        }

    found = []
    for piece in pieces:
        head, mark, body = piece.rpartition(b"data: ") if piece[:1] != b"{" else (b"", b"", piece)
        if body.startswith(b"[DONE]"):
            found.append(piece)
        else:
            found.append(head + mark + json.dumps(walked(json.loads(body))).encode() + b"\n\n")
    return found


INPUT = ("prompt_tokens", "input_tokens")
UNCOUNTED: dict[str, Callable[[dict[str, Any]], Any]] = {
    "none": lambda _: None,
    "empty": lambda _: {},
    "no-input": lambda usage: {k: v for k, v in usage.items() if k not in INPUT},
    # 7 is the output of all answers here; what Anthropic's stream begins with is a 1.
    "no-output": lambda usage: {k: v for k, v in usage.items() if v != 7},
    "null-output": lambda usage: {k: None if v == 7 else v for k, v in usage.items()},
    "words": lambda usage: {k: "many" if v == 7 else v for k, v in usage.items()},
    "negative": lambda usage: {k: -1 if v == 7 else v for k, v in usage.items()},
}


@pytest.mark.parametrize("how", UNCOUNTED)
def test_an_answer_without_usage_is_refused_by_name(lab: Any, wire: str, how: str) -> None:
    """It is never taken for one of no tokens, which costs nothing."""
    pieces = recounted(lab.STREAMS[wire]("a"), UNCOUNTED[how])
    (body,) = recounted(lab.whole(wire, "a"), UNCOUNTED[how])

    def reply(asked: dict[str, Any]) -> Any:
        if asked["body"].get("stream"):
            return lab.Reply(pieces, headers=lab.OPENAI_HEADERS)
        return lab.Reply([body], headers={"content-type": "application/json"})

    async def main() -> None:
        async with lab.serving(reply) as server:
            provider = lab.open_at(wire, server)
            for call in (lab.drained(provider, lab.ask()), provider.complete(lab.ask())):
                with pytest.raises(ProviderError, match="count of its tokens") as caught:
                    await call
                error = caught.value
                assert (error.kind, error.usage) == ("unusable", None)
                assert may_be_billed(error.kind, error.billable)
                assert "include_usage" in error.mend
            await provider.aclose()

    asyncio.run(main())
