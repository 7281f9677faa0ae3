"""What the ledger has of answers that are odd, through the whole door over real HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import mox
from mox.errors import ProviderError
from mox.providers.ledger import Ledger
from mox.providers.reply import Replies, Reply
from mox.settings import settings
from mox.types.providers import Usage

JSON = {"content-type": "application/json"}


@pytest.fixture(autouse=True)
def prices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """1 USD a million tokens of input, 10 of output."""
    file = tmp_path / "prices.yaml"
    file.write_text(
        "prices:\n  - {provider: compatible, model: m, per: 1M, input: 1, output: 10}\n"
    )
    monkeypatch.setenv("MOX_PRICES", str(file))


def asked(lab: Any, reply: Callable[[dict[str, Any]], Any] | Any) -> tuple[Reply | Exception, int]:
    """What comes of a question to this server, and of how many requests."""

    async def main() -> tuple[Reply | Exception, int]:
        async with lab.serving(reply) as raw:
            spec = {"kind": "compatible", "model": "m", "base_url": f"{raw.url}/v1"}
            free = {"unlimited": True}
            async with mox.model(spec, limits=free, remember=False) as model:
                try:
                    found: Reply | Exception = await model.reply("Why?", max_output_tokens=50)
                except ProviderError as error:
                    found = error
            return found, len(raw.asked)

    return asyncio.run(main())


def lines() -> list[dict[str, Any]]:
    """The ledger's."""
    return list(Ledger(settings().root).rows())


def test_an_answer_whose_usage_contradicts_itself_is_paid_and_kept(lab: Any) -> None:
    """More reasoning than output, and no total that would explain it."""
    usage = {"prompt_tokens": 11, "completion_tokens": 7,
             "completion_tokens_details": {"reasoning_tokens": 9}}  # fmt: skip
    *pieces, last, done = lab.chat("Because.")
    chunk = {**json.loads(last.removeprefix(b"data: ")), "usage": usage}
    reply = lab.Reply([*pieces, lab.data(chunk), done], headers=lab.OPENAI_HEADERS)
    found, _ = asked(lab, reply)
    assert isinstance(found, Reply)
    assert (found.text, found.usd) == ("Because.", None)
    assert found.answer.usage == Usage(11, output_tokens=7, reasoning_tokens=9)
    assert "no price" in repr(found)
    both = Replies(["Why?", "How?"], [found, replace(found, usd=Decimal("0.5"))])
    assert both.usd is None
    assert "0.5000 USD and 1 without a price" in repr(both)
    [line] = lines()
    assert line["usd"] == line["held_usd"]
    assert "can't be right" in line["note"]


@pytest.mark.parametrize("counted", [True, False])
def test_a_server_that_does_not_stream_is_asked_and_paid_once(lab: Any, counted: bool) -> None:
    (raw,) = lab.whole("chat", "Because.")
    body = json.loads(raw) if counted else {**json.loads(raw), "usage": None}
    found, requests = asked(lab, lab.Reply([json.dumps(body).encode()], headers=JSON))
    assert isinstance(found, ProviderError)
    assert (found.kind, requests) == ("unusable", 1)
    assert "no stream of events but application/json" in found.message
    [line] = lines()
    # 11 tokens in and 7 out; else the most that it may have cost.
    assert Decimal(line["usd"]) == Decimal("0.000081" if counted else line["held_usd"])
    assert (line["note"] is None) == counted


@pytest.mark.parametrize(
    ("status", "code", "billed"),
    [
        (400, "content_filter", True),
        (400, "context_length_exceeded", True),
        (400, "invalid_request", False),
        (504, None, True),
    ],
)
def test_a_refusal_that_may_be_billed_is_booked_at_the_most(
    lab: Any, status: int, code: str | None, billed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mox.providers.pooled.BACKOFF_S", 0.01)
    body = json.dumps({"error": {"message": "no", "code": code}}).encode()
    asked(lab, lab.Reply([body], status=status, headers=JSON))
    booked = lines()
    assert booked
    for line in booked:
        assert Decimal(line["usd"]) == (Decimal(line["held_usd"]) if billed else 0)
        assert (line["note"] is not None) == billed
