"""The axes of an experiment, expanded: every combination of what is listed, as trials."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from mox.chunking import chunkers
from mox.embedding import dims_of, embedders
from mox.errors import FieldError, MoxError, SpecError
from mox.experiment.loads import Load, parse_load
from mox.experiment.resolve import COMBINED, NEEDS, resolve
from mox.experiment.trials import Search, Trial
from mox.indexes import indexes
from mox.providers.accounts import key_files_from
from mox.registry import Registry, nearest
from mox.retrieval import retrievers
from mox.source import Path_, Source
from mox.spec import IndexSpec, Spec, canonical, digest


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


def expand_axis(source: Source, axis: str, registry: Registry[Any], notes: list[str]) -> list[Spec]:
    """Specs of the axis `chunk`, `embed` or `index`, in the order written.

    Args:
        notes: gets a line for each that is written twice, which is one all the same.

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
        settings = spec.model_dump(mode="json")
        if found.setdefault(digest(settings), spec) is not spec:
            said = ", ".join(f"{name}: {value}" for name, value in settings.items())
            notes.append(f"axes.{axis} has {{{said}}} twice; it counts once.")
    return list(found.values())


def respell(registry: Registry[Any], raw: Mapping[str, Any]) -> dict[str, Any]:
    """An engine's own spellings (`M`, `efConstruction`) to ours, where a Spec lists them."""
    kind = raw.get("kind")
    entry = registry.known(kind)
    spellings: Mapping[str, str] = getattr(entry.spec, "spellings", {}) if entry else {}
    found: dict[str, Any] = {}
    for name, value in raw.items():
        ours = spellings.get(name, name)
        if ours in found:
            raise FieldError(
                f"{kind} has {ours!r} twice, once as {name!r}.",
                mend=f"`{ours}` is enough; `mox schema` tells all fields apart.",
                field=name,
            )
        found[ours] = value
    return found


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
                yield key_files_from(point, source.base), path
        except SpecError as error:
            raise source.error(path, error) from None


def loads(source: Source, notes: list[str]) -> list[Load]:
    """Points of the axis `load`, in the order written; none where there is no such axis."""
    found: list[Load] = []
    if "load" not in source.settings["axes"]:
        return found
    for raw, path in _points(source, "load"):
        load = parse_load(source, raw, path)
        if load in found:
            notes.append(f"axes.load has {load.model_dump_json()} twice; it counts once.")
        else:
            found.append(load)
    return found


def _list_fields(registry: Registry[Any] | None, entry: Mapping[str, Any]) -> frozenset[str]:
    known = registry.known(entry.get("kind")) if registry else None
    if known is None:
        return frozenset()
    fields = known.spec.model_fields
    return frozenset(
        name
        for name, field in fields.items()
        if str(field.annotation).startswith(("list", "tuple", "typing.List", "typing.Tuple"))
    )


def searches(
    source: Source, index_specs: Iterable[IndexSpec]
) -> list[tuple[dict[str, Any], Path_]]:
    """Raw points of the search axis, each checked to name only settings that something has."""
    specs = list(index_specs)
    every = [*COMBINED, *retrievers.kinds()]
    found = []
    for raw, path in _points(source, "search"):
        kind = raw.get("kind")
        if kind not in every:
            error = SpecError(
                f"unknown kind {kind!r} of search{nearest(str(kind), every)}.",
                mend=f"use one of {', '.join(every)}.",
            )
            raise source.error((*path, "kind"), error)
        if kind in COMBINED:
            own = set(COMBINED[kind].model_fields)
            held = [spec for spec in specs if spec.holds == NEEDS[kind]]
            known = {name for spec in held for name in spec.Search.model_fields}
            if specs and not held:
                raise source.error(path, _no_index(kind, specs))
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


_HELD = {
    "vectors": ("vectors", "`{kind: exact}`"),
    "texts": ("texts", "`{kind: SPARSE_INVERTED_INDEX}`"),
    "pairs": (
        "vectors and texts together",
        "`{kind: milvus_hybrid, vector: {kind: HNSW}, text: {kind: SPARSE_INVERTED_INDEX}}`",
    ),
}


def _no_index(kind: str, specs: list[IndexSpec]) -> SpecError:
    what, example = _HELD[NEEDS[kind]]
    has = ", ".join(dict.fromkeys(spec.kind for spec in specs))
    return SpecError(
        f"{kind} searches an index of {what}, and axes.index has only {has}.",
        mend=f"add {example}, say, under `index:`.",
    )


@dataclass(frozen=True)
class Expanded:
    """All trials, the alternatives of each axis as they were read, and what was written twice."""

    trials: tuple[Trial, ...]
    alternatives: Mapping[str, list[Any]]
    notes: tuple[str, ...]


def expand(source: Source, tokenizer: str) -> Expanded:
    """All trials, outermost axis first; points that resolve to the same stages are one.

    Raises:
        SpecError: what an axis says cannot be meant; names the line.
    """
    notes: list[str] = []
    written = source.settings["axes"]
    chunks = expand_axis(source, "chunk", chunkers, notes)
    embeds = expand_axis(source, "embed", embedders, notes) if "embed" in written else []
    built = expand_axis(source, "index", indexes, notes) if "index" in written else []
    specs = [spec for spec in built if isinstance(spec, IndexSpec)]
    points = searches(source, specs)
    for text, times in Counter(canonical(raw) for raw, _ in points).items():
        if times > 1:
            notes.append(f"axes.search has {text} {times} times; it counts once.")
    under = loads(source, notes)
    found: dict[str, Trial] = {}
    embedders_: list[Spec | None] = [*embeds] or [None]
    indexes_: list[IndexSpec | None] = [*specs] or [None]

    @cache  # the same for all chunks and embedders
    def search(at: int, point: int) -> Search:
        return _search(source, indexes_[at], *points[point])

    places = itertools.product(chunks, embedders_, range(len(indexes_)), range(len(points)))
    for chunk, embed, at, point in places:
        index, (raw, path) = indexes_[at], points[point]
        if index is not None and NEEDS.get(raw["kind"], index.holds) != index.holds:
            continue
        _check_parts(source, embed, index, raw["kind"], path)
        trial = _trial(source, tokenizer, chunk, embed, index, search(at, point))
        for one in _loaded(trial, under):
            found.setdefault(one.id, one)
    if under and not any(trial.load for trial in found.values()):
        error = SpecError(
            "axes.load measures indexes, and no trial searches one by vectors alone.",
            mend="add `index:` and a `dense` search, or leave `load` out.",
        )
        raise source.error(("axes", "load"), error)
    kinds = {trial.search.kind for trial in found.values()} if under else set()
    if "hybrid" in kinds:
        notes.append("hybrid trials are not put under load: their fusion runs in no engine.")
    notes += [
        f"{kind} trials are not put under load: its clients ask by vectors alone."
        for kind in ("full_text", "engine_hybrid")
        if kind in kinds
    ]
    used = {trial.index for trial in found.values()}
    notes += [
        f"axes.index has {spec.kind}, which no point of axes.search searches."
        for spec in specs
        if spec.holds != "vectors" and spec not in used
    ]
    axes: dict[str, list[Any]] = {
        "chunk": chunks,
        "embed": embeds,
        "index": specs,
        "search": [raw for raw, _ in points],
    }
    if under:
        axes["load"] = [*under]
    return Expanded(tuple(found.values()), axes, tuple(notes))


def _loaded(trial: Trial, under: Sequence[Load]) -> list[Trial]:
    """A trial under each load; itself where no load concerns it."""
    if trial.index is None or trial.search.kind != "dense" or not under:
        return [trial]
    return [replace(trial, load=load) for load in under]


def _check_parts(
    source: Source, embed: Spec | None, index: IndexSpec | None, kind: str, path: Path_
) -> None:
    """Refuse a search of vectors or of a collection that the sweep doesn't have."""
    by_text = NEEDS.get(kind) == "texts"
    if kind in COMBINED and (index is None or (embed is None and not by_text)):
        lacking = "index" if by_text or embed is not None else "embed"
        error = SpecError(
            f"{kind} search needs {'texts' if by_text else 'vectors'}, and axes.{lacking} is"
            " missing.",
            mend=f"add `{lacking}:` under `axes:`.",
        )
        raise source.error(path, error)


def _search(source: Source, index: IndexSpec | None, raw: Mapping[str, Any], path: Path_) -> Search:
    try:
        return resolve(raw, index or IndexSpec(kind=""))
    except FieldError as error:
        raise source.error((*path, *error.field.split(".")), error) from None
    except MoxError as error:
        raise source.error(path, error) from None


def _trial(
    source: Source,
    tokenizer: str,
    chunk: Spec,
    embed: Spec | None,
    index: IndexSpec | None,
    search: Search,
) -> Trial:
    if search.settings is None:
        return Trial(tokenizer, chunk, None, None, search)
    if embed is not None and index is not None and (dims := dims_of(embed)) is not None:
        try:
            index.check_dims(dims)
        except MoxError as error:
            raise source.error(("axes", "index"), error) from None
    by_text = NEEDS.get(search.kind) == "texts"
    return Trial(tokenizer, chunk, None if by_text else embed, index, search)
