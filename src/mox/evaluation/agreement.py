"""How much of exact search an index found, not counting against it the ties that it broke."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mox.errors import DataError
from mox.evaluation.arrays import first_times

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mox.types import Floats, Hits

DIFFERS = 0.005
"""A recall by id that is so much under the tie-aware one says that vectors repeat."""
TOLERANCE = 1e-5
"""How far under the k-th exact score still counts as a tie. float32 dot products of unit vectors
differ by some 1e-6 between libraries; 1e-3, as ann-benchmarks has it, accepts real misses."""

BLOCK = 1 << 24
"""Numbers that are gathered at a time."""


def recall_of_exact(
    found: Hits,
    exact: Hits,
    *,
    k: int,
    vectors: Floats | None = None,
    queries: Floats | None = None,
) -> NDArray[np.float64]:
    """Share of each query's k true neighbours among its first k hits, ties forgiven.

    A hit counts where its own exact score reaches the k-th exact one, less `TOLERANCE`: equal
    chunks have equal vectors, and an index may return the other copy. A row counts once.

    Args:
        found: (queries, >=k) hits of an index, padded with -1. Its scores are not looked at:
            a quantised index rounds them.
        exact: (queries, >=k) hits of exact search over the same rows.
        vectors: (rows, dims) that exact search compared by dot product, and
        queries: (queries, dims): with both, a hit's own score is worked out. Without them it
            is looked up in `exact`, and a tied row beyond its end counts as missed: give more
            than k columns where chunks repeat.

    Returns:
        (queries,) in [0, 1]; k is replaced by the number of rows where there are fewer. 1 where
        there is nothing to find.

    Raises:
        DataError: other queries, or fewer than k columns.

    Source: ann-benchmarks' `knn`, with another tolerance, ids counted once.
    """
    _check(found, exact, k)
    ids = found.ids[:, :k].astype(np.int64)
    true = (exact.ids[:, :k] >= 0).sum(axis=1)
    last = np.maximum(true - 1, 0)[:, None]
    threshold = np.take_along_axis(exact.scores.astype(np.float64), last, axis=1) - TOLERANCE
    if vectors is not None and queries is not None:
        own = _scores(ids, vectors, queries)
    else:
        own = _looked_up(ids, exact)
    counts = (ids >= 0) & (own >= threshold) & first_times(ids)
    share = np.minimum(counts.sum(axis=1), true) / np.maximum(true, 1)
    return np.where(true > 0, share, 1.0)


def recall_by_id(found: Hits, exact: Hits, *, k: int) -> NDArray[np.float64]:
    """Share of each query's k true neighbours that are among its first k hits by their very ids.

    Beside `recall_of_exact`: where the two differ, equal vectors stand in for each other.

    Args:
        found: (queries, >=k) hits of an index, padded with -1.
        exact: (queries, >=k) hits of exact search over the same rows.

    Returns:
        (queries,) in [0, 1]; k is replaced by the number of rows where there are fewer. 1 where
        there is nothing to find.

    Raises:
        DataError: other queries, or fewer than k columns.
    """
    _check(found, exact, k)
    ids, true = found.ids[:, :k].astype(np.int64), exact.ids[:, :k]
    counts = (ids[:, :, None] == true[:, None, :]).any(axis=2) & (ids >= 0) & first_times(ids)
    there = (true >= 0).sum(axis=1)
    share = counts.sum(axis=1) / np.maximum(there, 1)
    return np.where(there > 0, share, 1.0)


def _check(found: Hits, exact: Hits, k: int) -> None:
    if len(found.ids) != len(exact.ids) or min(found.k, exact.k) < k:
        raise DataError(
            f"hits of shape {found.ids.shape} against exact ones of {exact.ids.shape}, k = {k}.",
            mend="search both with the same queries, and for k hits at least.",
        )


def _scores(ids: NDArray[np.int64], vectors: Floats, queries: Floats) -> NDArray[np.float64]:
    """(queries, k) dot products of each query with its hits."""
    own = np.empty(ids.shape)
    step = max(1, BLOCK // max(1, ids.shape[1] * vectors.shape[1]))
    for start in range(0, len(ids), step):
        here = slice(start, start + step)
        own[here] = np.einsum("qd,qkd->qk", queries[here], vectors[ids[here]])
    return own


def _looked_up(ids: NDArray[np.int64], exact: Hits) -> NDArray[np.float64]:
    """(queries, k) exact scores of hits that `exact` lists; -inf for others."""
    own = np.full(ids.shape, -np.inf)
    for column in range(ids.shape[1]):
        same = exact.ids == ids[:, column : column + 1]
        own[:, column] = np.where(same, exact.scores, -np.inf).max(axis=1)
    return own
