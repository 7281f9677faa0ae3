"""One question of one trial: what its hits are, whence they came, and how its scores add up."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mox.evaluation.documents import DocumentsSeen
from mox.evaluation.measures import Measure
from mox.evaluation.ours import OURS
from mox.results.lineage.arithmetic import Sum, over_documents, over_spans
from mox.results.lineage.inspection import Inspection, closeup, find
from mox.results.lineage.seen import Closely, closely
from mox.results.questions import Hit
from mox.results.shelf import Shelf
from mox.types import Question, Span

if TYPE_CHECKING:
    from mox.results.results import Results
    from mox.results.run import TrialRun

TOLERANCE = 1e-9
"""How far a value worked out anew may be from the stored one: sums run in another order."""


@dataclass(frozen=True)
class Place:
    """Where a hit stood in a list: its rank from 1, and its score there."""

    rank: int
    score: float


@dataclass(frozen=True)
class ShownHit:
    """A hit of a trial.

    `row`: in the trial's chunk table. `kept`: cut → code points of the returned text within it.
    `spent`: token budget → tokens of it that are spent after this hit. `sides`: list → where it
    stood there, None where it didn't; empty where nothing was fused.
    """

    rank: int
    row: int
    hit: Hit
    text: str
    kept: Mapping[str, int]
    spent: Mapping[str, int]
    sides: Mapping[str, Place | None]


@dataclass(frozen=True)
class ShownSpan:
    """A span of evidence; `shown`: cut → how many of its characters hits show within it."""

    passage: int
    span: Span
    text: str
    shown: Mapping[str, int]


@dataclass(frozen=True)
class Scored:
    """A measure of this question: as stored, by the evaluation anew, and added up by hand."""

    measure: str
    stored: float
    anew: float
    sum: Sum

    @property
    def holds(self) -> bool:
        """Whether all three agree."""
        worked = [self.anew] if self.sum.value is None else [self.anew, self.sum.value]
        return all(math.isclose(self.stored, v, rel_tol=0, abs_tol=TOLERANCE) for v in worked)


@dataclass(frozen=True)
class Asked:
    """A question, its evidence, the trial's hits for it, and the arithmetic of its scores."""

    view: Inspection
    evidence: tuple[ShownSpan, ...]
    hits: tuple[ShownHit, ...]
    scores: tuple[Scored, ...]
    problems: tuple[str, ...]

    @property
    def question(self) -> Question:
        return self.view.question

    def document(self) -> dict[str, Any]:
        """The JSON form."""
        q = self.question
        return {
            "id": q.id,
            "text": q.text,
            "group": q.group,
            "split": q.split,
            "kind": q.kind,
            "answer": q.answer,
            "evidence": [
                {
                    "passage": one.passage,
                    "document": one.span.document,
                    "span": [one.span.start, one.span.end],
                    "text": one.text,
                    "shown": dict(one.shown),
                }
                for one in self.evidence
            ],
            "grades": dict(q.evidence.grades),
            "scores": {one.measure: _score(one) for one in self.scores},
            "hits": [_hit(one) for one in self.hits],
        }


def asked(results: Results, trial: TrialRun, question: str, marks: str = "") -> Asked:
    """Look at one question of a finished trial.

    Args:
        question: its id, or the first letters of it.
        marks: what the trial is in its run: `chosen`, `baseline`.

    Raises:
        SpecError: no such question, or several.
    """
    at = find(results, question)
    measures = [Measure.parse(name) for name in results.run.measures]
    tokens = any(measure.unit == "tokens" for measure in measures)
    whole = any(measure.metric not in OURS for measure in measures)
    close = closely(results, trial, at, tokens=tokens, whole=whole)
    view = closeup(results, at, [(trial, marks)])
    sides, problems = _sides(results, trial, at)
    kept = {_cut(measure): close.kept(measure) for measure in measures}
    hits = tuple(_shown_hits(results, view, close, kept, sides))
    scores: tuple[Scored, ...] = ()
    if close.question.answerable:
        stored = results.scores(trial).arrays
        scores = tuple(
            _scored(close, hits, measure, float(stored[str(measure)][at])) for measure in measures
        )
    said: list[str] = [
        f"{close.question.id}: {one.measure} is stored as {one.stored:.6f} and comes to"
        f" {one.anew:.6f}" + ("" if one.sum.value is None else f", added up {one.sum.value:.6f}")
        for one in scores
        if not one.holds
    ]
    return Asked(view, tuple(_evidence(view, hits)), hits, scores, (*said, *problems))


def _scored(close: Closely, hits: tuple[ShownHit, ...], measure: Measure, stored: float) -> Scored:
    from mox.evaluation.score import view

    value = close.value(measure)
    if close.nothing(measure):
        return Scored(str(measure), stored, value, Sum("nothing was found", {}, (), 0.0))
    seen = view(close.relevance, measure, close.hits)
    if isinstance(seen, DocumentsSeen):
        within = [one.hit.document for one in hits if one.kept[_cut(measure)]]
        return Scored(
            str(measure), stored, value, over_documents(measure, seen, [*dict.fromkeys(within)])
        )
    return Scored(str(measure), stored, value, over_spans(measure, seen))


def _cut(measure: Measure) -> str:
    """A measure's cut by itself: `5`, `1000t`."""
    return str(measure).partition("@")[2]


def _shown_hits(
    results: Results,
    view: Inspection,
    close: Closely,
    kept: Mapping[str, tuple[int, ...]],
    sides: Mapping[str, Mapping[int, Place]],
) -> Iterator[ShownHit]:
    [one] = view.trials
    spent = _spent(close, [cut for cut in kept if cut.endswith("t")])
    for at, (row, hit) in enumerate(zip(close.rows, one.hits, strict=True)):
        text = results.documents[hit.document].text
        yield ShownHit(
            rank=at + 1,
            row=row,
            hit=hit,
            text="".join(text[start:end] for start, end in hit.spans),
            kept={cut: shown[at] for cut, shown in kept.items()},
            spent={cut: tokens[at] for cut, tokens in spent.items()},
            sides={side: places.get(row) for side, places in sides.items()},
        )


def _spent(close: Closely, cuts: list[str]) -> dict[str, list[int]]:
    """Budget → tokens of it that are spent after each hit, the last one's cut off."""
    if not close.rows or not cuts:
        return {}
    lengths = close.relevance.texts.tokens
    assert lengths is not None  # noqa: S101  measured, since a cut counts tokens
    total = lengths[close.hits.ids[0]].cumsum().tolist()
    return {cut: [min(tokens, int(cut[:-1])) for tokens in total] for cut in cuts}


def _sides(
    results: Results, trial: TrialRun, at: int
) -> tuple[dict[str, dict[int, Place]], tuple[str, ...]]:
    """Where rows stood in each list that was fused, and whether fusing them again gives the hits.

    Returns:
        side → row → place, empty where nothing was fused; and what doesn't hold.
    """
    from mox.pipeline import codec
    from mox.retrieval import fusions
    from mox.types import Hits

    ref = trial.roles["hits"]
    if ref.kind != "fuse":
        return {}, ()
    shelf = Shelf(results.store)
    inputs = shelf.inputs(ref)
    lists = {side: codec.unpack_hits(results.store.read(*r).arrays) for side, r in inputs.items()}
    places = {
        side: {
            row: Place(rank, score)
            for rank, (row, score) in enumerate(
                zip(hits.ids[at].tolist(), hits.scores[at].tolist(), strict=True), start=1
            )
            if row >= 0
        }
        for side, hits in lists.items()
    }
    note = shelf.note(ref) or {}
    spec = fusions.parse(note["spec"]["of"])
    least = note["spec"].get("least") or [None] * len(lists)
    one = [
        Hits(hits.ids[at : at + 1], hits.scores[at : at + 1], least=value)
        for hits, value in zip(lists.values(), least, strict=True)
    ]
    again, stored = fusions[spec](spec, one, k=note["spec"]["k"]), results.hits(trial)
    same = again.ids[0].tolist() == stored.ids[at].tolist()
    said = f"{results.questions_asked[at].id}: fusing its lists again gives other hits"
    return places, () if same else (said,)


def _evidence(view: Inspection, hits: tuple[ShownHit, ...]) -> Iterator[ShownSpan]:
    cuts = hits[0].kept if hits else {}
    shown = {cut: [*_stretches(hits, cut)] for cut in cuts}
    for number, group in enumerate(view.question.evidence.groups, start=1):
        for span in group:
            text = view.documents[span.document].text[span.start : span.end]
            counts = {cut: _inside(span, stretches) for cut, stretches in shown.items()}
            yield ShownSpan(number, span, text, counts)


def _stretches(hits: tuple[ShownHit, ...], cut: str) -> Iterator[Span]:
    """What hits show within a cut: the first `kept` characters of their spans, in order."""
    for one in hits:
        left = one.kept[cut]
        for start, end in one.hit.spans:
            taken = min(end - start, left)
            left -= taken
            if taken:
                yield Span(one.hit.document, start, start + taken)


def _inside(span: Span, stretches: list[Span]) -> int:
    """Characters of a span that any stretch shows."""
    inside = {
        place
        for one in stretches
        if one.document == span.document
        for place in range(max(one.start, span.start), min(one.end, span.end))
    }
    return len(inside)


def _score(one: Scored) -> dict[str, Any]:
    return {
        "stored": one.stored,
        "anew": one.anew,
        "holds": one.holds,
        "formula": one.sum.formula,
        "numbers": dict(one.sum.numbers),
        "steps": [dict(step) for step in one.sum.steps],
        "comes_to": one.sum.value,
    }


def _hit(one: ShownHit) -> dict[str, Any]:
    return {
        "rank": one.rank,
        "row": one.row,
        "document": one.hit.document,
        "spans": [list(span) for span in one.hit.spans],
        "score": one.hit.score,
        "text": one.text,
        "kept": dict(one.kept),
        "spent": dict(one.spent),
        "sides": {
            side: None if place is None else {"rank": place.rank, "score": place.score}
            for side, place in one.sides.items()
        },
    }
