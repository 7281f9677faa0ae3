"""OpenAI, by its own SDK: Responses, or Chat Completions."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from mox.providers import providers
from mox.providers.keys import key_of, refuse_others
from mox.providers.spec import ProviderSpec

if TYPE_CHECKING:
    from httpx2 import AsyncBaseTransport

    from mox.providers.stamping import Patience
    from mox.types.providers import Provider

URL = "https://api.openai.com/v1"


class OpenAI(ProviderSpec):
    """Models of OpenAI's own service. Other addresses of its shape are `compatible`'s."""

    KEY_ENV: ClassVar[str | None] = "OPENAI_API_KEY"

    kind: Literal["openai"] = "openai"
    api: Literal["responses", "chat"] = "responses"
    """Which of its two interfaces is asked."""
    organisation: str | None = None
    """Its id, where the key belongs to several."""
    project: str | None = None
    """Its id, where the key belongs to several."""


@providers.register(OpenAI, fingerprint=lambda _: {"service": "api.openai.com"})
def open_openai(
    spec: OpenAI, *, transport: AsyncBaseTransport | None = None, patience: Patience | None = None
) -> Provider:
    """Open an account at OpenAI.

    Args:
        transport: what carries requests instead of the network.
        patience: how long silence is borne.

    Raises:
        MissingError: no key, or the SDK isn't installed.
        ProviderError: `auth`, the key is another provider's.
    """
    from mox.providers.opening import Target, account_at_openai

    key = key_of(spec)
    refuse_others(key, provider="OpenAI", kind=spec.kind)
    target = Target(spec.kind, URL, key, organisation=spec.organisation, project=spec.project)
    return account_at_openai(target, spec.api, transport=transport, patience=patience)
