"""One size: every configuration built, searched and put under load, on the same set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from mox.bench.formula import formula_mb
from mox.bench.points import Point, Spread, Way
from mox.errors import SpecError
from mox.experiment import Experiment, Trial
from mox.experiment.loads import Load
from mox.indexes import address, check, engine, indexes
from mox.loadgen import host
from mox.pipeline.plan import Plan, PlannedTrial
from mox.pipeline.stages import Ref, Stage, make
from mox.pipeline.store import Store
from mox.registry import validate, versions
from mox.results.growth.words import is_lite
from mox.settings import Settings
from mox.spec import IndexSpec, SearchSettings
from mox.types import IndexBackend


@dataclass(frozen=True)
class Under:
    """A configuration as it is planned: its Specs, and the engine that would answer."""

    index: IndexSpec
    settings: SearchSettings
    k: int
    load: Load
    engine: Mapping[str, str]

    @property
    def way(self) -> Way:
        settings = self.settings.model_dump(mode="json")
        return Way(self.index.model_dump(mode="json"), settings, self.load.clients)


def configurations(
    experiment: Experiment, given: Mapping[str, Any], settings: Settings
) -> tuple[tuple[Under, ...], tuple[str, ...]]:
    """What is measured at each size, and in words what of the experiment isn't.

    Loads are those of the experiment that neither filter, insert nor begin cold; without any,
    one of the defaults.

    Args:
        given: `clients` (several), `seconds`, `rounds` in the place of theirs.

    Raises:
        SpecError: an engine hasn't got an index, or nothing is left.
        EngineError: an engine is away.
    """
    found: dict[str, Under] = {}
    notes: dict[str, None] = {}
    engines: dict[tuple[IndexBackend, str | None], Mapping[str, str]] = {}
    for trial in experiment.trials:
        if trial.index is None or trial.search.settings is None or trial.search.kind != "dense":
            notes[f"{trial.search.kind} search is no search by vectors alone: not grown."] = None
            continue
        if trial.index.kind == "exact":
            notes["exact is the truth that the others are held to: not put under load."] = None
            continue
        for load in _loads(trial, given, notes):
            at = indexes[trial.index], address(trial.index, settings)
            if at not in engines:
                engines[at] = dict(engine(trial.index, settings))
            check(trial.index, engines[at], settings)
            settings_ = trial.search.settings
            under = Under(trial.index, settings_, trial.search.k, load, engines[at])
            found.setdefault(under.way.key, under)
    if not found:
        raise experiment.source.error(
            ("axes", "index"),
            SpecError(
                "no index is left to be grown.", mend="add one of a store: HNSW, pgvector_hnsw, …"
            ),
        )
    return tuple(found.values()), tuple(notes)


def _loads(trial: Trial, given: Mapping[str, Any], notes: dict[str, None]) -> Iterable[Load]:
    base = trial.load or Load.model_validate({})
    if not is_grown(base):
        notes["loads that filter, insert or begin cold are not grown."] = None
        return
    for count in given.get("clients", (base.clients,)):
        yield validate(Load, {**base.model_dump(), **given, "clients": count}, name="load")


def is_grown(load: Load) -> bool:
    """Whether curves are measured under it: it neither filters, inserts nor begins cold."""
    return load.model_copy(update=_PLAIN) == load


_PLAIN: Mapping[str, Any] = {"selectivity": 1.0, "inserts": 0.0, "cold": False}


@dataclass(frozen=True)
class Staged:
    """The stages of a configuration at a size."""

    under: Under
    exact: Stage
    build: Stage
    search: Stage
    load: Stage


def staged(under: Under, grown: Stage, queries: Stage) -> Staged:
    """The same stages as an experiment's, on a grown set instead of a corpus' vectors."""
    index = under.index.model_dump(mode="json")
    pair = {"embed": grown, "queries": queries}
    reach = {"k": under.k, "clip": False}
    exact = make("exact", reach, pair, versions("numpy"))
    made = {**indexes.fingerprint(under.index), **under.engine}
    build = make("build", {"of": index}, {"embed": grown}, made)
    parts = {**pair, "build": build, "exact": exact}
    spec = {"of": under.settings.model_dump(mode="json"), "index": index, **reach}
    search = make("search", spec, parts, made)
    asked = {**spec, "load": under.load.model_dump(mode="json")}
    return Staged(under, exact, build, search, make("load", asked, parts, {**made, **host()}))


def plan_of(base: Plan, grown: Stage, queries: Stage, ways: Iterable[Staged]) -> Plan:
    """A plan of one size; `base` lends it experiment, corpus and store."""
    stages = {grown.key: grown, queries.key: queries}
    ends: list[Ref] = []
    for way in ways:
        for stage in (way.exact, way.build, way.search, way.load):
            stages[stage.key] = stage
        ends += [way.search.ref, way.load.ref]
    trial = base.trials[0].trial
    every = tuple(PlannedTrial(trial, {"score": ref}) for ref in dict.fromkeys(ends))
    return replace(base, stages=stages, trials=every, notes=())


def point(way: Staged, n: int, real: int, store: Store) -> Point | None:
    """What was measured of a configuration; None where it isn't whole."""
    import numpy as np

    if not all(store.has(*stage.ref) for stage in (way.build, way.search, way.load)):
        return None
    built = store.sidecar(*way.build.ref)["facts"]
    load = store.sidecar(*way.load.ref)["facts"]
    recall = store.read(*way.search.ref).arrays["recall_of_exact"]
    values = {what: Spread.of(load[what]) for what in ("p95_ms", "p50_ms", "qps") if load.get(what)}
    values["build_s"] = Spread.of(built["build_s"])
    values["recall"] = Spread.of(float(np.mean(recall)))
    if load.get("memory_mb") is not None and not is_lite(way.under.engine):
        values["memory_mb"] = Spread.of(load["memory_mb"])
    values["index_mb"] = Spread.of(built["index_bytes"] / 1e6)
    dims = store.sidecar(*way.search.inputs["queries"])["facts"]["dims"]
    index = way.under.way.index
    return Point(
        way.under.way,
        n,
        real,
        values,
        way.under.engine,
        load.get("invalid"),
        formula_mb(index, n, dims),
    )
