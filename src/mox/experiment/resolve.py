"""A point of the search axis on one index, resolved: every setting stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mox.errors import FieldError
from mox.experiment.trials import Dense, EngineHybrid, FullText, Hybrid, Search
from mox.indexes import engine_fusion, indexes
from mox.registry import validate
from mox.retrieval import fusions, retrievers
from mox.spec import IndexSpec, SearchSettings, Spec

COMBINED: dict[str, type[Spec]] = {
    "dense": Dense,
    "hybrid": Hybrid,
    "full_text": FullText,
    "engine_hybrid": EngineHybrid,
}
"""Kinds of search that search an index."""
NEEDS: Mapping[str, str] = {
    "dense": "vectors",
    "hybrid": "vectors",
    "full_text": "texts",
    "engine_hybrid": "pairs",
}
"""What the index must hold that each of them searches."""


def resolve(raw: Mapping[str, Any], index: IndexSpec) -> Search:
    """A search point on one index: its own settings are taken, those of others dropped.

    Raises:
        SpecError: a value that its field refuses, or settings that cannot fill k places.
    """
    kind = raw["kind"]
    if kind not in COMBINED:
        settings = {name: value for name, value in raw.items() if name != "k"}
        k = _whole("k", raw.get("k", 10))
        return Search(kind, k, retriever=retrievers.parse(settings))
    shape = COMBINED[kind]
    own = validate(shape, {name: raw[name] for name in raw if name in shape.model_fields})
    fields = index.Search.model_fields
    settings_ = validate_settings(index, {name: raw[name] for name in raw if name in fields})
    if isinstance(own, Hybrid):
        depth = max(_whole("depth", own.depth), own.k)
        retriever, fusion = retrievers.parse(own.lexical), fusions.parse(own.fusion)
        least = _least(fusion, index, retriever)
        settings_ = settings_.on(index, depth)
        search = Search(kind, _whole("k", own.k), settings_, retriever, fusion, depth, least)
    elif isinstance(own, EngineHybrid):
        depth = max(_whole("depth", own.depth), _whole("k", own.k))
        settings_ = settings_.on(index, depth)
        search = Search(kind, own.k, settings_, fusion=_inside(own, index), depth=depth)
    else:
        assert isinstance(own, Dense | FullText)  # noqa: S101  the other shapes of COMBINED
        k = _whole("k", own.k)
        settings_ = settings_.on(index, k)
        search = Search(kind, k, settings_)
    settings_.check(index, search.dense_k)
    return search


def _inside(own: EngineHybrid, index: IndexSpec) -> Spec:
    """How the index' engine is to fuse."""
    try:
        return engine_fusion(index, own.fusion)
    except FieldError as error:
        raise FieldError(error.message, mend=error.mend, field=f"fusion.{error.field}") from None


def _least(fusion: Spec, index: IndexSpec, retriever: Spec) -> tuple[float, float] | None:
    """The least scores of both sides, for a fusion that needs them.

    Raises:
        SpecError: a third party's back end doesn't say what its least score is.
    """
    needs = fusions.entry(fusion.kind).traits.get("needs_least")
    if needs is None or not needs(fusion):
        return None
    found = []
    for registry, spec in ((indexes, index), (retrievers, retriever)):
        least = registry.entry(spec.kind).traits.get("least")
        if least is None:
            raise FieldError(
                f"{fusion.kind} fusion with these settings needs the least score that a search can"
                f" give, and {spec.kind} doesn't say it.",
                mend=f"use another `normalise`, or register {spec.kind} with the trait `least`.",
                field="fusion",
            )
        found.append(float(least(spec)))
    return found[0], found[1]


def validate_settings(index: IndexSpec, raw: Mapping[str, Any]) -> SearchSettings:
    """Search settings of an index.

    Raises:
        FieldError: a field that it hasn't got, or a value that the field refuses.
    """
    return validate(index.Search, raw, name=f"{index.kind} search")


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise FieldError(
            f"{name} = {value!r} is not a whole number of 1 or more.",
            mend="set it to 10, say.",
            field=name,
        )
    return value
