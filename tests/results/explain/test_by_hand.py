"""An explained score's arithmetic against a pencil's, and against trec_eval's formulas."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mox.results import Results
from mox.retrieval.hits import ranked
from mox.types import Document, Evidence, Question, Span

METRICS = ("recall", "precision", "iou", "set_precision", "set_iou", "hit", "full", "span_recall",
           "mrr", "ndcg")  # fmt: skip


@pytest.fixture
def by_hand(made: Any, tmp_path: Path) -> Results:
    """Three documents of 40 characters, a chunk each, returned in the order c, a, b.

    The question's evidence is a[0:10] and b[5:25]: 30 characters.
    """
    documents = [Document(name, (f"{name} word " * 10)[:40], "0") for name in ("a", "b", "c")]
    spans = Evidence(((Span("a", 0, 10),), (Span("b", 5, 25),)))
    questions = [
        Question("q", "Which?", "g", spans),
        Question("r", "Which?", "h", Evidence(((Span("c", 0, 1),),))),
    ]
    new = type(made)(tmp_path / "by-hand", documents, questions)

    def hits(table: Any) -> Any:
        row = {table.documents[table.document[r]]: r for r in range(3)}
        ids = np.array([[row["c"], row["a"], row["b"]]] * 2)
        return ranked(ids, np.array([[0.9, 0.8, 0.7]] * 2), k=3)

    measures = [f"{metric}@{k}" for metric in METRICS for k in (2, 3)]
    new.trial("hand", {"kind": "whole"}, measures, hits=hits)
    found: Results = new.results(measures)
    return found


@pytest.mark.parametrize(
    ("measure", "value"),
    [
        ("recall@2", 10 / 30),
        ("recall@3", 1.0),
        ("precision@2", 10 / 80),
        ("precision@3", 30 / 120),
        ("iou@2", 10 / (80 + 20)),
        ("iou@3", 30 / (120 + 0)),
        ("set_precision@2", 10 / 80),
        ("hit@2", 1.0),
        ("full@2", 1.0),
        ("span_recall@2", 1 / 2),
        ("mrr@2", 1 / 2),
        # Gains 10/30 at rank 2 and 20/30 at rank 3, over log₂ 3 and log₂ 4.
        ("ndcg@2", (10 / 30) / math.log2(3)),
        ("ndcg@3", (10 / 30) / math.log2(3) + (20 / 30) / 2),
    ],
)
def test_the_arithmetic_is_that_of_a_pencil(by_hand: Results, measure: str, value: float) -> None:
    view = by_hand.explain("hand", "q")
    assert view.asked is not None
    [one] = [one for one in view.asked.scores if one.measure == measure]
    assert one.sum.value == pytest.approx(value, abs=1e-12)
    assert one.stored == pytest.approx(value, abs=1e-12)
    steps = one.sum.steps
    assert [step["kept"] for step in steps] == [40] * int(measure[-1])
    assert [step["evidence"] for step in steps] == [0, 10, 20][: int(measure[-1])]
    if measure == "ndcg@3":
        assert [step["term"] for step in steps] == pytest.approx(
            [0, (1 / 3) / math.log2(3), (2 / 3) / 2]
        )
    assert [(e.shown["2"], e.shown["3"]) for e in view.asked.evidence] == [(10, 10), (0, 20)]


def test_graded_documents_add_up_by_trec_evals_formulas(made: Any, tmp_path: Path) -> None:
    """Grades 2 for b and 1 for d; the hits are of a, b, a again, c and d."""
    documents = [Document(name, f"{name} one two three.\n\n{name} four five six.", "0")
                 for name in ("a", "b", "c", "d")]  # fmt: skip
    questions = [
        Question("q", "Which?", "g", Evidence(grades={"b": 2, "d": 1})),
        Question("r", "Which?", "h", Evidence(grades={"a": 1})),
    ]
    new = type(made)(tmp_path / "graded-by-hand", documents, questions)

    def hits(table: Any) -> Any:
        rows: dict[str, list[int]] = {}
        for row in range(len(table)):
            rows.setdefault(table.documents[table.document[row]], []).append(row)
        order = [rows["a"][0], rows["b"][0], rows["a"][1], rows["c"][0], rows["d"][0]]
        return ranked(np.array([order] * 2), np.array([[0.9, 0.8, 0.7, 0.6, 0.5]] * 2), k=5)

    measures = ["ndcg@3", "ndcg@4", "recall@2", "map@4", "mrr@3", "ndcg@500t"]
    new.trial("t", {"kind": "recursive", "size": 8}, measures, hits=hits)
    view = new.results(measures).explain("t", "q")
    assert view.holds, view.problems
    assert view.asked is not None
    found = {one.measure: one for one in view.asked.scores}
    ideal = 2 + 1 / math.log2(3)
    dcg = 2 / math.log2(3) + 1 / math.log2(5)
    expected = {
        "ndcg@3": 2 / math.log2(3) / ideal,
        "ndcg@4": dcg / ideal,
        "ndcg@500t": dcg / ideal,
        "recall@2": 1 / 2,
        "map@4": (1 / 2 + 2 / 4) / 2,
        "mrr@3": 1 / 2,
    }
    assert {m: one.sum.value for m, one in found.items()} == pytest.approx(expected)
    assert {m: one.stored for m, one in found.items()} == pytest.approx(expected)
    assert [(s["document"], s["grade"]) for s in found["ndcg@4"].sum.steps] == [
        ("a", 0), ("b", 2), ("c", 0), ("d", 1),
    ]  # fmt: skip
    assert "relevant: b (grade 2)" in repr(view)
    assert "ndcg@3" in view._repr_html_()
