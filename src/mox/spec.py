"""What a user asks for: frozen, closed, tagged settings, and their canonical form."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict
from pydantic_core import to_jsonable_python


class Spec(BaseModel):
    """Settings of one back end: frozen, no unknown fields, tagged by `kind`.

    A field's docstring is its help. Every field is part of the key under which results are
    stored, but those that cannot change a result (where a key stands, how much is asked at
    once): they are declared with `exclude=True`, and no dump has them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
    kind: str

    @property
    def runtime(self) -> dict[str, Any]:
        """The fields that cannot change a result, those alone, as JSON has them."""
        # Serialising leaves them out, so each is turned to JSON by itself.
        return {
            name: to_jsonable_python(value, exclude_none=True)
            for name, field in type(self).model_fields.items()
            if field.exclude and (value := getattr(self, name)) != field.get_default()
        }


class IndexSpec(Spec):
    """Build settings of an index. What a search may set stands in `Search`, apart from them."""

    Search: ClassVar[type[SearchSettings]]
    holds: ClassVar[Literal["vectors", "texts", "pairs"]] = "vectors"
    """What it is built from, and so what may search it: vectors, texts, or both of each row."""

    def check_dims(self, dims: int) -> None:
        """Refuse (SpecError) vectors of so many dimensions: asked when the plan is made, where
        the embedder says them beforehand, and before anything is built."""


class SearchSettings(BaseModel):
    """What one search may set on a built index. Empty where an index has nothing to set."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    def on(self, index: IndexSpec, k: int) -> Self:
        """These settings as they take effect on an index: what has none there says so.

        So two points of a sweep that differ in nothing but such a setting are one trial.
        """
        return self

    def check(self, index: IndexSpec, k: int) -> None:
        """Refuse (SpecError) what cannot fill k places on this index."""


IndexSpec.Search = SearchSettings


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal settings give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def readable(value: Mapping[str, Any]) -> str:
    """Strict JSON with a line for each field, and for each item of a field that is a list.

    What stands within an item isn't broken further: a sweep's thousands of trials stay a page
    each to a pager, and are written by the parser in C, which knows no indentation.

    Raises:
        ValueError: a number that JSON hasn't got.
    """

    def whole(part: Any) -> str:
        return json.dumps(part, ensure_ascii=False, allow_nan=False)

    fields = []
    for name, field in value.items():
        if isinstance(field, list | tuple) and field:
            items = ",\n".join(f"  {whole(item)}" for item in field)
            fields.append(f" {whole(name)}: [\n{items}\n ]")
        else:
            fields.append(f" {whole(name)}: {whole(field)}")
    return "{\n" + ",\n".join(fields) + "\n}" if fields else "{}"


def digest(value: Any) -> str:
    """SHA-256 in hexadecimal of a value's canonical JSON."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()
