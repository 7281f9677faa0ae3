"""Recall against exact search forgives ties, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mox.errors import DataError
from mox.evaluation.agreement import recall_of_exact
from mox.types import Hits


def listed(ids, scores=None):
    ids = np.atleast_2d(np.array(ids, np.int32))
    if scores is None:
        scores = np.where(ids >= 0, -np.arange(ids.shape[1]), -np.inf)
    return Hits(ids, np.atleast_2d(np.array(scores, np.float32)))


def test_ids_are_counted_whatever_their_order():
    exact = listed([7, 3, 5, 1])
    assert recall_of_exact(listed([5, 7, 3]), exact, k=3).tolist() == [1]
    assert recall_of_exact(listed([5, 1, 9]), exact, k=3) == pytest.approx([1 / 3])


def test_a_tie_with_the_kth_counts_and_a_lower_score_doesn_t():
    # k = 2: the second score is 0.9, which row 3 has too, but for a rounding; row 4 hasn't.
    exact = listed([1, 2, 3, 4], [0.95, 0.9, 0.9 - 4e-6, 0.8999])
    assert recall_of_exact(listed([1, 3]), exact, k=2).tolist() == [1]
    assert recall_of_exact(listed([1, 4]), exact, k=2).tolist() == [0.5]


def test_a_row_counts_once():
    exact = listed([1, 2, 3], [0.9, 0.9, 0.9])
    assert recall_of_exact(listed([1, 1, 1]), exact, k=3) == pytest.approx([1 / 3])


def test_missing_hits_are_misses():
    assert recall_of_exact(listed([1, -1]), listed([1, 2]), k=2).tolist() == [0.5]


def test_a_table_of_fewer_rows_than_k_can_be_found_whole():
    exact = listed([2, 0, -1, -1], [0.5, 0.4, -np.inf, -np.inf])
    assert recall_of_exact(listed([0, 2, -1, -1]), exact, k=4).tolist() == [1]
    assert recall_of_exact(listed([0, -1, -1, -1]), exact, k=4).tolist() == [0.5]


def test_finding_more_than_exact_search_lists_is_no_more_than_all():
    vectors, queries = np.ones((3, 1), np.float32), np.ones((1, 1), np.float32)
    exact = listed([2, -1], [1.0, -np.inf])
    found = recall_of_exact(listed([1, 0]), exact, k=2, vectors=vectors, queries=queries)
    assert found.tolist() == [1]


def test_nothing_to_find_is_found():
    assert recall_of_exact(listed([-1]), listed([-1]), k=1).tolist() == [1]


def test_copies_beyond_the_exact_list_count_when_vectors_are_given():
    # Four equal chunks; exact search lists two of them, the index the other two.
    vectors = np.array([[1, 0]] * 4 + [[0, 1]], np.float32)
    queries = np.array([[0.8, 0.6]], np.float32)
    exact, other = listed([0, 1], [0.8, 0.8]), listed([2, 3])
    assert recall_of_exact(other, exact, k=2).tolist() == [0]
    known = recall_of_exact(other, exact, k=2, vectors=vectors, queries=queries)
    assert known.tolist() == [1]
    wrong = recall_of_exact(listed([2, 4]), exact, k=2, vectors=vectors, queries=queries)
    assert wrong.tolist() == [0.5]


def test_an_index_s_own_scores_are_not_believed():
    exact = listed([0, 1, 2], [0.9, 0.8, 0.1])
    assert recall_of_exact(listed([0, 2], [0.9, 0.9]), exact, k=2).tolist() == [0.5]


@given(seed=st.integers(0, 10**6), k=st.integers(1, 8), rows=st.integers(1, 12))
@settings(derandomize=True, max_examples=100, deadline=None)
def test_against_a_plain_count(seed, k, rows):
    # Vectors on a coarse grid tie often. The plain count knows all scores.
    rng = np.random.default_rng(seed)
    vectors = rng.integers(0, 2, (rows, 3)).astype(np.float32)
    queries = rng.integers(0, 2, (4, 3)).astype(np.float32)
    scores = queries @ vectors.T
    order = np.argsort(-scores, axis=1, kind="stable")
    pad = np.full((4, max(0, k - rows)), -1)
    exact = listed(
        np.hstack([order, pad])[:, :k],
        np.hstack([np.take_along_axis(scores, order, axis=1), pad * np.inf])[:, :k],
    )
    found = np.stack([rng.permutation(np.r_[np.arange(rows), [-1] * k])[:k] for _ in range(4)])
    ours = recall_of_exact(listed(found), exact, k=k, vectors=vectors, queries=queries)
    for query, ids in enumerate(found):
        reachable = min(k, rows)
        threshold = sorted(scores[query], reverse=True)[reachable - 1]
        right = sum(scores[query][row] >= threshold for row in {*ids} - {-1})
        assert ours[query] == pytest.approx(min(right, reachable) / reachable)


def test_fewer_columns_than_k_or_other_queries_are_refused():
    with pytest.raises(DataError, match="k = 3"):
        recall_of_exact(listed([1, 2]), listed([1, 2, 3]), k=3)
    with pytest.raises(DataError, match="k = 1"):
        recall_of_exact(listed([[1], [2]]), listed([1]), k=1)
