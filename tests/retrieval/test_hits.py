"""The one order of hits, against Python's own sort."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mox.errors import EngineError
from mox.retrieval.hits import BLOCK_CELLS, best_of, ranked, top
from mox.types import Hits

quick = settings(derandomize=True, max_examples=150, deadline=None)
few = st.sampled_from([0.0, -0.0, 1.0, 1.000000001, -2.5, 3e38, 1e300, np.inf, -np.inf])
score = few | st.floats(allow_nan=False)


def sorted_by_python(pairs, k):
    """The order in words: score as float32 descending, then row ascending; -inf is nothing."""
    with np.errstate(over="ignore"):
        exact = [(row, float(np.float32(value))) for row, value in pairs]
    best = sorted((-value, row) for row, value in exact if row >= 0 and value != -np.inf)[:k]
    pad = k - len(best)
    return [row for _, row in best] + [-1] * pad, [-value for value, _ in best] + [-np.inf] * pad


@st.composite
def answers(draw):
    n = draw(st.integers(0, 8))
    one = st.lists(
        st.tuples(st.integers(0, 20), score), min_size=n, max_size=n, unique_by=lambda p: p[0]
    )
    queries = draw(st.lists(one, min_size=1, max_size=4))
    gaps = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    return [
        [(-1 if gap else row, value) for (row, value), gap in zip(query, gaps, strict=True)]
        for query in queries
    ]  # fmt: skip


@quick
@given(answers(), st.integers(1, 10), st.sampled_from([np.float32, np.float64]))
def test_ranked_is_what_python_sorts(queries, k, dtype):
    ids = np.array([[row for row, _ in query] for query in queries], dtype=np.int64)
    with np.errstate(over="ignore"):
        scores = np.array([[value for _, value in query] for query in queries]).astype(dtype)
    hits = ranked(ids, scores, k=k)
    assert (hits.ids.dtype, hits.scores.dtype, hits.k) == (np.int32, np.float32, k)
    for query, rows, values in zip(queries, hits.ids.tolist(), hits.scores.tolist(), strict=True):
        assert (rows, values) == sorted_by_python(query, k)


@quick
@given(
    st.integers(1, 12).flatmap(
        lambda rows: st.lists(st.lists(score, min_size=rows, max_size=rows), min_size=1, max_size=4)
    ),
    st.integers(1, 14),
)
def test_top_is_what_python_sorts(matrix, k):
    hits = top(np.array(matrix), k=k)
    for line, rows, values in zip(matrix, hits.ids.tolist(), hits.scores.tolist(), strict=True):
        assert (rows, values) == sorted_by_python(enumerate(line), k)


@quick
@given(
    st.integers(0, 9).flatmap(
        lambda n: st.lists(
            st.tuples(
                st.sets(st.integers(0, 30), max_size=n),
                st.lists(score, min_size=n, max_size=n),
            ),
            min_size=1,
            max_size=4,
        )
    ),
    st.integers(1, 11),
)
def test_best_of_is_ranked_to_the_bit(queries, k):
    n = len(queries[0][1])
    rows = np.full((len(queries), n), -1, dtype=np.int32)
    scores = np.full((len(queries), n), -np.inf)
    for at, (some, values) in enumerate(queries):
        rows[at, : len(some)] = sorted(some)
        scores[at, : len(some)] = values[: len(some)]
    found, slow = best_of(rows, scores, k=k), ranked(rows, scores, k=k)
    assert found.ids.tobytes() == slow.ids.tobytes()
    assert found.scores.tobytes() == slow.scores.tobytes()


def test_best_of_refuses_scores_that_are_not_numbers():
    with pytest.raises(EngineError, match="not a number, for row 7"):
        best_of(np.array([[2, 7]], np.int32), np.array([[1.0, np.nan]]), k=1)


def test_ties_at_the_last_place_go_to_the_lower_rows():
    scores = np.zeros((1, 1000), np.float32)
    scores[0, 700] = 1
    assert top(scores, k=5).ids.tolist() == [[700, 0, 1, 2, 3]]


def test_scores_that_differ_beyond_float32_are_a_tie():
    # trec_eval compares floats: 1.0 and 1.000000001 are one.
    assert ranked(np.array([[4, 2]]), np.array([[1.000000001, 1.0]]), k=2).ids.tolist() == [[2, 4]]


def test_top_in_blocks_is_top_at_once():
    draws = np.random.default_rng(0)
    rows = BLOCK_CELLS // 3  # three queries a block
    scores = draws.integers(0, 50, (7, rows)).astype(np.float32)
    hits = top(scores, k=3)
    for line, found in zip(scores, hits.ids, strict=True):
        assert found.tolist() == np.argsort(-line, kind="stable")[:3].tolist()


def test_short_answers_are_padded_not_dropped():
    hits = ranked(np.array([[3, -1], [-1, -1]]), np.array([[0.5, 9.0], [np.nan, np.nan]]), k=3)
    assert hits.ids.tolist() == [[3, -1, -1], [-1, -1, -1]]
    assert hits.scores.tolist() == [[0.5, -np.inf, -np.inf], [-np.inf] * 3]


def test_no_queries_have_no_hits():
    for hits in (
        ranked(np.empty((0, 5), int), np.empty((0, 5)), k=3),
        top(np.empty((0, 5)), k=3),
    ):
        assert isinstance(hits, Hits)
        assert hits.ids.shape == hits.scores.shape == (0, 3)
    assert top(np.empty((2, 0)), k=3).ids.tolist() == [[-1] * 3] * 2


@pytest.mark.parametrize(
    ("ids", "scores", "said"),
    [
        ([[1, 2], [7, 7]], [[1.0, 1.0], [2.0, 1.0]], r"row 7 twice \(query 1\)"),
        ([[1, 2]], [[1.0, np.nan]], r"not a number, for row 2 \(query 0\)"),
        ([[1, -2]], [[1.0, 1.0]], r"-2, which is no row number \(query 0\)"),
        ([[1, 2**31]], [[1.0, 1.0]], r"2147483648, which is no row number"),
        ([[1, 2]], [[1.0, 1.0, 1.0]], r"shape \(1, 2\) with scores of shape \(1, 3\)"),
    ],
)
def test_what_cannot_be_ranked_is_refused(ids, scores, said):
    with pytest.raises(EngineError, match=f"a search returned .*{said}"):
        ranked(np.array(ids), np.array(scores), k=2)


@pytest.mark.parametrize("numbers", [0, 1, 4])
def test_top_refuses_scores_that_are_not_numbers(numbers):
    scores = np.full((1, 5), np.nan)
    scores[0, :numbers] = 1.0
    with pytest.raises(EngineError, match=f"not a number, for row {numbers}"):
        top(scores, k=2)
