"""Exact search: the truth that other indexes are held to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from mox.errors import EngineError
from mox.indexes.exact import Exact, ExactBackend, nearest
from mox.testing.vectors import clustered
from mox.types import Place, Rows

AXES = st.integers(-3, 3)
"""A unit vector along an axis, its opposite below 0; 0 is the vector without direction."""


def along(axis: int) -> list[float]:
    return [float(np.sign(axis)) * (abs(axis) == place) for place in (1, 2, 3)]


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.lists(AXES, min_size=1, max_size=12), st.lists(AXES, max_size=4), st.integers(1, 14))
def test_the_k_best_stand_by_score_then_row(rows: list[int], queries: list[int], k: int) -> None:
    def score(row: int, query: int) -> float:
        if row == 0:
            return -2.0  # no direction: under every cosine
        return float(abs(row) == abs(query) and query != 0) * (1 if row == query else -1)

    vectors = np.array([along(row) for row in rows], dtype=np.float32)
    asked = np.array([along(query) for query in queries], dtype=np.float32).reshape(-1, 3)
    ids, scores = nearest(vectors, asked, k)
    assert ids.shape == scores.shape == (len(queries), k)
    for query, found, theirs in zip(queries, ids.tolist(), scores.tolist(), strict=True):
        order = sorted(range(len(rows)), key=lambda row: (-score(rows[row], query), row))[:k]
        padding = k - len(order)
        assert found == order + [-1] * padding
        assert theirs == [score(rows[row], query) for row in order] + [-np.inf] * padding


def test_it_finds_what_scikit_learn_finds_over_several_blocks() -> None:
    vectors, queries = clustered(5_000, 1_000, dims=16)  # 5 million scores: two blocks, two strips
    model = NearestNeighbors(n_neighbors=10, metric="cosine", algorithm="brute").fit(vectors)
    distances, truth = model.kneighbors(queries)
    ids, scores = nearest(vectors, queries, 10)
    assert (ids == truth).mean() > 0.999, "but for float32 near-ties"
    assert np.abs(scores - (1 - distances)).max() < 1e-6


def test_equal_vectors_score_equally_wherever_they_stand() -> None:
    vectors, queries = clustered(4_999, 301, dims=61)
    copies = [0, 1, 17, 2_500, 4_095, 4_096, 4_998]
    vectors[copies] = queries[7]
    ids, scores = nearest(vectors, queries, 20)
    assert ids[7, : len(copies)].tolist() == copies
    assert len(set(scores[7, : len(copies)].tolist())) == 1


def test_an_answer_does_not_depend_on_what_else_is_asked() -> None:
    vectors, queries = clustered(3_001, 50, dims=61)
    ids, scores = nearest(vectors, queries, 10)
    for query in range(50):
        alone = nearest(vectors, queries[query : query + 1], 10)
        assert (alone[0][0] == ids[query]).all()
        assert (alone[1][0] == scores[query]).all()


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    backend, place = ExactBackend(), Place("mox_x", tmp_path)
    backend.build(Exact(), Rows(clustered(10, 1)[0]), place)
    (tmp_path / "mox_x.npy").write_bytes(b"not an array")
    with pytest.raises(EngineError, match=r"mox_x\.npy cannot be read"):
        backend.rows(place)
