"""What all embedders behind an API are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from mox.embedding.spec import EmbedSpec
from mox.providers.accounts import account_name
from mox.providers.pool.limits import Limits
from mox.providers.spec import ProviderSpec, checked_url


class ApiEmbed(EmbedSpec, ProviderSpec):
    """What all embedders behind an API have in common. No field ever holds a key."""

    base_url: str
    """Where its API begins: what `/embeddings` is added to."""
    simulated: bool = False
    """The address is a simulator's. It has to be said, and a simulator has to be there: so what
    is simulated is never taken for real, nor kept beside it."""
    key_env: str | None = Field(None, exclude=True)
    """The environment variable that holds the key; the provider's own where not set."""
    key_file: Path | None = Field(None, exclude=True)
    """A file whose only content is the key."""
    batch: int = Field(32, ge=1, le=2048, exclude=True)
    """Texts of one request, at most."""
    timeout_s: float = Field(60.0, gt=0, exclude=True)
    """Of one request, in seconds."""
    account: str | None = Field(None, min_length=1, exclude=True)
    """Whose limits it counts against, and what the ledger calls it: a project's name, say; where
    not set, that of chat models whose key stands in the same place."""
    limits: Limits | None = Field(None, exclude=True)
    """The account's limits, as its provider's page states them for this model: requests are paced
    by them. Where not set they are sent one after another, and slowed down by refusals alone."""

    @field_validator("base_url")
    @classmethod
    def _plain_url(cls, value: str) -> str:
        """An address that may be shown: it is part of results' keys, and tables print it."""
        if urlsplit(checked_url(value)).query:
            raise ValueError("an address has no query; name the key with key_env")
        return value.rstrip("/")

    @property
    def host(self) -> str:
        """Who answers: host, and port where it is not the scheme's own."""
        return urlsplit(self.base_url).netloc.lower()

    @property
    def called(self) -> str:
        """Its account's name."""
        return self.account or account_name(self)

    @property
    def size(self) -> int:
        """Dimensions of its vectors."""
        raise NotImplementedError

    @property
    def asked_dims(self) -> int | None:
        """Dimensions that a request asks for; None: the model's own."""
        raise NotImplementedError

    @property
    def most_tokens(self) -> int | None:
        """Tokens that it reads of a text, by cl100k; None where that isn't known."""
        return None

    def transport(self) -> Any:
        """What carries its requests instead of the network; None: nothing does."""
        return None
