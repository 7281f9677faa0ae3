"""Third parties' metrics: what they are shown, and what becomes of what they give."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from pydantic import create_model

from mox.errors import DataError, SpecError, StageError
from mox.evaluation import metrics
from mox.evaluation.measures import Measure, check, fingerprint
from mox.evaluation.relevance import prepare
from mox.evaluation.score import score
from mox.spec import Spec
from mox.testing.evaluation import MetricContract
from mox.types import Span

TEXTS = {"b": "0123456789", "a": "ABCDEFGHIJKLMNOPQRST"}
# Rows 0 and 1 lie in b and a; row 2 has two spans of a: "KLM" and "PQRST".
ROWS = [("b", [(0, 10)]), ("a", [(0, 10)]), ("a", [(10, 13), (15, 20)])]


@pytest.mark.parametrize("kind", ["recall", "map", "omega", "ndcg"])
class TestOurs(MetricContract):
    """Ours pass the contract that a third party's does: by spans, by documents, by both."""

    @pytest.fixture
    def spec(self, kind):
        return metrics.parse({"kind": kind})


@pytest.fixture
def register():
    """Registers functions as metrics for one test."""
    names = []

    def registered(name, function, *, version="1", **traits: Any):
        names.append(name)
        kind = create_model(name, __base__=Spec, kind=(str, name))
        metrics.register(kind, fingerprint=lambda _: {"mine": version}, **traits)(function)
        return Measure.parse(f"{name}@2")

    metrics.kinds()  # ours come first
    yield registered
    for name in names:
        metrics._entries.pop(name, None)


@pytest.fixture
def shown(register, table):
    """What a metric was shown, question by question; its value is always 1."""

    def seen(questions, hits, cut, *, ends=None):
        found = []
        register("watching", lambda _, one: found.append(one) or 1.0)
        relevance = prepare(table(ROWS), questions, ends=ends, sources=TEXTS)
        values = score(relevance, [Measure.parse(f"watching@{cut}")], hits).values
        return found, values[f"watching@{cut}"]

    return seen


def named(question, name):
    return replace(question, id=name)


def test_hits_are_shown_in_order_up_to_the_cut(shown, ask, hits):
    found, values = shown([ask([("a", 0, 3)])], hits([2, 0, 1]), 2)
    [one] = found
    assert [(p.document, p.spans, p.text, p.row) for p in one.passages] == [
        ("a", ((10, 13), (15, 20)), "KLMPQRST", 2),
        ("b", ((0, 10),), "0123456789", 0),
    ]
    assert [p.score for p in one.passages] == [0, -1]
    assert (one.cut, one.unit, len(one.chunks), one.documents) == (2, "hits", 3, TEXTS)
    assert one.question.evidence.groups == ((Span("a", 0, 3),),)
    assert values.tolist() == [1]


def test_the_last_passage_of_a_token_budget_is_cut(shown, ask, hits, ends):
    # A token for every two characters; row 2 has 8, so of 6 tokens it gets 4 and row 1 two.
    tokens = ends([range(2, 11, 2), range(2, 11, 2), range(2, 9, 2)])
    [one], _ = shown([ask([("a", 0, 3)])], hits([2, 1, 0]), "6t", ends=tokens)
    assert [(p.spans, p.text) for p in one.passages] == [
        (((10, 13), (15, 20)), "KLMPQRST"),
        (((0, 4),), "ABCD"),
    ]
    # Of 2 tokens it gets 4 characters: all of the first span and one of the second.
    [one], _ = shown([ask([("a", 0, 3)])], hits([2, 1, 0]), "2t", ends=tokens)
    assert [(p.spans, p.text) for p in one.passages] == [(((10, 13), (15, 16)), "KLMP")]
    assert one.unit == "tokens"


def test_by_graded_documents_a_cut_counts_documents(shown, ask, hits):
    [one], _ = shown([ask(a=1)], hits([2, 0, 1]), 1)
    assert [p.row for p in one.passages] == [2, 1]  # both of a, the first document; b is second
    [one], _ = shown([ask(a=1)], hits([2, 0, 1]), 2)
    assert [p.row for p in one.passages] == [2, 0, 1]


def test_every_answerable_question_is_asked_once_and_no_other(shown, ask, hits):
    questions = [named(ask([("a", 0, 3)]), "spans"), named(ask(), "unanswerable"),
                 named(ask(a=1), "graded")]  # fmt: skip
    # Scores are descending ranks: both of the graded question's hits are of a.
    found, values = shown(questions, hits([0], [0], [2, 1]), 1)
    assert [one.question.id for one in found] == ["spans", "graded"]
    assert [[(p.row, p.score) for p in one.passages] for one in found] == [
        [(0, 0)], [(2, 0), (1, -1)],
    ]  # fmt: skip
    assert np.array_equal(values, [1, np.nan, 1], equal_nan=True)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (float("nan"), r"gave nan, which is not in \[0, 1\]"),
        (np.float32("nan"), r"gave nan, which is not in \[0, 1\]"),
        (float("inf"), r"gave inf, which is not in \[0, 1\]"),
        (-0.001, r"gave -0.001, which is not in \[0, 1\]"),
        (1.5, r"gave 1.5, which is not in \[0, 1\]"),
        ([0.5], r"gave an array of shape \(1,\), not one number"),
        (np.zeros((2, 3)), r"gave an array of shape \(2, 3\), not one number"),
        ([[1], [1, 2]], "raised ValueError"),
        (None, "gave None, which is no number"),
        ("0.5", "gave '0.5', which is no number"),
        (0.5 + 0j, r"gave \(0.5\+0j\), which is no number"),
        (Decimal("0.5"), "gave Decimal.*, which is no number"),
    ],
)
def test_what_is_no_value_is_refused_by_name(value, said, register, table, ask, hits):
    questions = [named(ask([("a", 0, 3)]), "fine"), named(ask([("a", 0, 3)]), "faulty")]
    measure = register("odd", lambda _, one: value if one.question.id == "faulty" else 1.0)
    relevance = prepare(table(ROWS), questions, sources=TEXTS)
    with pytest.raises(StageError, match=rf"the metric of odd@2 {said}.*'faulty'") as refused:
        score(relevance, [Measure.parse("recall@2"), measure], hits([1], [1]))
    assert "mend odd, or leave odd@2 out of `measure`; nothing was scored" in refused.value.mend


def test_what_a_metric_raises_is_refused_by_name(register, table, ask, hits):
    measure = register("dividing", lambda _, one: 1 / len(one.passages))
    relevance = prepare(table(ROWS), [named(ask([("a", 0, 3)]), "none-found")], sources=TEXTS)
    with pytest.raises(StageError, match=r"dividing@2 raised ZeroDivisionError.*'none-found'"):
        score(relevance, [measure], hits([-1]))


@pytest.mark.parametrize("value", [0, 1, True, np.bool_(True), np.float32(0.25), np.array(0.5)])
def test_any_single_number_is_a_value(value, register, table, ask, hits):
    measure = register("plain", lambda _, one: value)
    relevance = prepare(table(ROWS), [ask([("a", 0, 3)])], sources=TEXTS)
    assert score(relevance, [measure], hits([1])).values["plain@2"].tolist() == [float(value)]


def test_evidence_that_a_metric_cant_judge_is_refused(register, ask):
    measure = register("by-spans", lambda _, one: 1.0, evidence=("spans",))
    check([measure], [ask([("a", 0, 3)])])
    with pytest.raises(SpecError, match=r"by-spans@2 can't be had from .*qrels"):
        check([measure], [ask(a=1)])


def test_without_the_documents_texts_nothing_is_shown(register, table, ask, hits):
    measure = register("reading", lambda _, one: 1.0)
    with pytest.raises(DataError, match="reading@2 needs the documents' texts"):
        score(prepare(table(ROWS), [ask([("a", 0, 3)])]), [measure], hits([1]))


def test_a_slow_metric_is_seen_to_go_on(register, table, ask, hits):
    """A stage's time limit measures standstill: each question counts as a step."""
    ticks = []
    measure = register("slow", lambda _, one: 1.0)
    relevance = prepare(table(ROWS), [ask([("a", 0, 3)])] * 3, sources=TEXTS)
    score(relevance, [measure], hits([1], [1], [1]), tick=lambda: ticks.append(1))
    assert len(ticks) == 3


def test_scores_of_ours_depend_on_nothing_else(register):
    assert fingerprint([Measure.parse("recall@5"), Measure.parse("omega@1")]) == {}
    first = fingerprint([register("mine", lambda _, one: 1.0)])
    assert list(first) == ["mine"]
    assert fingerprint([register("mine", lambda _, one: 1.0, version="2")]) != first
