"""Reciprocal rank fusion, by hand."""

from __future__ import annotations

from fractions import Fraction
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mox.errors import DataError, SpecError
from mox.retrieval import fusions
from mox.retrieval.hits import ranked
from mox.retrieval.rrf import Rrf, fuse
from mox.testing.retrieval import FusionContract


class TestRrf(FusionContract):
    @pytest.fixture
    def spec(self):
        return Rrf()

    @pytest.fixture
    def others(self):
        return [Rrf(k=k) for k in range(4, 81)]


def hits(*queries, k):
    """Hits of rows in this order."""
    ids = np.full((len(queries), k), -1)
    for line, rows in zip(ids, queries, strict=True):
        line[: len(rows)] = rows
    return ranked(ids, np.tile(np.arange(k, 0, -1.0), (len(ids), 1)), k=k)


def test_shares_are_summed_over_the_lists():
    # Row 7: 1/61 + 1/62 = 0.0325225; row 3: 1/61 = 0.0163934 ahead of row 9: 1/62 = 0.0161290.
    fused = fuse(Rrf(), [hits([7, 9], k=2), hits([3, 7], k=2)], k=3)
    assert fused.ids.tolist() == [[7, 3, 9]]
    np.testing.assert_allclose(fused.scores, [[0.0325225, 0.0163934, 0.0161290]], atol=1e-7)


def test_equal_sums_are_a_tie_that_the_lower_row_wins():
    # Each of the two is first in one list and second in the other.
    fused = fuse(Rrf(), [hits([8, 5], k=2), hits([5, 8], k=2)], k=2)
    assert fused.ids.tolist() == [[5, 8]]
    assert fused.scores[0, 0] == fused.scores[0, 1]


def test_the_constant_decides_between_one_high_and_two_low_ranks():
    lists = [hits([1, 2, 3], k=3), hits([4, 5, 3], k=3)]
    # k = 60: row 3 has 2/63 > 1/61. k = 0: it has 2/3 < 1/1.
    assert fuse(Rrf(k=60), lists, k=1).ids.tolist() == [[3]]
    assert fuse(Rrf(k=0), lists, k=1).ids.tolist() == [[1]]


lists_of_hits = st.lists(
    st.lists(
        st.lists(st.integers(0, 9), unique=True, max_size=6), min_size=2, max_size=2
    ).map(lambda queries: hits(*queries, k=6)),
    min_size=1,
    max_size=4,
)  # fmt: skip


@settings(derandomize=True, max_examples=100, deadline=None)
@given(lists_of_hits, st.integers(0, 80), st.integers(1, 30))
def test_fusion_is_the_exact_sum(lists, constant, k):
    fused = fuse(Rrf(k=constant), lists, k=k)
    for q in range(2):
        sums = {}
        for each in lists:
            for rank, row in enumerate(each.ids[q].tolist(), start=1):
                if row >= 0:
                    sums[row] = sums.get(row, 0) + Fraction(1, constant + rank)
        best = sorted((-np.float32(float(total)), row) for row, total in sums.items())[:k]
        assert [row for row in fused.ids[q].tolist() if row >= 0] == [row for _, row in best]
        assert fused.scores[q, : len(best)].tolist() == [-score for score, _ in best]


@settings(derandomize=True, max_examples=30, deadline=None)
@given(lists_of_hits)
def test_the_order_of_the_lists_changes_nothing(lists):
    outcomes = {
        (fused.ids.tobytes(), fused.scores.tobytes())
        for fused in (fuse(Rrf(), list(order), k=8) for order in permutations(lists))
    }
    assert len(outcomes) == 1


def test_lists_of_different_questions_are_refused():
    with pytest.raises(DataError, match=r"2 lists of \[1, 2\] queries cannot be fused"):
        fuse(Rrf(), [hits([1], k=1), hits([1], [2], k=1)], k=1)
    with pytest.raises(DataError, match=r"0 lists of \[\] queries cannot be fused"):
        fuse(Rrf(), [], k=1)


def test_a_negative_constant_is_refused():
    with pytest.raises(SpecError, match=r"rrf\.k = -1"):
        fusions.parse({"kind": "rrf", "k": -1})
