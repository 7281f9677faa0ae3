"""Anthropic, by its own SDK: Messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from mox.providers import providers
from mox.providers.keys import key_of, refuse_others
from mox.providers.spec import ProviderSpec

if TYPE_CHECKING:
    from httpx2 import AsyncBaseTransport

    from mox.providers.stamping import Patience
    from mox.types.providers import Provider

URL = "https://api.anthropic.com"


class Anthropic(ProviderSpec):
    """Models of Anthropic's own service."""

    KEY_ENV: ClassVar[str | None] = "ANTHROPIC_API_KEY"

    kind: Literal["anthropic"] = "anthropic"


@providers.register(Anthropic, fingerprint=lambda _: {"service": "api.anthropic.com"})
def open_anthropic(
    spec: Anthropic,
    *,
    transport: AsyncBaseTransport | None = None,
    patience: Patience | None = None,
) -> Provider:
    """Open an account at Anthropic.

    Args:
        transport: what carries requests instead of the network.
        patience: how long silence is borne.

    Raises:
        MissingError: no key, or the SDK isn't installed.
        ProviderError: `auth`, the key is another provider's.
    """
    from mox.providers.opening import Target, account_at_anthropic

    key = key_of(spec)
    refuse_others(key, provider="Anthropic", kind=spec.kind)
    return account_at_anthropic(Target(spec.kind, URL, key), transport=transport, patience=patience)
