"""Asks a simulator some questions, over the ledger and what is remembered; prints the answers.

`remembering.py URL PRICES`
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from mox.providers import providers
from mox.providers.budget import RunBook
from mox.providers.ledger import Ledger
from mox.providers.overrides import read_overrides
from mox.providers.pool import Account, Limits, memory_pool
from mox.providers.pooled import Manner, Pooled
from mox.providers.prices import Prices
from mox.providers.remembered import Origin, Remembered
from mox.settings import settings
from mox.types.providers import Message, Request

QUESTIONS = 4


async def main(url: str, prices: str) -> None:
    spec = providers.parse({"kind": "simulated", "model": "sim-swift", "url": url})
    book = RunBook(Ledger(settings().root), Prices(read_overrides(Path(prices))), run="r")
    account = Account("one", Limits(unlimited=True), provider="simulated")
    pooled = Pooled(
        {account: providers[spec](spec)}, memory_pool(), manner=Manner(simulated=True), book=book
    )
    asker = Remembered(pooled, Origin.of(spec))
    found = []
    for number in range(QUESTIONS):
        asked = (Message("user", f"Question {number}?"),)
        answer = await asker.complete(Request("sim-swift", asked, max_output_tokens=8))
        found.append([answer.text, answer.usage.input_tokens, answer.usage.output_tokens])
    await asker.aclose()
    print(json.dumps([found, asker.hits, asker.misses]))  # noqa: T201  what its caller reads


asyncio.run(main(*sys.argv[1:]))
