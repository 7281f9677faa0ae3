"""Trials: complete configurations, expanded from the axes of an experiment."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mox.chunking import chunkers
from mox.embedding import embedders
from mox.errors import FieldError, MoxError, SpecError
from mox.indexes import indexes
from mox.registry import Registry, nearest, validate
from mox.retrieval import fusions, retrievers
from mox.source import Path_, Source
from mox.spec import IndexSpec, SearchSettings, Spec, digest

AXES = ("chunk", "embed", "index", "search")
"""Outermost first; the plan keeps this order. `parse rerank prompt generate` come later."""


class Dense(Spec):
    """Search by vectors. Further fields are the search settings of the sweep's indexes."""

    kind: str = "dense"
    k: int = 10
    """Hits per question."""


class Hybrid(Spec):
    """Dense and lexical hits, fused. Further fields are the indexes' search settings."""

    kind: str = "hybrid"
    k: int = 10
    """Hits per question after fusion."""
    depth: int = 50
    """Hits of each side that fusion sees. Under k, fusion would starve; a side's hit past some
    50 places adds under 1/110 to a reciprocal-rank score and seldom changes the first ten."""
    fusion: Mapping[str, Any] = {"kind": "rrf"}
    """How the two lists become one."""
    lexical: Mapping[str, Any] = {"kind": "bm25"}
    """The lexical side: a retriever and its settings."""


@dataclass(frozen=True)
class Search:
    """How a trial searches, resolved: every setting stands, none is left to a default.

    `settings`: the index's, for dense and hybrid. `retriever`: for lexical and hybrid.
    `fusion` and `depth`: for hybrid only. `least`: the least score that the dense and the lexical
    side could ever give, where the fusion needs it; it follows from their kinds.
    """

    kind: str
    k: int
    settings: SearchSettings | None = None
    retriever: Spec | None = None
    fusion: Spec | None = None
    depth: int | None = None
    least: tuple[float, float] | None = None

    @property
    def dense_k(self) -> int:
        """How many hits are asked of the index."""
        return self.depth or self.k

    @cached_property
    def config(self) -> dict[str, Any]:
        found: dict[str, Any] = {"kind": self.kind, "k": self.k}
        if self.settings is not None:
            found |= self.settings.model_dump(mode="json")
        if self.kind == "hybrid":
            assert self.fusion is not None  # noqa: S101  set by _search, together with kind
            assert self.retriever is not None  # noqa: S101
            found["depth"] = self.depth
            found["fusion"] = self.fusion.model_dump(mode="json")
            found["lexical"] = self.retriever.model_dump(mode="json")
        elif self.retriever is not None:
            found |= self.retriever.model_dump(mode="json")
        return found


@dataclass(frozen=True)
class Trial:
    """One complete configuration. `embed` and `index` are None where vectors play no part."""

    tokenizer: str
    chunk: Spec
    embed: Spec | None
    index: IndexSpec | None
    search: Search

    @cached_property
    def config(self) -> dict[str, Any]:
        """Every setting, defaults written out, by axis."""
        found: dict[str, Any] = {"tokenizer": self.tokenizer}
        for axis in ("chunk", "embed", "index"):
            spec: Spec | None = getattr(self, axis)
            if spec is not None:
                found[axis] = spec.model_dump(mode="json")
        return {**found, "search": self.search.config}

    @cached_property
    def id(self) -> str:
        """Hash of the resolved configuration: the same in every store."""
        return digest(self.config)[:10]

    @cached_property
    def params(self) -> dict[str, Any]:
        """The configuration flat: `chunk.kind`, `index.m`, `search.fusion.k`."""
        return dict(flatten(self.config))


def flatten(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves of nested settings by dotted name."""
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def alternatives(
    value: Any, path: Path_, lists: frozenset[str] = frozenset()
) -> Iterator[tuple[Any, Path_]]:
    """All points of a value that may hold lists of alternatives, each with its place.

    Args:
        lists: top-level fields whose own type is a list; there a list of lists is meant.
    """
    if isinstance(value, list):
        for at, item in enumerate(value):
            yield from alternatives(item, (*path, at), lists)
    elif isinstance(value, Mapping):
        if set(value) & {"range"}:
            raise SpecError(
                "`range` is reserved for adaptive search, which isn't built yet.",
                mend="list the values.",
            )
        keys = list(value)
        columns = []
        for key in keys:
            item = value[key]
            if key in lists:
                nested = isinstance(item, list) and item and isinstance(item[0], list)
                columns.append(list(item) if nested else [item])
            else:
                columns.append([point for point, _ in alternatives(item, (*path, key))])
        for point in itertools.product(*columns):
            yield dict(zip(keys, point, strict=True)), path
    else:
        yield value, path


def expand_axis(source: Source, axis: str, registry: Registry[Any]) -> list[Spec]:
    """Specs of the axis `chunk`, `embed` or `index`, in the order written.

    Raises:
        SpecError: no list of settings, an unknown kind or field; names the line.
    """
    found: dict[str, Spec] = {}
    for raw, path in _points(source, axis, registry):
        try:
            spec = registry.parse(respell(registry, raw))
        except FieldError as error:
            raise source.error((*path, *error.field.split(".")), error) from None
        except MoxError as error:
            raise source.error((*path, "kind"), error) from None
        found.setdefault(digest(spec.model_dump(mode="json")), spec)
    return list(found.values())


def respell(registry: Registry[Any], raw: Mapping[str, Any]) -> dict[str, Any]:
    """An engine's own spellings (`M`, `efConstruction`) to ours, where a Spec lists them."""
    kind = raw.get("kind")
    spellings: Mapping[str, str] = {}
    if isinstance(kind, str) and kind in registry.kinds():
        spellings = getattr(registry.entry(kind).spec, "spellings", {})
    return {spellings.get(name, name): value for name, value in raw.items()}


def _points(
    source: Source, axis: str, registry: Registry[Any] | None = None
) -> Iterator[tuple[dict[str, Any], Path_]]:
    value = source.settings["axes"].get(axis)
    entries = value if isinstance(value, list) else [value]
    if value is None or not entries:
        raise source.error(
            ("axes", axis), SpecError(f"axes.{axis} is empty.", mend="give one `kind:` at least.")
        )
    for at, entry in enumerate(entries):
        path: Path_ = ("axes", axis, at) if isinstance(value, list) else ("axes", axis)
        if not isinstance(entry, Mapping):
            raise source.error(
                path,
                SpecError(
                    f"axes.{axis} holds settings, not {entry!r}.",
                    mend=f"write `{{kind: {entry}}}`.",
                ),
            )
        try:
            lists = _list_fields(registry, entry)
            for point, _ in alternatives(entry, path, lists):
                yield point, path
        except SpecError as error:
            raise source.error(path, error) from None


def _list_fields(registry: Registry[Any] | None, entry: Mapping[str, Any]) -> frozenset[str]:
    kind = entry.get("kind")
    if registry is None or not isinstance(kind, str) or kind not in registry.kinds():
        return frozenset()
    fields = registry.entry(kind).spec.model_fields
    return frozenset(
        name
        for name, field in fields.items()
        if str(field.annotation).startswith(("list", "tuple", "typing.List", "typing.Tuple"))
    )


def searches(
    source: Source, index_specs: Iterable[IndexSpec]
) -> list[tuple[dict[str, Any], Path_]]:
    """Raw points of the search axis, each checked to name only settings that something has."""
    known = {name for spec in index_specs for name in spec.Search.model_fields}
    every = [*_COMBINED, *retrievers.kinds()]
    found = []
    for raw, path in _points(source, "search"):
        kind = raw.get("kind")
        if kind not in every:
            error = SpecError(
                f"unknown kind {kind!r} of search{nearest(str(kind), every)}.",
                mend=f"use one of {', '.join(every)}.",
            )
            raise source.error((*path, "kind"), error)
        if kind in _COMBINED:
            own = set(_COMBINED[kind].model_fields)
            for name in raw:
                if name not in own | known:
                    error = SpecError(
                        f"search setting {name!r} belongs to no index of this sweep"
                        f"{nearest(name, own | known)}.",
                        mend=f"use one of {', '.join(sorted(own | known))}, or add its index.",
                    )
                    raise source.error((*path, name), error)
        found.append((raw, path))
    return found


_COMBINED: dict[str, type[Spec]] = {"dense": Dense, "hybrid": Hybrid}


def resolve(raw: Mapping[str, Any], index: IndexSpec) -> Search:
    """A search point on one index: its own settings are taken, those of others dropped.

    Raises:
        SpecError: a value that its field refuses, or settings that cannot fill k places.
    """
    kind = raw["kind"]
    if kind not in _COMBINED:
        settings = {name: value for name, value in raw.items() if name != "k"}
        k = _whole("k", raw.get("k", 10))
        return Search(kind, k, retriever=retrievers.parse(settings))
    shape = _COMBINED[kind]
    own = validate(shape, {name: raw[name] for name in raw if name in shape.model_fields})
    fields = index.Search.model_fields
    settings_ = validate_settings(index, {name: raw[name] for name in raw if name in fields})
    if isinstance(own, Hybrid):
        depth = max(_whole("depth", own.depth), own.k)
        retriever, fusion = retrievers.parse(own.lexical), fusions.parse(own.fusion)
        least = _least(fusion, index, retriever)
        search = Search(kind, _whole("k", own.k), settings_, retriever, fusion, depth, least)
    else:
        assert isinstance(own, Dense)  # noqa: S101  the two shapes of _COMBINED
        search = Search(kind, _whole("k", own.k), settings_)
    settings_.check(index, search.dense_k)
    return search


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


def expand(source: Source, tokenizer: str) -> tuple[list[Trial], dict[str, list[Any]]]:
    """All trials, outermost axis first; points that resolve to the same stages are one.

    Returns:
        The trials, and the alternatives of each axis as they were read.

    Raises:
        SpecError: what an axis says cannot be meant; names the line.
    """
    chunks = expand_axis(source, "chunk", chunkers)
    embeds = expand_axis(source, "embed", embedders) if "embed" in source.settings["axes"] else []
    specs = [
        spec
        for spec in (expand_axis(source, "index", indexes) if "index" in source.settings["axes"]
                     else [])
        if isinstance(spec, IndexSpec)
    ]  # fmt: skip
    points = searches(source, specs)
    found: dict[str, Trial] = {}
    embedders_: list[Spec | None] = [*embeds] or [None]
    indexes_: list[IndexSpec | None] = [*specs] or [None]
    for chunk, embed, index, (raw, path) in itertools.product(chunks, embedders_, indexes_, points):
        trial = _trial(source, tokenizer, chunk, embed, index, raw, path)
        found.setdefault(trial.id, trial)
    axes: dict[str, list[Any]] = {
        "chunk": chunks,
        "embed": embeds,
        "index": specs,
        "search": [raw for raw, _ in points],
    }
    return list(found.values()), axes


def _trial(
    source: Source,
    tokenizer: str,
    chunk: Spec,
    embed: Spec | None,
    index: IndexSpec | None,
    raw: Mapping[str, Any],
    path: Path_,
) -> Trial:
    if raw["kind"] in _COMBINED and (embed is None or index is None):
        lacking = "embed" if embed is None else "index"
        error: MoxError = SpecError(
            f"{raw['kind']} search needs vectors, and axes.{lacking} is missing.",
            mend=f"add `{lacking}:` under `axes:`.",
        )
        raise source.error(path, error)
    try:
        search = resolve(raw, index or IndexSpec(kind=""))
    except FieldError as error:
        raise source.error((*path, *error.field.split(".")), error) from None
    except MoxError as error:
        raise source.error(path, error) from None
    if search.settings is None:
        return Trial(tokenizer, chunk, None, None, search)
    return Trial(tokenizer, chunk, embed, index, search)
