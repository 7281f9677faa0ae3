"""What scoring does with unanswerable questions, padding and hits of something else."""

from __future__ import annotations

import numpy as np
import pytest

from mox.errors import DataError
from mox.evaluation.measures import Measure
from mox.evaluation.relevance import prepare
from mox.evaluation.score import score

ROWS = [("b", [(0, 10)]), ("a", [(0, 10)]), ("a", [(10, 20)])]


def test_unanswerable_questions_stay_out_as_nan(table, ask, hits, scores):
    asked = [ask([("a", 0, 10)]), ask(), ask([("a", 10, 20)])]
    found = scores("recall@1 hit@1", table(ROWS), asked, hits([1], [1], [1]))
    assert np.array_equal(found.values["recall@1"], [1, np.nan, 0], equal_nan=True)
    assert np.array_equal(found.values["hit@1"], [1, np.nan, 0], equal_nan=True)


def test_a_set_without_answerable_questions_is_all_nan(table, ask, hits, scores):
    found = scores("recall@1", table(ROWS), [ask(), ask()], hits([1], [1]))
    assert np.isnan(found.values["recall@1"]).all()
    assert found.short == {"recall@1": 0.0}


def test_spans_and_graded_documents_may_stand_side_by_side(table, ask, hits, scores):
    asked = [ask(a=1), ask([("a", 10, 20)]), ask(), ask(b=2, a=1)]
    found = scores("recall@1 mrr@3", table(ROWS), asked, hits(*[[1, 2, 0]] * 4))
    assert np.array_equal(found.values["recall@1"], [1, 0, np.nan, 0.5], equal_nan=True)
    # As documents the hits are a, b; as chunks the evidence comes second.
    assert np.array_equal(found.values["mrr@3"], [1, 0.5, np.nan, 1], equal_nan=True)


def test_padding_ends_a_list(table, ask, hits, scores):
    asked = [ask([("a", 10, 20)])] * 2
    found = scores("recall@3 precision@3", table(ROWS), asked, hits([0, 2], [0, -1, 2]))
    assert found.values["recall@3"].tolist() == [1, 0]
    assert found.values["precision@3"].tolist() == [0.5, 0]


def test_one_preparation_serves_many_trials(table, ask, hits):
    relevance = prepare(table(ROWS), [ask([("a", 0, 10)])])
    measure = [Measure.parse("recall@1")]
    first, second = (score(relevance, measure, hits([row])) for row in (1, 2))
    assert (first.values["recall@1"][0], second.values["recall@1"][0]) == (1, 0)
    assert score(relevance, measure, hits([1])).values["recall@1"][0] == 1


def test_hits_of_other_questions_are_refused(table, ask, hits):
    relevance = prepare(table(ROWS), [ask([("a", 0, 10)])])
    with pytest.raises(DataError, match="hits of 2 questions for 1"):
        score(relevance, [Measure.parse("recall@1")], hits([0], [1]))


def test_hits_of_another_table_are_refused(table, ask, hits):
    relevance = prepare(table(ROWS), [ask([("a", 0, 10)])])
    with pytest.raises(DataError, match="hit 3 in a table of 3 chunks"):
        score(relevance, [Measure.parse("recall@1")], hits([3]))


@pytest.mark.parametrize("groups", [[[]], [[("a", 5, 5)]], [[("a", 0, 3)], [("a", 9, 8)]]])
def test_evidence_without_characters_is_refused(groups, table, ask):
    with pytest.raises(DataError, match="evidence without characters"):
        prepare(table(ROWS), [ask(*groups)])
