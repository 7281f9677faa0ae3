"""The stage `build`, and a collection that is gone made again."""

from __future__ import annotations

from collections.abc import Mapping

from mox.errors import EngineError
from mox.indexes import indexes
from mox.pipeline.context import Context, index_spec
from mox.pipeline.fields import columns
from mox.pipeline.stages import Output, Ref, Stage
from mox.spec import IndexSpec
from mox.types import Rows


def build(stage: Stage, context: Context) -> Output:
    """Vectors, texts or both → a collection in an engine, verified."""
    spec = index_spec(stage.spec["of"])
    place = context.place(stage.ref, spec)
    backend = indexes[spec]
    _check_engine(stage, spec, backend.engine(place.uri))
    backend.drop(place)
    built = backend.build(spec, rows_of(stage, context), place)
    return Output(
        {},
        {
            "rows": built.rows,
            "parameters": dict(built.parameters),
            "index_bytes": built.index_bytes,
            "bytes_are": built.bytes_are,
            "build_s": built.build_s,
        },
    )


def _check_engine(stage: Stage, spec: IndexSpec, engine: Mapping[str, str]) -> None:
    """Refuse to build in another engine than the one that the key stands for.

    Raises:
        EngineError: the engine was changed after the plan was made.
    """
    ours = indexes.fingerprint(spec)
    planned = {name: said for name, said in stage.fingerprint.items() if name not in ours}
    if planned and planned != dict(engine):
        raise EngineError(
            f"this was planned for {_named(planned)}, and {_named(engine)} answers now.",
            mend="plan and run again: what is stored for either stays so.",
        )


def _named(engine: Mapping[str, str]) -> str:
    return " ".join(engine.values())


def rows_of(stage: Stage, context: Context) -> Rows:
    """What a build is made from: vectors, texts or both, and the fields that its spec names."""
    holds = index_spec(stage.spec["of"]).holds
    vectors = context.vectors(stage.inputs["embed"]) if holds != "texts" else None
    texts = context.chunks(stage.inputs["chunk"]).texts if holds != "vectors" else None
    rows = len(texts if vectors is None else vectors)  # type: ignore[arg-type]
    return Rows(vectors, texts=texts, fields=columns(stage.spec.get("fields", ()), rows))


def rebuild_if_gone(source: Ref, inputs: Mapping[str, Ref], context: Context) -> None:
    """A collection counts as stored only while the engine has it with its rows.

    A rebuild that is killed may leave all rows and no index, or what the engine can't open: its
    mark says so to the next one.

    Args:
        inputs: of a stage that stands on the build, and on what the build stands on.
    """
    note = context.store.sidecar(*source)
    stage = Stage("build", source.key, note["spec"], inputs, note.get("fingerprint", {}))
    spec = index_spec(dict(stage.spec["of"]))
    place = context.place(stage.ref, spec)
    mark = place.folder / f"{place.name}.rebuilding"
    with context.alone(stage.key):
        if mark.exists() or indexes[spec].rows(place) != note["facts"]["rows"]:
            mark.touch()
            build(stage, context)
            mark.unlink()
