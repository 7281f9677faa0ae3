"""Mox' simulator as a provider: in this process, or a running `mox simulate`. Never mistaken for
a real one: each Answer says that it is simulated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from mox.providers import providers
from mox.providers.spec import ProviderSpec, checked_url

if TYPE_CHECKING:
    from httpx2 import AsyncBaseTransport

    from mox.providers.stamping import Patience
    from mox.types.providers import Provider

NOWHERE = "http://simulated.invalid"
"""Where requests seem to go that never leave this process: a name that can't be looked up."""


class Simulated(ProviderSpec):
    """Models that are not there."""

    kind: Literal["simulated"] = "simulated"
    wire: Literal["chat", "responses", "messages"] = "chat"
    """In which format it is asked."""
    account: str = Field(default="simulated", min_length=1)
    """Whose limits it counts against: the name that the simulator takes for a key."""
    seed: int = 0
    """Of its answers and their times, in this process."""
    time_scale: float = Field(default=1.0, gt=0)
    """Its latencies are multiplied by this, in this process: 0.01 for tests."""
    url: str | None = None
    """Of a running `mox simulate`, without a path; it has a seed and a time scale of its own."""

    @field_validator("url")
    @classmethod
    def _is_a_servers(cls, url: str | None) -> str | None:
        if url is not None:
            parts = urlsplit(checked_url(url))
            if parts.path.strip("/") or parts.query:
                raise ValueError("write http://HOST:PORT alone, without a path or a query")
        return url

    @model_validator(mode="after")
    def _is_set_in_one_place(self) -> Self:
        if self.url is not None and self.model_fields_set & {"seed", "time_scale"}:
            raise ValueError("seed and time_scale are the server's own where `url` is given")
        return self


@providers.register(Simulated, fingerprint=lambda _: {"service": "simulated"})
def open_simulated(
    spec: Simulated,
    *,
    transport: AsyncBaseTransport | None = None,
    patience: Patience | None = None,
) -> Provider:
    """Open an account at the simulator, through the official SDK of its wire.

    Args:
        transport: another simulator in this process, which several accounts share; one of its
            own where not given.
        patience: how long silence is borne.

    Raises:
        MissingError: the extra isn't installed.
    """
    from mox.providers.keys import key_of
    from mox.providers.opening import Target, account_at_anthropic, account_at_openai, sdk

    sdk("httpx2")  # said by name where the extra isn't installed
    if transport is None and spec.url is None:
        from mox.simulation.transport import SimulatedTransport

        transport = SimulatedTransport({"seed": spec.seed, "time_scale": spec.time_scale})
    at = (spec.url or NOWHERE).rstrip("/")
    key = key_of(spec) or spec.account
    if spec.wire == "messages":
        target = Target(spec.kind, at, key, simulated=True)
        return account_at_anthropic(target, transport=transport, patience=patience)
    target = Target(spec.kind, f"{at}/v1", key, simulated=True)
    return account_at_openai(target, spec.wire, transport=transport, patience=patience)
