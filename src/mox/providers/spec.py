"""What all providers have in common: a model, and where its key stands."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from mox.spec import Spec


class ProviderSpec(Spec):
    """One way to a model. No field ever holds a key."""

    KEY_ENV: ClassVar[str | None] = None
    """The provider's own variable, read where the spec names none."""

    model: str = Field(min_length=1)
    """As the provider names it."""
    key_env: str | None = None
    """The environment variable that holds the key; the provider's own where not set."""
    key_file: Path | None = None
    """A file whose only content is the key."""
