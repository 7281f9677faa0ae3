"""One question looked at closely: its evidence, and what trials returned for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mox.errors import SpecError
from mox.evaluation.measures import Measure
from mox.registry import nearest
from mox.results.leaderboard import marks
from mox.results.lineage.seen import seen
from mox.results.questions import Hit, question_hits
from mox.types import Document, Question

if TYPE_CHECKING:
    from mox.results.results import Results
    from mox.results.run import TrialRun


@dataclass(frozen=True)
class Answered:
    """What one trial returned for the question.

    `seen`: for each hit, how many code points of its returned text the measure's cut lets a
    reader see; 0 beyond the cut. `covered`: recall at that cut as the evaluation defines it, in
    [0, 1]; None for an unanswerable question.
    """

    trial: str
    label: str
    marks: str
    hits: tuple[Hit, ...]
    seen: tuple[int, ...]
    scores: Mapping[str, float]
    covered: float | None


@dataclass(frozen=True)
class Inspection:
    """A question, its evidence and trials' hits, marked in the source documents.

    `measure`: the recall that `covered` is. `documents`: those that evidence or hits name.
    """

    question: Question
    measure: Measure
    documents: Mapping[str, Document]
    trials: tuple[Answered, ...]

    def evidence_in(self, document: str) -> list[tuple[int, int]]:
        """All spans of a document that count as evidence, alternatives included."""
        return [
            (span.start, span.end)
            for group in self.question.evidence.groups
            for span in group
            if span.document == document
        ]

    def relevant(self, hit: Hit) -> bool:
        """Whether a hit shows a character of evidence, or is of a relevant document."""
        if self.question.evidence.grades.get(hit.document, 0) > 0:
            return True
        return any(
            start < gold_end and gold_start < end
            for start, end in hit.spans
            for gold_start, gold_end in self.evidence_in(hit.document)
        )

    def save(self, path: str | Path) -> Path:
        """Write it as an .html file that needs nothing else."""
        from mox.results.show.markup import save_page

        return save_page(path, self._repr_html_(), self.question.text)

    def _repr_html_(self) -> str:
        from mox.results.show.inspection_html import drawn

        return drawn(self)

    def __repr__(self) -> str:
        return "\n".join(_lines(self))


def inspection(results: Results, question: str, trials: Sequence[str]) -> Inspection:
    """Look at one question.

    Args:
        question: its id, or the first letters of it.
        trials: ids; the chosen one and the baseline where none is given.

    Raises:
        SpecError: no such question or trial, or one that didn't finish.
    """
    at = find(results, question)
    marked = [(trial, marks(results, trial)) for trial in _trials(results, trials)]
    return closeup(results, at, marked)


def closeup(results: Results, at: int, trials: Iterable[tuple[TrialRun, str]]) -> Inspection:
    """Question number `at`, and what finished trials, each with its marks, returned for it."""
    asked = results.questions_asked[at]
    measure = _measure(results)
    answered = tuple(_answered(results, trial, at, measure, marked) for trial, marked in trials)
    named = dict.fromkeys(
        [
            *(span.document for group in asked.evidence.groups for span in group),
            *asked.evidence.grades,
            *(hit.document for one in answered for hit in one.hits),
        ]
    )
    documents = {name: results.documents[name] for name in named if name in results.documents}
    return Inspection(asked, measure, documents, answered)


def find(results: Results, name: str) -> int:
    """Which question an id, or the first letters of one, names.

    Raises:
        SpecError: none, or several.
    """
    ids = [question.id for question in results.questions_asked]
    if name in ids:
        return ids.index(name)
    found = [at for at, known in enumerate(ids) if known.startswith(name)]
    if len(found) == 1:
        return found[0]
    raise SpecError(
        f"{len(found) or 'no'} questions begin with {name!r}{nearest(name, ids)}.",
        mend="name one by its id; `results.questions(trial).df` lists them.",
    )


def _trials(results: Results, names: Sequence[str]) -> list[TrialRun]:
    """The named trials; the chosen one and the baseline where none is named, else the best."""
    if names:
        trials = [results.trial(name) for name in names]
        for trial in trials:
            if trial.status != "FINISHED":
                raise SpecError(
                    f"trial {trial.id} has no hits: it is {trial.status}.",
                    mend="name a trial that finished; `results.leaderboard()` lists them.",
                )
        return trials
    if not results.finished:
        raise SpecError("no trial finished.", mend="mend what failed, and run again.")
    wanted = (results.choice.trial if results.choice else None, results.run.baseline)
    found = [trial for trial in results.finished if trial.id in wanted]
    return sorted(found, key=lambda trial: trial.id != wanted[0]) or results.ranked()[:1]


def _measure(results: Results) -> Measure:
    """The recall that tells how much of the evidence is covered: one that was measured, else at
    the cut of the measure that is chosen by."""
    names = (results.run.decisive, *results.run.measures)
    measures = [Measure.parse(name) for name in names]
    recalls = [measure for measure in measures if measure.metric == "recall"]
    return recalls[0] if recalls else Measure("recall", measures[0].cut, measures[0].unit)


def _answered(
    results: Results, trial: TrialRun, at: int, measure: Measure, marked: str
) -> Answered:
    asked = results.questions_asked[at]
    arrays = results.scores(trial).arrays
    scores = {name: float(arrays[name][at]) for name in results.run.measures}
    kept, recall = seen(results, trial, at, measure)
    return Answered(
        trial=trial.id,
        label=results.label(trial),
        marks=marked,
        hits=question_hits(results, trial, at),
        seen=kept,
        scores=scores if asked.answerable else {},
        covered=scores.get(str(measure), recall) if asked.answerable else None,
    )


def _lines(view: Inspection) -> Iterator[str]:
    """The view as plain text."""
    asked = view.question
    yield f"{asked.id} ({', '.join(filter(None, (asked.split, asked.kind)))}): {asked.text}"
    if asked.answer:
        yield f"  answer: {asked.answer}"
    yield from _evidence_lines(view)
    for one in view.trials:
        yield ""
        marked = f" ({one.marks})" if one.marks else ""
        yield f"{one.trial} {one.label}{marked}: {coverage(view, one)}"
        cut = False
        for rank, (hit, shown) in enumerate(zip(one.hits, one.seen, strict=True), start=1):
            if not shown and not cut:
                cut = True
                yield f"      … beyond {within(view.measure)}:"
            places = " ".join(f"[{start}:{end}]" for start, end in hit.spans)
            star = "*" if view.relevant(hit) else " "
            yield f"  {star}{rank:>3} {hit.document} {places} {hit.score:.3f}"


def _evidence_lines(view: Inspection) -> Iterator[str]:
    evidence = view.question.evidence
    for number, group in enumerate(evidence.groups, start=1):
        for place, span in enumerate(group):
            head = f"  evidence {number}:" if place == 0 else "           or:"
            quoted = view.documents[span.document].text[span.start : span.end]
            yield f"{head} {span.document} [{span.start}:{span.end}] “{' '.join(quoted.split())}”"
    for document, grade in evidence.grades.items():
        yield f"  evidence: {document} (grade {grade})"
    if not view.question.answerable:
        yield "  no evidence: the corpus doesn't answer it"


def within(measure: Measure) -> str:
    """A measure's cut in words."""
    unit = "token" if measure.unit == "tokens" else "hit"
    return f"{measure.cut:,} {unit}{'' if measure.cut == 1 else 's'}"


def coverage(view: Inspection, one: Answered) -> str:
    """How much of the evidence a trial covers, in words."""
    if one.covered is None:
        return "unanswerable, so nothing is measured"
    if view.question.evidence.groups:
        return f"evidence covered {100 * one.covered:.0f} % within {within(view.measure)}"
    return (
        f"{100 * one.covered:.0f} % of the relevant documents found within {within(view.measure)}"
    )
