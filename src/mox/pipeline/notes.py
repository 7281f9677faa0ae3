"""What the reader of a plan should know before running it: in words, from its data and settings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence, Set

from mox.chunking.cut import size_of
from mox.corpus.labels import LEFT_OUT, SEVERAL, SPLITS, UNLABELLED, UNREAD
from mox.embedding import embedders
from mox.evaluation.statistics import as_many, scope, smallest_margin
from mox.experiment import AGREEMENT, Experiment, Trial
from mox.indexes import address, service
from mox.services import running
from mox.settings import Settings, redact
from mox.types import Corpus, Question

_LOADERS_SAY = {
    LEFT_OUT: "files left out of {1}: {0}.",
    SEVERAL: "evidence at several places, each of which counts: {0}.",
    UNREAD: "qrels of {1} that `splits` doesn't name, and that aren't read: {0}.",
    UNLABELLED: "queries of {1} in none of the qrels read, which aren't asked: {0}.",
}
"""What loaders say `about` a corpus that can change its values → the note of it."""


def notes_of(
    experiment: Experiment, corpus: Corpus, *, read: Corpus, settings: Settings
) -> list[str]:
    """All notes of a plan, the experiment's own first.

    Args:
        corpus: with the questions that are asked.
        read: as its loader gave it, with all questions and the split that it brings, if any.
    """
    return [
        *experiment.notes,
        *_unused_notes(experiment, read),
        *_corpus_notes(experiment, corpus),
        *_unread_notes(experiment),
        *_simulated_notes(experiment),
        *_server_notes(experiment, settings),
    ]


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


def _unused_notes(experiment: Experiment, read: Corpus) -> list[str]:
    """That the experiment's `split` parts nothing, where the corpus is parted already."""
    sides = Counter(question.split for question in read.questions)
    own = ", ".join(f"{sides[side]} {side}" for side in SPLITS if sides[side])
    if experiment.split is None or not own:
        return []
    return [f"{read.name} brings its own split ({own}): `split` is not used."]


def _corpus_notes(experiment: Experiment, corpus: Corpus) -> list[str]:
    notes = []
    answerable = [question for question in corpus.questions if question.answerable]
    unanswerable = len(corpus.questions) - len(answerable)
    if corpus.left_out:
        names = ", ".join(corpus.left_out)
        notes.append(f"{len(corpus.left_out)} questions are left out of {corpus.name}: {names}.")
    notes += [
        said.format(corpus.about[what], corpus.name)
        for what, said in _LOADERS_SAY.items()
        if what in corpus.about
    ]
    if unanswerable:
        notes.append(
            f"{unanswerable} unanswerable questions are asked and stay out of retrieval measures."
        )
    notes += _shared_notes(corpus)
    if experiment.choose and experiment.choose.goal in map(str, experiment.measures):
        notes += _margin_notes(experiment, [q.group for q in answerable if q.split == "dev"])
    return notes + _bound_notes(experiment, corpus)


def _shared_notes(corpus: Corpus) -> list[str]:
    """What questions of dev and of test have in common, so that test confirms less than it seems.

    Only a split that a corpus brings can part a group. Evidence may be shared by two groups.
    """
    passages = any(question.evidence.groups for question in corpus.questions)
    found = {
        "group": _on_both_sides(corpus.questions, lambda question: {question.group}),
        f"relevant {'passage' if passages else 'document'}": _on_both_sides(
            corpus.questions, _gold
        ),
    }
    asked = sum(question.split == "test" for question in corpus.questions)
    parts = [
        f"{many} {what}{'' if many == 1 else 's'} ({touched} of {asked} test questions)"
        for what, (many, touched) in found.items()
        if many
    ]
    if not parts:
        return []
    own = "the corpus' own split" if found["group"][0] else "the split"
    return [
        f"both sides of {own} have {' and '.join(parts)} in common: a value that test confirms"
        " isn't independent of the choice on dev."
    ]


def _on_both_sides(
    questions: Sequence[Question], parts: Callable[[Question], Set[Hashable]]
) -> tuple[int, int]:
    """How many parts questions of both sides have, and how many test questions have one of them."""
    sides: dict[Hashable, set[str | None]] = {}
    for question in questions:
        for part in parts(question):
            sides.setdefault(part, set()).add(question.split)
    both = {part for part, found in sides.items() if found >= {*SPLITS}}
    asked = (question for question in questions if question.split == "test")
    return len(both), sum(not both.isdisjoint(parts(question)) for question in asked)


def _gold(question: Question) -> set[Hashable]:
    """The relevant documents of a question, or its spans."""
    evidence = question.evidence
    relevant = {document for document, grade in evidence.grades.items() if grade > 0}
    return {*relevant, *(span for group in evidence.groups for span in group)}


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
    sizes = list(Counter(groups).values())
    few = scope(len(sizes))
    units, named = (len(groups), "questions") if few else (len(sizes), "groups")
    alike = units if few else as_many(sizes)
    unequal = f", of such sizes that they tell as much as {alike:.0f} of one,"
    kin = {
        (t.chunk, t.embed, t.search.retriever, t.index if _holds_texts(t) else None)
        for t in experiment.trials
    }
    margin = smallest_margin(alike, len(kin))
    assert experiment.choose is not None  # noqa: S101  asked for only then
    within = experiment.choose.within
    said = (
        f"{units} dev {named}{unequal if alike < units else ''} can show a margin of {margin:.3f}"
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
