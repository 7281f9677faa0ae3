"""From an experiment to its plan: the corpus is read, engines are asked, what cannot work is
refused before anything runs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from mox.chunking.cut import size_of
from mox.corpus import corpora
from mox.corpus.split import apply_split, limit
from mox.embedding import embedders
from mox.errors import SpecError
from mox.evaluation.measures import check as check_measures
from mox.evaluation.statistics import scope, smallest_margin
from mox.experiment import AGREEMENT, Experiment, Trial
from mox.indexes import address, check, check_search, engine, indexes, service
from mox.pipeline.loads import check_loads
from mox.pipeline.plan import Plan, fold
from mox.pipeline.store import Store, write_whole
from mox.services import running
from mox.settings import Settings, redact
from mox.spec import IndexSpec, digest
from mox.types import Corpus


def prepare(experiment: Experiment, store: Store, settings: Settings) -> Plan:
    """Read the corpus, ask the engines that would have to work, and fold the plan.

    A plan whose hits are all stored asks no engine: versions are remembered by URI, and asked
    again as soon as a build or a search has to run.

    Raises:
        MoxError: the corpus, a measure, the choice or an engine cannot be what was asked for.
    """
    corpus = open_corpus(experiment)
    check_measures(experiment.measures, corpus.questions)
    check_choice(experiment, corpus)
    notes = [*experiment.notes, *_corpus_notes(experiment, corpus), *_unread_notes(experiment)]
    notes += [*_simulated_notes(experiment), *_server_notes(experiment, settings)]
    known = _Engines(store, settings)
    engines = known.remembered
    plan = fold(experiment, corpus, store, engines, notes)
    if any(stage.kind in ("build", "search", "load") for stage in plan.pending()):
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
    corpus = corpora[experiment.corpus](experiment.corpus, experiment.source.base)
    if experiment.split is not None:
        corpus = apply_split(corpus, test=experiment.split.test, seed=experiment.split.seed)
        _check_sides(experiment, corpus)
    part = experiment.questions
    return limit(corpus, part.limit, part.split)


def _check_sides(experiment: Experiment, corpus: Corpus) -> None:
    """Refuse a split that leaves a side without questions that can be scored."""
    asked = [question for question in corpus.questions if question.answerable]
    for side in ("dev", "test"):
        if not any(question.split == side for question in asked):
            groups = len({question.group for question in asked})
            raise experiment.source.error(
                ("split",),
                SpecError(
                    f"the split leaves the {side} side empty: {len(asked)} questions in {groups}"
                    f" {'group' if groups == 1 else 'groups'}, which stay whole.",
                    mend="give questions a finer `group`, change `split.test`, or leave `split`"
                    " out.",
                ),
            )


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
        raise experiment.source.error(
            ("choose",),
            SpecError(
                "choosing needs dev questions, and none of those asked is on the dev side.",
                mend="write `split: {test: 0.5}` where the corpus brings no split, ask more"
                " questions, or leave `choose` out.",
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


def _server_notes(experiment: Experiment, settings: Settings) -> list[str]:
    """Names the servers of this state folder that trials would use."""
    used = {service(trial.index): trial.index for trial in experiment.trials if trial.index}
    notes = []
    for name, spec in used.items():
        server = running.at(settings.root, name or "", address(spec, settings))
        if server is not None:
            notes.append(
                f"{name} {server.version}, started by `mox up {name}` at {redact(server.uri)}, is"
                f" what {name} kinds are built in; `mox down {name}` ends that."
            )
    return notes


def _corpus_notes(experiment: Experiment, corpus: Corpus) -> list[str]:
    notes = []
    answerable = [question for question in corpus.questions if question.answerable]
    unanswerable = len(corpus.questions) - len(answerable)
    if corpus.left_out:
        names = ", ".join(corpus.left_out)
        notes.append(f"{len(corpus.left_out)} questions are left out of {corpus.name}: {names}.")
    if files := corpus.about.get("files left out"):
        notes.append(f"files left out of {corpus.name}: {files}.")
    if unanswerable:
        notes.append(
            f"{unanswerable} unanswerable questions are asked and stay out of retrieval measures."
        )
    if experiment.choose and experiment.choose.goal in map(str, experiment.measures):
        notes += _margin_notes(experiment, [q.group for q in answerable if q.split == "dev"])
    return notes + _bound_notes(experiment, corpus)


def _bound_notes(experiment: Experiment, corpus: Corpus) -> list[str]:
    """Bounds on the agreement with exact search that so many questions can't show."""
    choose = experiment.choose
    kin = {(trial.chunk, trial.embed, trial.search.retriever) for trial in experiment.trials}
    asked = len(corpus.questions)
    shown = 1 - smallest_margin(asked, len(kin))
    return [
        f"{asked} questions can show an agreement of {shown:.3f} at best, {len(kin)} kinds of"
        f" trials at once: `{one}` can only be kept by exact search."
        for one in (choose.constraints if choose else ())
        if one.name.partition("@")[0] == AGREEMENT and one.bound > shown
    ]


def _margin_notes(experiment: Experiment, groups: list[str]) -> list[str]:
    """What the dev side can show, before anything runs."""
    sizes = Counter(groups).values()
    few = scope(len(sizes))
    units, named = (len(groups), "questions") if few else (len(sizes), "groups")
    as_many = units if few else len(groups) ** 2 / sum(size**2 for size in sizes)
    unequal = f", of such sizes that they tell as much as {as_many:.0f} of one,"
    kin = {
        (t.chunk, t.embed, t.search.retriever, t.index if _holds_texts(t) else None)
        for t in experiment.trials
    }
    margin = smallest_margin(as_many, len(kin))
    assert experiment.choose is not None  # noqa: S101  asked for only then
    within = experiment.choose.within
    said = (
        f"{units} dev {named}{unequal if as_many < units else ''} can show a margin of {margin:.3f}"
        f" at best, {len(kin)} kinds of trials at once; within: {within}."
    )
    if within is not None and within < margin:
        said += " So only the best can qualify, or a trial with the same hits."
    return [said, few] if few else [said]


def _holds_texts(trial: Trial) -> bool:
    return trial.index is not None and trial.index.holds != "vectors"


def _unread_notes(experiment: Experiment) -> list[str]:
    """Names chunk settings that are larger than an embedder reads."""
    notes: dict[str, None] = {}
    for chunk, embed in dict.fromkeys((trial.chunk, trial.embed) for trial in experiment.trials):
        if embed is None:
            continue
        reads = embedders.entry(embed.kind).traits["reads"](embed)
        size = size_of(chunk)
        if reads is not None and (size is None or size > reads):
            named = chunk.kind if size is None else f"{chunk.kind} size {size}"
            fate = (
                "the rest stays unread (truncate: true)"
                if getattr(embed, "truncate", False)
                else "trials with longer texts are refused unless `truncate: true`"
            )
            notes[f"{embed.kind} reads {reads} tokens and {named} may exceed it: {fate}."] = None
    return list(notes)


def _simulated_notes(experiment: Experiment) -> list[str]:
    """Names the embedders that are simulated."""
    specs = dict.fromkeys(trial.embed for trial in experiment.trials if trial.embed is not None)
    named = [
        f"{spec.kind} {getattr(spec, 'model', '')}".strip()
        for spec in specs
        if getattr(spec, "simulated", False)
    ]
    return [
        f"SIMULATED: the vectors of {name}, and what they cost; nobody is paid." for name in named
    ]


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
