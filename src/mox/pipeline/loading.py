"""The stage `load`: indexes measured by client processes, all of a job interleaved in rounds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from mox.errors import MoxError
from mox.experiment.loads import Load
from mox.indexes import indexes
from mox.indexes.exact import nearest_where
from mox.indexes.serving import served, writable
from mox.indexes.vectors import directed
from mox.loadgen import Ask, Cell, Measured, Subject, cores, find, measure, resident_bytes, summary
from mox.pipeline.building import rebuild_if_gone, rows_of
from mox.pipeline.context import Context, index_spec
from mox.pipeline.fields import columns, share
from mox.pipeline.recall import Truth, under_load
from mox.pipeline.stages import Output, Stage
from mox.registry import validate
from mox.retrieval.hits import ranked
from mox.spec import IndexSpec
from mox.types import Hits, Place, Rows, Searcher, Served

if TYPE_CHECKING:
    from mox.types import Floats

MEASURING = "measuring"
"""The lock that a job of loads holds: two sweeps on one store don't measure each other."""
MB = 1e6
FRESH_ROWS = 2_000
"""Different rows that a writer inserts, over and over."""
TOUCHES = 50
"""Queries that are asked of a loaded collection before its memory is looked at."""


@dataclass(frozen=True)
class _Ready:
    """A collection that clients can open, and what is known of its engine."""

    spec: IndexSpec
    served: Served
    pid: int | None
    memory: int | None


def load_one(stage: Stage, context: Context) -> Output:
    """One load by itself.

    Raises:
        MoxError: the engine is lost, or a client died.
    """
    ((_, output),) = load_all([stage], context)
    if isinstance(output, MoxError):
        raise output
    return output


def load_all(stages: list[Stage], context: Context) -> Iterator[tuple[Stage, Output | MoxError]]:
    """Loads over all collections that they need, opened together, in interleaved rounds.

    What fails is yielded for its stages, and the others are measured all the same.
    """
    failed: dict[str, MoxError] = {}
    cells: dict[str, Cell] = {}
    ready: dict[str, _Ready] = {}
    subjects: dict[str, Subject] = {}
    with ExitStack() as stack:
        stack.enter_context(context.alone(MEASURING))
        for stage in stages:
            try:
                name = _collection(stage)
                if name not in ready:
                    ready[name] = _prepare(stage, context, stack)
                subject = _subject(stage, context, ready[name])
                subjects.setdefault(subject.name, subject)
                cells[stage.key] = _cell(stage, subjects[subject.name])
            except MoxError as error:
                failed[stage.key] = error
        seed = int(stages[0].key[:6], 16) if stages else 0
        job = {"job": uuid4().hex[:12], "interleaved": len(cells)}
        found = {
            one.cell.name: one for one in measure([*cells.values()], seed=seed, tick=context.tick)
        }
    for stage in stages:
        if stage.key in failed:
            yield stage, failed[stage.key]
            continue
        measured = found[stage.key]
        if measured.failed is not None:
            yield stage, measured.failed
        else:
            about = ready[_collection(stage)]
            yield stage, _output(stage, context, measured, about, job)


def _collection(stage: Stage) -> str:
    """Which collection a load needs: a build's own, or a copy of it that is written to."""
    return f"{stage.inputs['build'].key} {'copy' if stage.spec['load']['inserts'] else ''}"


def _prepare(stage: Stage, context: Context, stack: ExitStack) -> _Ready:
    """Have a collection ready for clients, and learn what it holds in memory."""
    source = stage.inputs["build"]
    spec = index_spec(stage.spec["index"])
    if stage.spec["load"]["inserts"]:
        place = _copied(stage, spec, context, stack)
    else:
        rebuild_if_gone(source, stage.inputs, context)
        place = context.place(source, spec)
    held = stack.enter_context(served(spec, place))
    pid = held.pid
    if pid is None and held.address is not None:
        pid = find(held.address)
    memory = None
    if held.releases and pid is not None:
        queries = context.vectors(stage.inputs["queries"])[:TOUCHES]
        settings = validate(spec.Search, stage.spec["of"])
        opens = partial(indexes[spec].open, spec, held.place)

        def load() -> Any:
            inner = ExitStack()
            searcher: Searcher = inner.enter_context(opens())
            searcher.search(queries, k=stage.spec["k"], settings=settings)
            context.tick()
            return inner.close

        memory = resident_bytes(pid, load)
    return _Ready(spec, held, pid, memory)


def _copied(stage: Stage, spec: IndexSpec, context: Context, stack: ExitStack) -> Place:
    """A build's collection once more, to be written to, and dropped when the context is left.

    Others read the build: a writer would leave them deleted rows and segments without an index.
    What can't be dropped then, since the engine was lost, belongs to no artifact, and `gc` finds
    it.
    """
    place = context.place(stage.ref, spec)
    backend = indexes[spec]
    backend.drop(place)

    def drop() -> None:
        with suppress(MoxError):
            backend.drop(place)

    stack.callback(drop)
    backend.build(spec, rows_of(_build_of(stage, context), context), place)
    context.tick()
    return place


def _build_of(stage: Stage, context: Context) -> Stage:
    source = stage.inputs["build"]
    return Stage("build", source.key, context.store.sidecar(*source)["spec"], stage.inputs)


def _subject(stage: Stage, context: Context, ready: _Ready) -> Subject:
    spec, place, asked = ready.spec, ready.served.place, stage.inputs["queries"]
    inserts = bool(stage.spec["load"]["inserts"])
    return Subject(
        f"{_collection(stage)} {asked.key}",
        writable(spec, place) if inserts else partial(indexes[spec].open, spec, place),
        context.vectors(asked),
        pid=ready.pid,
        in_client=ready.served.in_client,
        fresh=_fresh(stage, context) if inserts else None,
        first_id=len(context.vectors(stage.inputs["embed"])),
    )


def _fresh(stage: Stage, context: Context) -> Rows:
    """What a writer inserts: rows that are there already, once more; some of those that have a
    direction."""
    import numpy as np

    rows = rows_of(_build_of(stage, context), context)
    assert rows.vectors is not None  # noqa: S101  made of them
    held = np.flatnonzero(directed(rows.vectors))
    some = np.random.default_rng(1).permutation(held)[:FRESH_ROWS]
    fields = {name: values[some] for name, values in rows.fields.items()}
    return Rows(rows.vectors[some], fields=fields)


def _cell(stage: Stage, subject: Subject) -> Cell:
    load = Load.model_validate(stage.spec["load"])
    spec = index_spec(stage.spec["index"])
    settings = validate(spec.Search, stage.spec["of"])
    return Cell(
        stage.key,
        subject,
        Ask(stage.spec["k"], settings, share(load.selectivity)),
        clients=load.clients,
        seconds=load.seconds,
        rounds=load.rounds,
        inserts=load.inserts,
        cold=load.cold,
    )


def _output(
    stage: Stage, context: Context, measured: Measured, ready: _Ready, job: Mapping[str, Any]
) -> Output:
    """Args: job: what tells rows whose rounds took turns from those of other times, and how many
    they were."""
    import numpy as np

    load = stage.spec["load"]
    about, engine = ready.served, stage.fingerprint
    facts: dict[str, Any] = {
        **summary(measured, cores=cores()),
        "selectivity": load["selectivity"],
        "engine": f"{engine.get('engine', ready.spec.kind)} {engine.get('version', '')}".strip(),
        "lite": engine.get("engine") == "milvus-lite",
        "in_client": about.in_client,
        "consistency": about.consistency,
        "cold_is": about.cold if load["cold"] else None,
        "host": {"cpu": engine["cpu"], "cores": engine["cores"]},
        **job,
        "memory_mb": None if ready.memory is None else ready.memory / MB,
        "disk_mb": None if about.disk_bytes is None else about.disk_bytes / MB,
        "no_disk": about.no_disk if about.disk_bytes is None else None,
        **under_load(measured.rounds, truth_of(stage, context)),
    }
    rounds = measured.rounds
    arrays = {
        "latency_ms": np.concatenate([one.latency_ms for one in rounds]).astype(np.float32),
        "round": np.repeat(
            np.arange(len(rounds), dtype=np.int32), [len(one.query) for one in rounds]
        ),
    }
    return Output(arrays, facts)


def truth_of(stage: Stage, context: Context) -> Truth:
    """What exact search finds under a load's filter, over the rows that pass it."""
    vectors = context.vectors(stage.inputs["embed"])
    queries = context.vectors(stage.inputs["queries"])
    k = min(stage.spec["k"], len(vectors))
    where = share(stage.spec["load"]["selectivity"])
    if where is None:
        # The stage's own truth may be deeper than what is asked for here, never shallower.
        return Truth(context.hits(stage.inputs["exact"]), vectors, queries, k)
    passing = columns([where.field], len(vectors))[where.field] < where.below
    return Truth(_filtered(vectors, queries, k, passing), vectors, queries, k)


def _filtered(vectors: Floats, queries: Floats, k: int, passing: Any) -> Hits:
    ids, scores = nearest_where(vectors, queries, k, passing)
    return ranked(ids, scores, k=k)
