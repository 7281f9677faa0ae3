"""Indexes that hold a vector and a text of each row in one collection: two Specs in one.

Their search settings are those of both parts together, under the names that the parts have for
them, so that a sweep's `ef` means the same with and without texts.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, ClassVar, Literal, Self, TypeVar

from pydantic import create_model

from mox.errors import FieldError, MoxError, SpecError
from mox.indexes import indexes
from mox.indexes.texts import check_settings
from mox.spec import IndexSpec, SearchSettings
from mox.types import Asked

P = TypeVar("P", bound=IndexSpec)


class PairSearch(SearchSettings):
    """Settings of both parts. Each pair of parts has a class of its own; see `together`."""

    def of(self, part: IndexSpec) -> SearchSettings:
        """Those of one part."""
        fields = part.Search.model_fields
        return part.Search(**{name: getattr(self, name) for name in fields})

    def on(self, index: IndexSpec, k: int) -> Self:
        found: dict[str, Any] = {}
        if isinstance(index, Pair):
            for part in index.parts:
                settings = self.of(part).on(part, k)
                found |= {name: getattr(settings, name) for name in type(settings).model_fields}
        return self.model_copy(update=found)

    def check(self, index: IndexSpec, k: int) -> None:
        if isinstance(index, Pair):
            for part in index.parts:
                self.of(part).check(part, k)


@lru_cache(maxsize=64)
def together(vector: type[SearchSettings], text: type[SearchSettings]) -> type[PairSearch]:
    """The settings of two parts as one class; the same class each time it is asked for.

    Raises:
        SpecError: both have a setting of one name, which would be meant for either.
    """
    twice = set(vector.model_fields) & set(text.model_fields)
    if twice:
        raise SpecError(
            f"{vector.__name__} and {text.__name__} both have {', '.join(sorted(twice))}.",
            mend="give one of them another name.",
        )
    fields: dict[str, Any] = {
        name: (field.annotation, field)
        for part in (vector, text)
        for name, field in part.model_fields.items()
    }
    return create_model(
        f"{vector.__name__}And{text.__name__}", __base__=PairSearch, __module__=__name__, **fields
    )


class _OfParts:
    """`Search` of a pair: what its parts have; of no pair in particular, nothing."""

    def __get__(self, pair: Pair | None, owner: type[Pair]) -> type[SearchSettings]:
        return PairSearch if pair is None else together(*(part.Search for part in pair.parts))


class Pair(IndexSpec):
    """Base of such indexes. A subclass has the fields `vector` and `text`."""

    Search: ClassVar[Any] = _OfParts()
    holds: ClassVar[Literal["vectors", "texts", "pairs"]] = "pairs"

    def check_dims(self, dims: int) -> None:
        self.parts[0].check_dims(dims)

    @property
    def parts(self) -> tuple[IndexSpec, IndexSpec]:
        """The index of the vectors, and that of the texts."""
        raise NotImplementedError


def check_asked(
    spec: Pair, queries: Asked, dims: int, k: int, depth: int, settings: SearchSettings
) -> None:
    """Refuse a search that a pair cannot answer as it was meant.

    Raises:
        SpecError: settings of another index or that cannot fill `depth` places, less depth than
            k, or vectors that are not those of the questions.
    """
    check_settings(spec, settings, depth)
    if not 1 <= k <= depth:
        raise SpecError(
            f"{spec.kind}: fusing {depth} hits of each side cannot fill k = {k} places.",
            mend=f"set depth to {k} or more.",
        )
    shape = (len(queries.texts), dims)
    if queries.vectors.shape != shape:
        raise SpecError(
            f"question vectors of shape {queries.vectors.shape} where {shape} are needed.",
            mend="embed questions and chunks with the same model.",
        )


def part_of(name: str, value: Any, of: type[P], what: str) -> P:
    """One part of a pair from its settings.

    Args:
        name: the field, for messages.
        of: the Specs that one engine can hold together.
        what: what these are, for messages.

    Raises:
        FieldError: no settings, an unknown kind or field, or an index of another engine.
    """
    if isinstance(value, of):
        return value
    try:
        if not isinstance(value, Mapping):
            raise SpecError(f"{value!r} is no index.", mend="write `{kind: …}`.")
        spelt: Mapping[str, str] = getattr(_spec(value), "spellings", {})
        found = indexes.parse({spelt.get(key, key): item for key, item in value.items()})
        if not isinstance(found, of):
            raise SpecError(f"{found.kind} is not {what}.", mend=f"name {what}.")
    except MoxError as error:
        inner = f".{error.field}" if isinstance(error, FieldError) else ""
        raise FieldError(
            f"{name}: {error.message}", mend=error.mend, field=f"{name}{inner}"
        ) from None
    return found


def _spec(settings: Mapping[str, Any]) -> type[Any] | None:
    kind = settings.get("kind")
    found = indexes.known(kind)
    return found.spec if found else None
