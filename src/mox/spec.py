"""What a user asks for: frozen, closed, tagged settings, and their canonical form."""

from __future__ import annotations

import hashlib
import json
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict


class Spec(BaseModel):
    """Settings of one back end: frozen, no unknown fields, tagged by `kind`.

    A field's docstring is its help. Fields that cannot change a result (time limits,
    numbers of workers) do not belong here, since every field is part of the key under
    which results are stored.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
    kind: str


class IndexSpec(Spec):
    """Build settings of an index. What a search may set stands in `Search`, apart from them."""

    Search: ClassVar[type[SearchSettings]]


class SearchSettings(BaseModel):
    """What one search may set on a built index. Empty where an index has nothing to set."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    def check(self, index: IndexSpec, k: int) -> None:
        """Refuse (SpecError) what cannot fill k places on this index."""


IndexSpec.Search = SearchSettings


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal settings give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(value: Any) -> str:
    """SHA-256 in hexadecimal of a value's canonical JSON."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()
