"""What a set grows from: real vectors of one or more corpora, chunked and embedded alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mox.corpus import corpora
from mox.corpus.check import open_checked
from mox.errors import FieldError, SpecError, StageError
from mox.experiment import Experiment, Trial
from mox.experiment.experiment import parse
from mox.pipeline.execute import Progress, execute
from mox.pipeline.plan import Plan, PlannedTrial, fold
from mox.pipeline.prepare import open_corpus
from mox.pipeline.running import announced
from mox.pipeline.stages import Ref, Stage
from mox.pipeline.store import Store
from mox.settings import Settings
from mox.source import override
from mox.spec import IndexSpec
from mox.types import Corpus

if TYPE_CHECKING:
    from mox.types import Floats


@dataclass(frozen=True)
class Real:
    """The stages of what is real, done; corpora in the order in which a set takes them in."""

    plan: Plan
    """Of the experiment's corpus."""
    embeds: tuple[Stage, ...]
    """One a corpus, the experiment's first."""
    queries: Stage
    names: tuple[str, ...]

    def vectors(self, store: Store, seed: int) -> Floats:
        """(rows, dims) of all corpora, each shuffled: any first n rows are a fair part."""
        import numpy as np

        parts = []
        for at, stage in enumerate(self.embeds):
            rows = store.read(*stage.ref).arrays["vectors"]
            parts.append(rows[np.random.default_rng([seed, at]).permutation(len(rows))])
        return np.concatenate(parts)

    def rows(self, store: Store) -> dict[str, int]:
        """Name of each corpus → its chunks."""
        return {
            name: int(store.sidecar(*stage.ref)["facts"]["texts"])
            for name, stage in zip(self.names, self.embeds, strict=True)
        }


def subject(experiment: Experiment) -> Trial:
    """The one chunking and embedding whose vectors are grown, as a trial of exact search.

    Raises:
        SpecError: no search by vectors, or several chunkings, embeddings or numbers of hits.
    """
    dense = [trial for trial in experiment.trials if trial.search.kind == "dense"]
    if not dense:
        raise experiment.source.error(
            ("axes", "search"),
            SpecError("nothing is searched by vectors alone.", mend="add `{kind: dense, k: 10}`."),
        )
    found: dict[str, set[Any]] = {
        "chunk": {trial.chunk for trial in dense},
        "embed": {trial.embed for trial in dense},
        "search": {trial.search.k for trial in dense},
    }
    for axis, values in found.items():
        if len(values) > 1:
            what = "numbers of hits" if axis == "search" else f"alternatives of axes.{axis}"
            raise experiment.source.error(
                ("axes", axis),
                SpecError(
                    f"{len(values)} {what}: a set grows from one.",
                    mend=f"name one: --set 'axes.{axis}=…'.",
                ),
            )
    return dense[0]


def read_corpora(experiment: Experiment, more: Sequence[Mapping[str, Any]]) -> list[Corpus]:
    """The experiment's corpus with its questions, and further ones that only add documents.

    Args:
        more: settings of corpora, as an experiment has them; paths from the experiment's folder.

    Raises:
        MoxError: one can't be read, or is named twice.
    """
    found = [open_corpus(experiment)]
    for settings in more:
        try:
            spec = corpora.parse(settings)
        except FieldError as error:
            raise SpecError(f"--corpus: {error.message}", mend=error.mend) from None
        found.append(open_checked(spec, experiment.source.base))
    prints = [corpus.fingerprint for corpus in found]
    for at, corpus in enumerate(found):
        if corpus.fingerprint in prints[:at]:
            raise SpecError(
                f"the corpus {corpus.name} is named twice: copies of its chunks are no growth.",
                mend="name it once.",
            )
    return found


def embed_all(
    experiment: Experiment,
    read: Sequence[Corpus],
    store: Store,
    settings: Settings,
    progress: Progress,
) -> Real:
    """Chunk and embed each corpus, and the experiment's questions.

    Raises:
        StageError: one can't be.
    """
    alone = _exactly(experiment, subject(experiment))
    embeds, names = [], []
    first: Plan | None = None
    queries: Stage | None = None
    for corpus in read:
        plan = fold(alone, corpus, store, no_engine)
        roles = plan.trials[0].roles
        ends = [roles["embed"]]
        if first is None:
            first = plan
            queries = next(one for one in plan.stages.values() if one.kind == "queries")
            ends.append(queries.ref)
        do(plan, ends, settings, progress)
        embeds.append(plan.stages[roles["embed"].key])
        names.append(corpus.name)
    assert first is not None  # noqa: S101  the experiment's own corpus is always there
    assert queries is not None  # noqa: S101
    return Real(first, tuple(embeds), queries, tuple(names))


def do(plan: Plan, ends: Sequence[Ref], settings: Settings, progress: Progress) -> None:
    """Run what some stages lack.

    Raises:
        StageError: one failed, or Ctrl-C ended it.
    """
    part = only(plan, ends)
    with announced(part):
        outcome = execute(part, settings, progress)
    if outcome.stopped:
        raise KeyboardInterrupt
    for message in outcome.failed.values():
        raise StageError(message, mend="mend that, and run again: what is done is kept.")


def only(plan: Plan, ends: Sequence[Ref]) -> Plan:
    """A plan of some stages and what they stand on, and of nothing else."""
    wanted: dict[str, Stage] = {}
    stack = [ref.key for ref in ends]
    while stack:
        stage = plan.stages[stack.pop()]
        wanted[stage.key] = stage
        stack += [ref.key for ref in stage.inputs.values() if ref.key not in wanted]
    trial = plan.trials[0].trial
    return replace(
        plan,
        stages={key: stage for key, stage in plan.stages.items() if key in wanted},
        trials=tuple(PlannedTrial(trial, {"score": ref}) for ref in ends),
    )


def _exactly(experiment: Experiment, trial: Trial) -> Experiment:
    """The experiment with one trial, by exact search: its vectors are all that is wanted of it."""
    axes = {
        "chunk": [trial.chunk.model_dump(mode="json")],
        "embed": [trial.embed.model_dump(mode="json")] if trial.embed else [],
        "index": [{"kind": "exact"}],
        "search": [{"kind": "dense", "k": trial.search.k}],
    }
    changes = {"axes": axes, "baseline": None, "choose": None, "budget": None}
    return parse(override(experiment.source, changes))


def no_engine(spec: IndexSpec) -> Mapping[str, str]:
    """What exact search asks of engines: nothing."""
    return {}
