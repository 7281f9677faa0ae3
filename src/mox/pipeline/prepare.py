"""From an experiment to its plan: the corpus is read, engines are asked, what cannot work is
refused before anything runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mox.corpus.check import open_checked
from mox.corpus.labels import SPLITS
from mox.corpus.split import apply_split, limit
from mox.errors import SpecError
from mox.evaluation.measures import check as check_measures
from mox.experiment import Experiment
from mox.indexes import address, check, check_search, engine, indexes
from mox.pipeline.disk import write_whole
from mox.pipeline.loads import check_loads
from mox.pipeline.notes import notes_of
from mox.pipeline.plan import Plan, fold
from mox.pipeline.store import Store
from mox.settings import Settings
from mox.spec import IndexSpec, digest
from mox.types import Corpus

_PART_ANEW = (
    "to part the questions anew, take the corpus' own split away (`split` in questions.jsonl, or"
    " `splits: {test: null}` for a beir corpus) and write `split: {test: 0.5}`"
)


def prepare(experiment: Experiment, store: Store, settings: Settings) -> Plan:
    """Read the corpus, ask the engines that would have to work, and fold the plan.

    A plan whose hits are all stored asks no engine: versions are remembered by URI, and asked
    again as soon as a build or a search has to run.

    Raises:
        MoxError: the corpus, a measure, the choice or an engine cannot be what was asked for.
    """
    read = open_checked(experiment.corpus, experiment.source.base)
    corpus = _asked(experiment, read)
    check_measures(experiment.measures, corpus.questions)
    check_choice(experiment, corpus)
    notes = notes_of(experiment, corpus, read=read, settings=settings)
    known = _Engines(store, settings)
    engines = known.remembered
    plan = fold(experiment, corpus, store, engines, notes)
    by_engines = (s for s in plan.stages.values() if s.kind in ("build", "search", "load"))
    if any(plan.lacking(by_engines)):
        engines = known.asked
        plan = fold(experiment, corpus, store, engines, notes)
        for trial in experiment.trials:
            if trial.index is not None:
                check(trial.index, engines(trial.index), settings)
                if trial.search.settings is not None:
                    check_search(trial.index, trial.search.settings, engines(trial.index))
    check_loads(experiment, engines)  # as remembered they may be others than answer now
    return plan


def open_corpus(experiment: Experiment) -> Corpus:
    """The corpus with the questions that are asked, each on a side of the split."""
    return _asked(experiment, open_checked(experiment.corpus, experiment.source.base))


def _asked(experiment: Experiment, read: Corpus) -> Corpus:
    corpus = read
    if experiment.split is not None:
        corpus = apply_split(read, test=experiment.split.test, seed=experiment.split.seed)
        _check_sides(experiment, corpus, own=corpus is read)
    part = experiment.questions
    return limit(corpus, part.limit, part.split)


def _check_sides(experiment: Experiment, corpus: Corpus, *, own: bool) -> None:
    """Refuse a split, the corpus' `own` or the experiment's, that leaves a side without questions
    that can be scored."""
    asked = [question for question in corpus.questions if question.answerable]
    for side in SPLITS:
        if any(question.split == side for question in asked):
            continue
        if own:
            error = SpecError(
                f"the corpus' own split leaves the {side} side empty ({len(asked)} questions), and"
                " `split` parts none that brings one.",
                mend=f"{_PART_ANEW}, or leave `split` out.",
            )
        else:
            groups = len({question.group for question in asked})
            error = SpecError(
                f"the split leaves the {side} side empty: {len(asked)} questions in {groups}"
                f" {'group' if groups == 1 else 'groups'}, which stay whole.",
                mend="give questions a finer `group`, change `split.test`, or leave `split` out.",
            )
        raise experiment.source.error(("split",), error)


def check_choice(experiment: Experiment, corpus: Corpus) -> None:
    """Refuse to choose without dev questions, or across chunkings by a rank cut over spans.

    The first k hits of longer chunks are more text, so such a choice would reward length.
    """
    choose = experiment.choose
    if choose is None:
        return
    named = {choose.goal, *(constraint.name for constraint in choose.constraints)}
    by = [measure for measure in experiment.measures if str(measure) in named]
    dev = (question.answerable and question.split == "dev" for question in corpus.questions)
    if by and not any(dev):
        own = experiment.split is None and any(question.split for question in corpus.questions)
        raise experiment.source.error(
            ("choose",),
            SpecError(
                "choosing needs dev questions, and none of those asked is on the dev side.",
                mend=f"{_PART_ANEW if own else 'write `split: {test: 0.5}`'}, ask more questions,"
                " or leave `choose` out.",
            ),
        )
    sizes = {trial.chunk.model_dump_json() for trial in experiment.trials}
    spans = any(question.evidence.groups for question in corpus.questions)
    cut = next((measure for measure in by if measure.unit == "hits"), None)
    if len(sizes) > 1 and spans and cut is not None:
        raise experiment.source.error(
            ("choose", "maximise" if str(cut) == choose.goal else "subject_to"),
            SpecError(
                f"choosing across {len(sizes)} chunkings by {cut} would give longer chunks more"
                " text.",
                mend=f"choose by a context budget: {cut.metric}@1000t.",
            ),
        )


class _Engines:
    """Versions of engines by URI: as remembered by the store, or as asked now."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._path = store.root / "engines.json"
        self._settings = settings
        self._asked: dict[int, Mapping[str, str]] = {}
        self._memory: dict[str, dict[str, str]] = {}
        try:
            self._memory = json.loads(self._path.read_bytes())
        except (OSError, ValueError):
            self._memory = {}

    def remembered(self, spec: IndexSpec) -> Mapping[str, str]:
        found = self._memory.get(self._name(spec))
        return found if address(spec, self._settings) and found else self.asked(spec)

    def asked(self, spec: IndexSpec) -> Mapping[str, str]:
        backend: Any = indexes[spec]
        if id(backend) not in self._asked:
            uri = address(spec, self._settings)
            found = dict(engine(spec, self._settings))
            self._asked[id(backend)] = found
            if uri and self._memory.get(self._name(spec)) != found:
                self._memory[self._name(spec)] = found
                write_whole(self._path, json.dumps(self._memory).encode())
        return self._asked[id(backend)]

    def _name(self, spec: IndexSpec) -> str:
        # Hashed, since a URI may carry a password.
        return digest([type(indexes[spec]).__name__, address(spec, self._settings)])[:16]
