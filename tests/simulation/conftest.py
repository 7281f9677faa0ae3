"""One simulator behind HTTP for all tests that only need one, since a start costs seconds of CPU;
and both official SDKs of one in process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from mox.simulation.app import Simulator
from mox.simulation.config import made
from mox.simulation.naming import even
from mox.simulation.serving import Served, serving
from mox.simulation.transport import SimulatedTransport

CONFIG: dict[str, Any] = {
    "time_scale": 0.001,
    "models": {"m": even(), "thinks": {"like": "sim-thinking"}},
    "context_tokens": 20_000,
    "accounts": {
        "alice": {"keys": ["alice-2"]},
        "open": {"limits": {"rpm": 600, "tpm": 60_000}},
        "claude": {"limits": {"accounting": "anthropic", "rpm": 50, "itpm": 40_000, "otpm": 8_000}},
    },
}


@pytest.fixture(scope="session")
def served() -> Iterator[Served]:
    """Models without chance in their times: `m` is done at once, `steady` makes 50 tokens/s."""
    models = {
        "m": even(first_s=0.002, token_s=0.001), "steady": even(first_s=0.1, token_s=0.02),
    }  # fmt: skip
    with serving({"models": models}) as found:
        yield found


class Sdks:
    """Both SDKs' clients of one simulator."""

    def __init__(self, simulator: Simulator, key: str) -> None:
        self.http = httpx2.AsyncClient(transport=SimulatedTransport(simulator), timeout=5)
        given: dict[str, Any] = {"api_key": key, "max_retries": 0, "http_client": self.http}
        self.openai = openai.AsyncOpenAI(base_url="http://sim/v1", **given)
        self.anthropic = anthropic.AsyncAnthropic(base_url="http://sim", **given)


def _with_sdks(use: Callable[[Sdks], Awaitable[Any]], *, key: str = "alice") -> Any:
    """What comes of a use of both SDKs. Limits' clock stands still: nothing is refilled."""

    async def main() -> Any:
        sdks = Sdks(Simulator(made(CONFIG), clock=lambda: 0.0), key)
        async with sdks.http:
            return await use(sdks)

    return asyncio.run(main())


@pytest.fixture
def with_sdks() -> Callable[..., Any]:
    """Runs a use of both SDKs, and says what comes of it."""
    return _with_sdks


@pytest.fixture
def simulator() -> Simulator:
    return Simulator(made(CONFIG))
