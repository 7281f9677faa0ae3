"""Measures print and parse; what the labels can't give is refused before anything runs."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mox.errors import SpecError
from mox.evaluation import metrics
from mox.evaluation.measures import Measure, check

measures = st.builds(
    Measure,
    st.sampled_from(metrics.kinds()),
    st.integers(1, 10**9 - 1),
    st.sampled_from(["hits", "tokens"]),
)


@given(measures)
@settings(derandomize=True, max_examples=200)
def test_a_measure_parses_what_it_prints(measure):
    assert Measure.parse(str(measure)) == measure


def test_hits_and_tokens_are_told_apart_by_a_t():
    assert Measure.parse("recall@5") == Measure("recall", 5, "hits")
    assert Measure.parse("recall@1000t") == Measure("recall", 1000, "tokens")


@pytest.mark.parametrize(
    "text",
    ["recall", "recall@", "@5", "recall@0", "recall@-1", "recall@05", "recall@5k", "recall@1e3",
     "recall@5.0", "recall 5", "recall@5@5", "recall@" + "9" * 5000, "recall@٥", ""],
)  # fmt: skip
def test_another_form_is_refused_with_the_right_one(text):
    with pytest.raises(SpecError, match="is no measure") as refused:
        Measure.parse(text)
    assert "recall@1000t" in refused.value.mend


@pytest.mark.parametrize(
    ("text", "near"), [("recal@5", "recall"), ("nDCG@10", "ndcg"), ("precison@5", "precision")]
)
def test_an_unknown_metric_is_refused_with_the_nearest(text, near):
    with pytest.raises(SpecError, match=f"did you mean '{near}'"):
        Measure.parse(text)


def test_a_cut_below_one_is_refused():
    with pytest.raises(SpecError, match="cut at 0"):
        Measure("recall", 0, "hits")


def parsed(text):
    return [Measure.parse(name) for name in text.split()]


def test_every_metric_has_a_form_of_evidence(ask):
    spans, qrels = ask([("d", 0, 1)]), ask(d=1)
    check(parsed("recall@5 precision@5 iou@5 set_precision@5 set_iou@5 hit@5 full@5"), [spans])
    check(parsed("span_recall@5 mrr@5 ndcg@5"), [spans])
    check(parsed("recall@5 map@5 mrr@5 ndcg@5"), [qrels])


@pytest.mark.parametrize("metric", ["iou", "precision", "hit", "set_iou", "full"])
def test_graded_documents_cant_give_what_needs_characters(metric, ask):
    with pytest.raises(SpecError, match=rf"{metric}@5 can't be had from .*qrels") as refused:
        check(parsed(f"recall@5 {metric}@5"), [ask(d=1)])
    assert refused.value.mend == "measure one of recall, map, mrr, ndcg."


def test_spans_cant_give_what_needs_documents(ask):
    with pytest.raises(SpecError, match="map@5 can't be had from evidence as spans"):
        check(parsed("map@5"), [ask([("d", 0, 1)])])


def test_mixed_evidence_takes_only_what_both_can_give(ask):
    both = [ask([("d", 0, 1)]), ask(d=1)]
    check(parsed("recall@5 ndcg@5 mrr@5"), both)
    with pytest.raises(SpecError, match="iou@5"):
        check(parsed("iou@5"), both)


def test_unanswerable_questions_have_no_say(ask):
    check(parsed("iou@5"), [ask([("d", 0, 1)]), ask()])
    with pytest.raises(SpecError, match="no question has evidence"):
        check(parsed("iou@5"), [ask()])


def test_scoring_refuses_what_check_refuses(ask, scores, table, hits):
    with pytest.raises(SpecError, match="iou@5 can't be had"):
        scores("iou@5", table([("d", [(0, 9)])]), [ask(d=1)], hits([0]))
