"""What the contracts of a token pool ask with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from mox.providers.pool import Account, Limits, Outcome, Pool
from mox.types.providers import Usage

Opens = Callable[..., Pool]
DONE = Outcome(usage=Usage(input_tokens=10, output_tokens=10))
LATE_S = 0.4
"""How late a lease may come on a busy machine."""


def on_time(took_s: float, expected_s: float) -> bool:
    """Whether a lease came when it should: never before, and not much later."""
    return expected_s - 0.05 <= took_s <= expected_s + LATE_S


def openai(name: str = "one", **limits: Any) -> Account:
    """An account of 100 tokens a second, of which 50 are free at once."""
    stated = {"tokens_per_min": 6000, "safety": 1.0, **limits}
    return Account(name, Limits(**stated), "openai")


def anthropic(name: str = "one", **limits: Any) -> Account:
    """An account of 100 tokens of output a second, of which 50 are free at once."""
    stated = {"input_per_min": 6e6, "output_per_min": 6000, "safety": 1.0, **limits}
    return Account(name, Limits(**stated), "anthropic")


class AskingContract:
    """Override `pool`: opens a pool whose books are empty, in whatever loop calls it."""

    @pytest.fixture
    def pool(self) -> Opens:
        raise NotImplementedError

    @pytest.fixture
    def run(self, pool: Opens) -> Callable[..., Any]:
        """Runs a test's coroutine with a pool of its own, and closes it."""

        def running(work: Callable[[Pool], Coroutine[Any, Any, Any]], **settings: Any) -> Any:
            async def whole() -> Any:
                opened = pool(**settings)
                try:
                    async with asyncio.timeout(20):
                        return await work(opened)
                finally:
                    await opened.aclose()

            return asyncio.run(whole())

        return running
