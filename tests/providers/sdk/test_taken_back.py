"""An account that a model may not use is taken back by the model itself."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

import mox
from mox.errors import PoolError, ProviderError

JSON = {"content-type": "application/json"}


@pytest.mark.parametrize("waits", ["in a cell", "in a loop"])
def test_an_account_whose_credit_is_raised_is_taken_back(
    lab: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waits: str
) -> None:
    prices = tmp_path / "prices.yaml"
    prices.write_text("prices: [{provider: compatible, model: m, per: 1M, input: 1, output: 10}]\n")
    monkeypatch.setenv("MOX_PRICES", str(prices))
    said = json.dumps({"error": {"message": "no credit", "code": "insufficient_quota"}})
    refused = lab.Reply([said.encode()], status=429, headers=JSON)
    replies = iter([refused, lab.Reply(lab.chat("Because."), headers=lab.OPENAI_HEADERS)])

    async def main() -> None:
        async with lab.serving(lambda _: next(replies)) as raw:
            spec = {"kind": "compatible", "model": "m", "base_url": f"{raw.url}/v1"}
            model = mox.model(spec, limits={"unlimited": True}, remember=False)

            async def ask() -> str:
                if waits == "in a loop":
                    return (await model.reply("Why?")).text
                return (await asyncio.to_thread(model.ask, "Why?")).text

            with pytest.raises(ProviderError, match="no credit"):
                await ask()
            with pytest.raises(PoolError, match="its quota is used up") as caught:
                await ask()
            assert "`model.take_back()`" in caught.value.mend
            if waits == "in a loop":
                await model.atake_back()
            else:
                await asyncio.to_thread(model.take_back)
            assert await ask() == "Because."
            await model.aclose()

    asyncio.run(main())
