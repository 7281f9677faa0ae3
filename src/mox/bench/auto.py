"""`index: [{kind: auto}]` in an experiment, made concrete when its plan is made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mox.bench.bound import Bound
from mox.bench.decide import Decision, decide
from mox.bench.known import alike_of, answering, check_answers, growths_like, now, points_of
from mox.bench.vectors import do, no_engine
from mox.errors import FieldError, SpecError
from mox.experiment import Experiment
from mox.experiment.auto import Auto
from mox.experiment.axes import alternatives
from mox.experiment.experiment import parse
from mox.loadgen import host
from mox.pipeline.plan import fold
from mox.pipeline.prepare import open_corpus
from mox.pipeline.progress import Silent
from mox.pipeline.store import Store
from mox.registry import validate
from mox.results.growth.words import named
from mox.settings import Settings
from mox.source import Path_, Source, override, read
from mox.spec import canonical


def load(
    experiment: str | Path | Mapping[str, Any],
    changes: Mapping[str, Any] | None,
    store: Store,
    settings: Settings,
) -> Experiment:
    """Read and check an experiment, each `kind: auto` of its index axis made concrete.

    See `mox.experiment.load`. The settings that a pick was measured with are given to dense and
    hybrid searches that don't set them. What was picked, and why, is the first of its notes.

    Raises:
        MissingError: no curves of this host, this embedding or this load, or the pick's are of
            another engine than would answer.
        EngineError: the pick's engine is away.
        SpecError: several embeddings or numbers of hits, or no store keeps the bound.
    """
    return resolved(written(experiment, changes), store, settings)


def written(
    experiment: str | Path | Mapping[str, Any], changes: Mapping[str, Any] | None
) -> Source:
    """An experiment's settings as they are written, with changes."""
    source = Source(experiment) if isinstance(experiment, Mapping) else read(Path(experiment))
    return override(source, changes or {})


def resolved(source: Source, store: Store, settings: Settings) -> Experiment:
    """`load`, of settings that were read."""
    autos = _autos(source)
    if not autos:
        return parse(source)
    standing = _standing(source)
    most = 0
    if any(one.rows is None for several in autos.values() for one in several):
        most = _largest(standing, store, settings)
    trial = standing.trials[0]
    embed = trial.embed.model_dump(mode="json") if trial.embed else {}
    growths = growths_like(store, host=host(), embed=embed, k=trial.search.dense_k)
    answers = now(settings)
    points = answering(points_of(growths), answers)
    taken = {
        at: [decide(points, one.rows or most, _bound(one)) for one in several]
        for at, several in autos.items()
    }
    picks = [found for several in taken.values() for found in several]
    for found in picks:
        check_answers(found.taken, answers)
    experiment = parse(_rewritten(source, taken))
    said = [note(found, alike_of(growths, found, points)) for found in picks]
    said += _beside(experiment, picks)
    return replace(experiment, notes=(*dict.fromkeys(said), *experiment.notes))


def concrete(source: Source) -> Source:
    """The same without `kind: auto`: what curves are measured of.

    Raises:
        SpecError: nothing is left.
    """
    autos = _autos(source)
    if not autos:
        return source
    left = [entry for at, entry in enumerate(_entries(source)) if at not in autos]
    if not left:
        raise source.error(
            ("axes", "index"),
            SpecError(
                "`kind: auto` picks from measured indexes, and none is written beside it.",
                mend="add those that it may pick: HNSW, pgvector_hnsw, …; `auto` is left out of"
                " a growth.",
            ),
        )
    return override(source, {"axes.index": left})


def _bound(one: Auto) -> Bound:
    return Bound(one.recall, one.clients, one.p95_ms)


def note(found: Decision, alike: Mapping[str, Any] | None) -> str:
    """A decision as a line of a plan.

    Args:
        alike: how alike its two configurations answered; None where nobody compared them.
    """
    said = f"index auto: {found.taken.way.name}. {found.why} {found.taken}; {found.other}."
    if alike is None:
        return f"{said} The two were not compared on the same vectors."
    mean, margin = alike["difference"]["mean"], alike["margin"]
    does = "answer alike" if alike["equivalent"] else "were not shown to answer alike"
    return (
        f"{said} On the same {alike['n']:,} vectors the two {does}: recall"
        f" {alike['recall'][0]:.3f} and {alike['recall'][1]:.3f}, difference {mean:+.3f}"
        f" [{alike['difference']['low']:+.3f}, {alike['difference']['high']:+.3f}] within"
        f" ±{margin:g}."
    )


def _beside(experiment: Experiment, picks: Sequence[Decision]) -> Iterator[str]:
    """Which other indexes the settings of the picks change: those of an axis are of all of it."""
    picked = [dict(found.taken.way.index) for found in picks]
    given = {name: value for found in picks for name, value in found.taken.way.search.items()}
    others: dict[str, list[str]] = {}
    for trial in experiment.trials:
        index = trial.index.model_dump(mode="json") if trial.index else None
        if index is None or index in picked or trial.search.settings is None:
            continue
        its = trial.search.settings.model_dump(mode="json")
        for name, value in given.items():
            if its.get(name) == value:
                others.setdefault(f"{name}={value}", []).append(named(index, {}))
    for setting, names in others.items():
        yield (
            f"index auto: {setting}, with which the pick was measured, is a setting of the search"
            f" axis, and also that of {'; '.join(dict.fromkeys(names))}."
        )


def _entries(source: Source) -> list[Any]:
    axes = source.settings.get("axes")
    value = axes.get("index") if isinstance(axes, Mapping) else None
    return value if isinstance(value, list) else [value]


def _autos(source: Source) -> dict[int, list[Auto]]:
    """Place in the index axis → what is written there, a list under a setting being swept."""
    found: dict[int, list[Auto]] = {}
    for at, entry in enumerate(_entries(source)):
        if not isinstance(entry, Mapping) or entry.get("kind") != "auto":
            continue
        path: Path_ = ("axes", "index", at)
        try:
            found[at] = [validate(Auto, one) for one, _ in alternatives(entry, path)]
        except FieldError as error:
            raise source.error((*path, *error.field.split(".")), error) from None
    return found


def _standing(source: Source) -> Experiment:
    """The experiment with exact search in its place: what is chunked, embedded and asked."""
    axes = source.settings["axes"]
    searches = axes.get("search")
    points = searches if isinstance(searches, list) else [searches]
    dense = [one for one in points if isinstance(one, Mapping) and one.get("kind") == "dense"]
    hits = {canonical(one.get("k", 10)) for one in dense}
    if len(hits) != 1 or any(isinstance(one.get("k"), list) for one in dense):
        raise source.error(
            ("axes", "search"),
            SpecError(
                "`kind: auto` needs dense searches for one number of hits, as curves are measured.",
                mend="write one `{kind: dense, k: 10}`.",
            ),
        )
    exactly = {
        **{name: axes[name] for name in ("chunk", "embed") if name in axes},
        "index": [{"kind": "exact"}],
        "search": [{"kind": "dense", "k": dense[0].get("k", 10)}],
    }
    changes = {"axes": exactly, "baseline": None, "choose": None}
    found = parse(override(source, changes))
    if len({trial.embed for trial in found.trials}) > 1:
        raise source.error(
            ("axes", "embed"),
            SpecError(
                "`kind: auto` decides for one embedding.", mend="name one: --set axes.embed.0=…."
            ),
        )
    return found


def _largest(standing: Experiment, store: Store, settings: Settings) -> int:
    """Chunks of the largest chunking; what isn't chunked yet is chunked now."""
    plan = fold(standing, open_corpus(standing), store, no_engine)
    refs = list(dict.fromkeys(trial.roles["chunk"] for trial in plan.trials))
    if not all(store.has(*ref) for ref in refs):
        do(plan, refs, settings, Silent())
    return max(int(store.sidecar(*ref)["facts"]["chunks"]) for ref in refs)


def _rewritten(source: Source, taken: Mapping[int, Sequence[Decision]]) -> Source:
    index: list[Any] = []
    settings: dict[str, list[Any]] = {}
    for at, entry in enumerate(_entries(source)):
        for found in taken.get(at, ()):
            way = found.taken.way
            if dict(way.index) not in index:
                index.append(dict(way.index))
            for name, value in way.search.items():
                values = settings.setdefault(name, [])
                if value not in values:
                    values.append(value)
        if at not in taken:
            index.append(entry)
    searches = source.settings["axes"]["search"]
    points = searches if isinstance(searches, list) else [searches]
    search = [
        {**settings, **one} if one.get("kind") in ("dense", "hybrid") else one for one in points
    ]
    changes: dict[str, Any] = {"axes.index": index, "axes.search": search}
    named = source.settings.get("baseline") or {}
    if isinstance(named.get("index"), Mapping) and named["index"].get("kind") == "auto":
        first = next(iter(taken.values()))[0]
        changes["baseline.index"] = dict(first.taken.way.index)
    return override(source, changes)
