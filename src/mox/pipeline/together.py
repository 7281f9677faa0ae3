"""Stages that share their inputs, done together: what they share is read and made once.

Each stage gets the very bytes that it gets alone, and an artifact of its own. Only what is told
here is done together; all else a worker does one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from mox.errors import MoxError
from mox.evaluation.many import score_each
from mox.evaluation.measures import Measure
from mox.pipeline import codec
from mox.pipeline.stages import Output, Stage
from mox.pipeline.work import lists_of, relevance_of
from mox.retrieval import fusions
from mox.spec import canonical

if TYPE_CHECKING:
    from mox.pipeline.context import Context

Done = Iterator[tuple[Stage, Output | MoxError]]
T = TypeVar("T")


def fuse(stages: list[Stage], context: Context) -> Done:
    """Fusions of the same two lists, by kind and k."""
    specs = {stage.key: fusions.parse(stage.spec["of"]) for stage in stages}

    def alike(stage: Stage) -> tuple[Any, ...]:
        return specs[stage.key].kind, stage.spec["k"], canonical(stage.spec.get("least"))

    for group in _groups(stages, alike):
        many = fusions.entry(specs[group[0].key].kind).traits["many"]
        asked = [specs[stage.key] for stage in group]
        found = many(asked, lists_of(group[0], context), k=group[0].spec["k"])
        for stage, hits in zip(group, found, strict=True):
            yield stage, Output(codec.pack_hits(hits), {})


def score(stages: list[Stage], context: Context) -> Done:
    """Scores over the same chunks, questions and tokens, by measures and k."""

    def alike(stage: Stage) -> tuple[Any, ...]:
        return context.hits(stage.inputs["hits"]).k, *stage.spec["measures"]

    for group in _groups(stages, alike):
        measures = [Measure.parse(name) for name in group[0].spec["measures"]]
        hits = [context.hits(stage.inputs["hits"]) for stage in group]
        relevance = relevance_of(group[0], context)
        found = score_each(relevance, measures, hits, tick=context.tick)
        for stage, scores in zip(group, found, strict=True):
            yield stage, Output(scores.values, {"short": dict(scores.short)})


def can(stage: Stage) -> bool:
    """Whether a stage's back end takes several at once; a third party's fusion may not, and its
    metrics, which alone read the documents, are asked for one trial at a time."""
    if stage.kind == "fuse":
        return "many" in fusions.entry(stage.spec["of"]["kind"]).traits
    if stage.kind == "score" and "documents" in stage.inputs:
        return False
    return stage.kind in TOGETHER


def load(stages: list[Stage], context: Context) -> Done:
    """Loads in interleaved rounds, over collections that are opened together."""
    from mox.pipeline.loading import load_all

    return load_all(stages, context)


TOGETHER: Mapping[str, Callable[[list[Stage], Context], Done]] = {
    "fuse": fuse,
    "score": score,
    "load": load,
}


def _groups(items: Iterable[T], alike: Callable[[T], Any]) -> Iterable[list[T]]:
    found: dict[Any, list[T]] = {}
    for item in items:
        found.setdefault(alike(item), []).append(item)
    return found.values()
