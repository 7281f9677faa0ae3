"""How one question's score comes about, hit by hit, from what the evaluation sees.

Each sum is worked out here anew from the numbers that are shown, so that whoever adds them up
gets the score: the evaluation's own functions say what it has to come to.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mox.evaluation.documents import DocumentsSeen
from mox.evaluation.measures import Measure
from mox.evaluation.seen import SpansSeen
from mox.results.lineage.seen import OF_CHUNKS

Numbers = Mapping[str, float]
Step = Mapping[str, Any]


@dataclass(frozen=True)
class Sum:
    """A score as a formula, its numbers, and what each hit (or document) adds.

    `value` is what the formula comes to with these numbers; None where the metric is a
    plugin's, whose formula isn't known.
    """

    formula: str
    numbers: Numbers
    steps: tuple[Step, ...]
    value: float | None


def over_spans(measure: Measure, seen: SpansSeen) -> Sum:
    """A measure over spans, for the one question that is seen.

    Steps, in order of rank: `rank`, `kept` (characters of the hit within the cut), `evidence`
    (characters of evidence that no earlier hit showed), `covered` (what that adds to the
    coverage, weighted by group) and `coverage` so far.
    """
    steps = _span_steps(seen)
    numbers = {
        "coverage": _last(seen.coverage),
        "demand": float(seen.demand[0]),
        "ceiling": float(seen.ceiling[0]),
        "evidence shown": _last(seen.found),
        "returned": float(seen.returned[0]),
        "distinct": float(seen.distinct[0]),
        "missing": float(seen.missing[0]),
        "groups hit": float(seen.groups_hit[0]),
        "a span whole": float(seen.whole[0]),
        "first hit with evidence": float(next((s["rank"] for s in steps if s["touches"]), 0)),
    }
    if measure.metric in OF_CHUNKS:
        shared, both = seen.labels.chunked(touching=measure.metric == "omega")
        numbers |= {"evidence in chunks": float(shared[0]), "chunks and evidence": float(both[0])}
    made = _SPANS.get(measure.metric)
    if made is None:
        return _unknown(measure, steps)
    formula, names, work = made
    if measure.metric == "ndcg":
        steps = _discounted(steps, "covered", numbers["ceiling"])
    return Sum(formula, {name: numbers[name] for name in names}, steps, work(numbers, steps))


def over_documents(measure: Measure, seen: DocumentsSeen, names: Sequence[str]) -> Sum:
    """A measure over whole documents, for the one question that is seen.

    Args:
        names: the documents, by rank.

    Steps, in order of rank: `rank`, `document`, `grade`, and with nDCG `discount` and `term`.
    """
    grades = [float(grade) for grade in seen.grades[0][: len(names)]]
    steps: tuple[Step, ...] = tuple(
        {"rank": at, "document": name, "grade": grade}
        for at, (name, grade) in enumerate(zip(names, grades, strict=False), start=1)
    )
    ideal = [float(grade) for grade in seen.ideal[0]]
    cut = [grade for grade in ideal[: seen.cut] if grade > 0]
    numbers = {
        "relevant seen": float(sum(grade > 0 for grade in grades)),
        "relevant": float(sum(grade > 0 for grade in ideal)),
        "ideal": sum(grade / math.log2(at + 1) for at, grade in enumerate(cut, start=1)),
        "first relevant": float(next((s["rank"] for s in steps if s["grade"] > 0), 0)),
    }
    made = _DOCUMENTS.get(measure.metric)
    if made is None:
        return _unknown(measure, steps)
    formula, shown, work = made
    if measure.metric == "ndcg":
        steps = _discounted(steps, "grade", 1.0)
    if measure.metric == "map":
        steps = _precisions(steps)
    return Sum(formula, {name: numbers[name] for name in shown}, steps, work(numbers, steps))


def _span_steps(seen: SpansSeen) -> tuple[Step, ...]:
    coverage, found = seen.coverage[0].tolist(), seen.found[0].tolist()
    kept, touches = seen.context.kept[0].tolist(), seen.touches[0].tolist()
    steps = []
    for at, shown in enumerate(kept):
        if not shown:
            continue  # beyond the budget, or padding
        before = (coverage[at - 1], found[at - 1]) if at else (0.0, 0.0)
        steps.append(
            {
                "rank": at + 1,
                "kept": shown,
                "evidence": found[at] - before[1],
                "covered": coverage[at] - before[0],
                "coverage": coverage[at],
                "touches": touches[at],
            }
        )
    return tuple(steps)


def _discounted(steps: Sequence[Step], what: str, whole: float) -> tuple[Step, ...]:
    """Gain, discount and term of each rank, and their sum so far."""
    found, total = [], 0.0
    for step in steps:
        gain, discount = step[what] / whole, math.log2(step["rank"] + 1)
        total += gain / discount
        found.append(
            {**step, "gain": gain, "discount": discount, "term": gain / discount, "sum": total}
        )
    return tuple(found)


def _precisions(steps: Sequence[Step]) -> tuple[Step, ...]:
    """Precision at each rank with a relevant document, and their sum so far."""
    found, relevant, total = [], 0, 0.0
    for step in steps:
        hit = step["grade"] > 0
        relevant += hit
        precision = relevant / step["rank"] if hit else 0.0
        total += precision
        found.append({**step, "precision": precision, "sum": total})
    return tuple(found)


def _last(values: Any) -> float:
    return float(values[0, -1])


def _sum(steps: Sequence[Step]) -> float:
    return float(steps[-1]["sum"]) if steps else 0.0


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 0.0


def _inverse(rank: float) -> float:
    return 1 / rank if rank else 0.0


def _unknown(measure: Measure, steps: tuple[Step, ...]) -> Sum:
    said = f"{measure.metric} is a plugin's metric: its value is computed anew, by its own code"
    return Sum(said, {}, steps, None)


_Work = Callable[[Numbers, Sequence[Step]], float]
_SPANS: Mapping[str, tuple[str, tuple[str, ...], _Work]] = {
    "recall": (
        "coverage / demand",
        ("coverage", "demand"),
        lambda n, _: _share(n["coverage"], n["demand"]),
    ),
    "precision": (
        "evidence shown / returned, repeats counted",
        ("evidence shown", "returned"),
        lambda n, _: _share(n["evidence shown"], n["returned"]),
    ),
    "iou": (
        "evidence shown / (returned, repeats counted, + missing)",
        ("evidence shown", "returned", "missing"),
        lambda n, _: _share(n["evidence shown"], n["returned"] + n["missing"]),
    ),
    "set_precision": (
        "evidence shown / distinct",
        ("evidence shown", "distinct"),
        lambda n, _: _share(n["evidence shown"], n["distinct"]),
    ),
    "set_iou": (
        "evidence shown / (distinct + missing)",
        ("evidence shown", "distinct", "missing"),
        lambda n, _: _share(n["evidence shown"], n["distinct"] + n["missing"]),
    ),
    "hit": (
        "1 where any hit shows a character of evidence",
        ("first hit with evidence",),
        lambda n, _: float(n["first hit with evidence"] > 0),
    ),
    "full": (
        "1 where some span of evidence is shown whole",
        ("a span whole",),
        lambda n, _: n["a span whole"],
    ),
    "span_recall": (
        "share of the passages of which any hit shows a character",
        ("groups hit",),
        lambda n, _: n["groups hit"],
    ),
    "mrr": (
        "1 / rank of the first hit with evidence",
        ("first hit with evidence",),
        lambda n, _: _inverse(n["first hit with evidence"]),
    ),
    "ndcg": (
        "Σ gain / log₂(rank + 1), gain = covered / ceiling; the ideal is 1",
        ("coverage", "ceiling"),
        lambda _, steps: _sum(steps),
    ),
    "omega": (
        "evidence in chunks / chunks and evidence together, of all chunks that touch evidence,"
        " found or not",
        ("evidence in chunks", "chunks and evidence"),
        lambda n, _: _share(n["evidence in chunks"], n["chunks and evidence"]),
    ),
    "set_omega": (
        "evidence in chunks / chunks and evidence together, of all chunks that hold evidence,"
        " found or not",
        ("evidence in chunks", "chunks and evidence"),
        lambda n, _: _share(n["evidence in chunks"], n["chunks and evidence"]),
    ),
}
_DOCUMENTS: Mapping[str, tuple[str, tuple[str, ...], _Work]] = {
    "ndcg": (
        "Σ grade / log₂(rank + 1), over the same of the ideal ranking",
        ("ideal",),
        lambda n, steps: _share(_sum(steps), n["ideal"]),
    ),
    "recall": (
        "relevant seen / relevant",
        ("relevant seen", "relevant"),
        lambda n, _: _share(n["relevant seen"], n["relevant"]),
    ),
    "map": (
        "Σ precision at each relevant document / relevant",
        ("relevant",),
        lambda n, steps: _share(_sum(steps), n["relevant"]),
    ),
    "mrr": (
        "1 / rank of the first relevant document",
        ("first relevant",),
        lambda n, _: _inverse(n["first relevant"]),
    ),
}
