"""One trial by itself: rebuilt from its configuration, with the stages that answer a question."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mox.chunking import chunkers, tokenizers
from mox.embedding import embedders
from mox.errors import DataError, MoxError
from mox.evaluation.measures import Measure
from mox.experiment import Budget, Experiment, Trial
from mox.experiment.experiment import QuestionsPart
from mox.experiment.loads import Load
from mox.experiment.resolve import resolve
from mox.indexes import engine as engine_now
from mox.indexes import indexes
from mox.pipeline.context import index_spec
from mox.pipeline.plan import Graph, Plan, PlannedTrial
from mox.pipeline.stages import Stage
from mox.pipeline.store import Store
from mox.registry import validate
from mox.retrieval import fusions, retrievers
from mox.settings import Settings
from mox.source import Source
from mox.spec import IndexSpec, Spec
from mox.types import Corpus

ENGINE = "engine"


def trial_of(config: Mapping[str, Any], embedder: Mapping[str, Any] | None = None) -> Trial:
    """The trial of a configuration with every setting written out.

    Args:
        embedder: what its embedder is told beside its settings (`mox.release.runtime`).

    Raises:
        DataError: this Mox doesn't understand it.
    """
    try:
        chunk = chunkers.parse(config["chunk"])
        settings = {**config["embed"], **(embedder or {})} if "embed" in config else None
        embed = embedders.parse(settings) if settings is not None else None
        index = index_spec(config["index"]) if "index" in config else None
        search = resolve(config["search"], index or IndexSpec(kind=""))
        load = validate(Load, config["load"], name="load") if "load" in config else None
        return Trial(str(config["tokenizer"]), chunk, embed, index, search, load)
    except KeyError as error:
        raise DataError(
            f"a release's configuration lacks {error}.", mend="promote the trial again."
        ) from None
    except MoxError as error:
        raise DataError(
            f"this Mox doesn't understand the release's configuration: {error.message}",
            mend=f"install the versions that it names, or promote anew. {error.mend}",
        ) from None


def folded(
    trial: Trial, corpus: Corpus, engine: Mapping[str, str]
) -> tuple[Graph, PlannedTrial, dict[str, Stage]]:
    """A trial's stages on a corpus, up to its hits and one score.

    Args:
        engine: name and version of the engine that its index is built in.
    """
    graph = Graph(_experiment(trial), corpus, lambda _: engine)
    planned = graph.trial(trial)
    return graph, planned, graph.stages()


def standing_alone(trial: Trial, corpus: Corpus, store: Store, stages: Iterable[Stage]) -> Plan:
    """Some stages of a trial as a plan, to be counted what of them costs money."""
    return Plan(_experiment(trial), corpus, store, {stage.key: stage for stage in stages}, ())


def engine_of(trial: Trial, settings: Settings) -> Mapping[str, str]:
    """Name and version of the engine of a trial's index; empty where it builds none.

    Raises:
        EngineError: it is away.
    """
    if trial.index is None or trial.index.kind == "exact":
        return {}
    return dict(engine_now(trial.index, settings))


def fingerprints(trial: Trial, engine: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """What the trial's results depend on beyond its settings, part by part."""
    found: dict[str, dict[str, str]] = {
        "tokenizer": tokenizers.fingerprint(trial.tokenizer),
        "chunk": chunkers.fingerprint(trial.chunk),
    }
    parts: list[tuple[str, Any, Spec | None]] = [
        ("embed", embedders, trial.embed),
        ("index", indexes, trial.index),
        ("retriever", retrievers, trial.search.retriever),
        ("fusion", fusions, trial.search.fusion if trial.search.is_fused_here else None),
    ]
    found |= {name: registry.fingerprint(spec) for name, registry, spec in parts if spec}
    if engine:
        found[ENGINE] = dict(engine)
    return found


def _experiment(trial: Trial) -> Experiment:
    """The least experiment that holds a trial; a rank cut, so that no tokens are measured."""
    return Experiment(
        name="release",
        corpus=Spec(kind=""),
        questions=QuestionsPart(limit=None, split=None),
        split=None,
        tokenizer=trial.tokenizer,
        trials=(trial,),
        alternatives={},
        notes=(),
        measures=(Measure.parse("recall@1"),),
        baseline=trial.id,
        choose=None,
        budget=Budget(usd=None, minutes=None),
        seed=0,
        source=Source({}),
    )
