"""Any server that speaks as OpenAI does: vLLM, Ollama, llama.cpp, Azure, a gateway."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal
from urllib.parse import parse_qsl, urlsplit

from pydantic import Field, field_validator

from mox.providers import providers
from mox.providers.keys import key_of, owner_of, refuse_others
from mox.providers.opening import Api
from mox.providers.spec import ProviderSpec, checked_url
from mox.secrets import names_a_secret

if TYPE_CHECKING:
    from httpx2 import AsyncBaseTransport

    from mox.providers.stamping import Patience
    from mox.types.providers import Provider


class Compatible(ProviderSpec):
    """Models behind an address of OpenAI's shape."""

    kind: Literal["compatible"] = "compatible"
    base_url: str
    """Of the interface, with its version: `http://127.0.0.1:11434/v1`. A query goes with each
    request: `https://NAME.openai.azure.com/openai/v1?api-version=preview`."""
    api: Api = "chat"
    """Which of the two interfaces is asked."""
    output_limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """How Chat Completions' limit of output tokens is called there. Reasoning models of OpenAI's
    on Azure know the longer name only."""
    headers: Mapping[str, str] = Field(default_factory=dict)
    """Sent with each request. Never a secret: that is `key_env`'s and `key_file`'s."""

    @field_validator("base_url")
    @classmethod
    def _is_a_url(cls, url: str) -> str:
        return checked_url(url)

    @field_validator("headers")
    @classmethod
    def _are_no_secrets(cls, headers: Mapping[str, str]) -> Mapping[str, str]:
        for name in headers:
            if names_a_secret(name):
                raise ValueError(
                    f"the header {name!r} carries a secret by its name; key_env names the variable"
                    " of a key, which goes as `Authorization: Bearer`"
                )
        return headers


@providers.register(
    Compatible, fingerprint=lambda spec: {"service": urlsplit(spec.base_url).netloc}
)
def open_compatible(
    spec: Compatible,
    *,
    transport: AsyncBaseTransport | None = None,
    patience: Patience | None = None,
) -> Provider:
    """Open an account at a server of OpenAI's shape.

    Args:
        transport: what carries requests instead of the network.
        patience: how long silence is borne.

    Raises:
        MissingError: the key that it names isn't there, or the SDK isn't installed.
        ProviderError: `auth`, the key is another provider's than the address.
    """
    from mox.providers.opening import Target, account_at_openai

    key = key_of(spec)
    at = urlsplit(spec.base_url)
    refuse_others(key, provider=owner_of(at.hostname or ""), kind=spec.kind)
    target = Target(
        f"{spec.kind} {spec.base_url}", at._replace(query="").geturl(), key,
        headers=spec.headers, query=dict(parse_qsl(at.query, keep_blank_values=True)),
        limit=spec.output_limit,
    )  # fmt: skip
    return account_at_openai(target, spec.api, transport=transport, patience=patience)
