"""The contract, through the official SDKs, against both fronts of the simulator."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from mox.providers import providers
from mox.providers.compatible import Compatible
from mox.providers.simulated import Simulated
from mox.providers.stamping import Patience
from mox.simulation.serving import Served, serving
from mox.simulation.transport import SimulatedTransport
from mox.testing.providers import PROMPT, ProviderContract
from mox.types.providers import ErrorKind, Message, Provider, Request

Opened = Callable[[], Provider]
FAULTS: dict[ErrorKind, str] = {
    "overloaded": "overloaded",
    "server": "html",
    "quota_exhausted": "spend_cap",
    "timeout_first_byte": "silent",
    "timeout_stall": "stalled",
    "connection": "cut",
    "truncated": "truncated",
    "malformed": "bad_utf8",
}
"""The simulator's way to make a provider fail, by what it is to be called."""
WIRES = ("chat", "messages", "responses")
QUICK = Patience(first_byte_s=3.0, stall_s=1.0)


class SimulatedContract(ProviderContract):
    """Both fronts: override `simulated`."""

    @pytest.fixture(params=WIRES)
    def wire(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    @pytest.fixture
    def asked(self) -> Request:
        return Request("sim-swift", (Message("user", PROMPT),), max_output_tokens=24)

    @pytest.fixture
    def simulated(self, wire: str) -> Callable[..., Provider]:
        """Opens an account at a simulator that fails in a way, or in none."""
        raise NotImplementedError

    @pytest.fixture
    def opened(self, simulated: Callable[..., Provider]) -> Opened:
        return simulated

    @pytest.fixture
    def failing(self, simulated: Callable[..., Provider]) -> Mapping[ErrorKind, Opened]:
        def way(fault: str) -> Opened:
            return lambda: simulated(fault)

        return {kind: way(fault) for kind, fault in FAULTS.items()}

    def test_what_is_simulated_says_so(self, opened: Opened, asked: Request) -> None:
        import asyncio

        async def main() -> None:
            provider = opened()
            assert (await provider.complete(asked)).simulated is True
            await provider.aclose()

        asyncio.run(main())


class TestInProcess(SimulatedContract):
    @pytest.fixture
    def simulated(self, wire: str) -> Callable[..., Provider]:
        def opened(fault: str | None = None) -> Provider:
            faults = [{"kind": fault}] if fault else []
            transport = SimulatedTransport({"time_scale": 0.01, "faults": faults})
            spec = Simulated(model="sim-swift", wire=wire)
            return providers[spec](spec, transport=transport, patience=QUICK)

        return opened


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """`mox simulate`, with an account for each way to fail: its name is the fault's."""
    accounts: dict[str, Any] = {"simulated": {}, **{fault: {} for fault in FAULTS.values()}}
    faults = [{"kind": fault, "accounts": [fault]} for fault in FAULTS.values()]
    with serving({"time_scale": 0.01, "accounts": accounts, "faults": faults}) as found:
        yield found


class TestServed(SimulatedContract):
    @pytest.fixture
    def simulated(self, wire: str, served: Served) -> Callable[..., Provider]:
        def opened(fault: str | None = None) -> Provider:
            served.reset()
            spec = Simulated(
                model="sim-swift", wire=wire, url=served.url, account=fault or "simulated"
            )
            return providers[spec](spec, patience=QUICK)

        return opened

    @pytest.fixture
    def in_flight(self, served: Served) -> Callable[[], int]:
        return lambda: int(served.stats()["running"])


class TestCompatibleWithTheSimulator(ProviderContract):
    """It answers as any server of OpenAI's shape; that it is simulated is seen all the same."""

    @pytest.fixture
    def asked(self) -> Request:
        return Request("sim-swift", (Message("user", PROMPT),), max_output_tokens=24)

    @pytest.fixture
    def opened(self, served: Served, monkeypatch: pytest.MonkeyPatch) -> Opened:
        monkeypatch.setenv("SIMULATED_ACCOUNT", "simulated")
        spec = Compatible(
            model="sim-swift", base_url=served.openai_base_url, key_env="SIMULATED_ACCOUNT"
        )

        def opened() -> Provider:
            served.reset()
            return providers[spec](spec)

        return opened

    def test_what_is_simulated_says_so(self, opened: Opened, asked: Request) -> None:
        import asyncio

        async def main() -> None:
            provider = opened()
            answer = await provider.complete(replace(asked, max_output_tokens=5))
            assert answer.simulated is True
            await provider.aclose()

        asyncio.run(main())
