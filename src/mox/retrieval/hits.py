"""The one order of hits: score descending, then row ascending. Nothing is sorted elsewhere.

A chunk table's rows stand in the order of ties already, so a row number is the tie-break.
Scores are compared as float32, as trec_eval does and as they are stored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mox.errors import EngineError
from mox.types import Hits

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mox.types import Floats

BLOCK_CELLS = 4_000_000
"""Cells of a score matrix that are looked at together: some 100 MB of working memory."""


def ranked(ids: NDArray[np.integer[Any]], scores: NDArray[np.floating[Any]], *, k: int) -> Hits:
    """The best k of each query's rows, in order.

    Args:
        ids: (queries, n) rows of a chunk table in any order; -1 is nothing.
        scores: (queries, n) higher is better; -inf is nothing, whatever the row.

    Returns:
        (queries, k); padded with -1 and -inf where there are fewer.

    Raises:
        EngineError: the shapes differ, a score is not a number, a row is no row number, or a
            query has a row twice.
    """
    import numpy as np

    if ids.ndim != 2 or ids.shape != scores.shape:
        raise _refused(f"ids of shape {ids.shape} with scores of shape {scores.shape}")
    with np.errstate(over="ignore"):  # beyond float32 is infinite, and so a tie
        found = np.where(ids == -1, -np.inf, scores).astype(np.float32)
    _check(ids, found)
    rows = np.where(found == -np.inf, -1, ids)
    order = np.lexsort((rows, -found), axis=-1)[:, :k]
    best = np.full((len(ids), k), -1, dtype=np.int32)
    theirs = np.full((len(ids), k), -np.inf, dtype=np.float32)
    best[:, : order.shape[1]] = np.take_along_axis(rows, order, axis=1)
    theirs[:, : order.shape[1]] = np.take_along_axis(found, order, axis=1)
    return Hits(best, theirs)


def _check(ids: NDArray[np.integer[Any]], scores: Floats) -> None:
    import numpy as np

    if not ids.size:
        return
    _check_numbers(ids, scores)
    if ids.min() < -1 or ids.max() > np.iinfo(np.int32).max:
        query, place = np.argwhere((ids < -1) | (ids > np.iinfo(np.int32).max))[0]
        raise _refused(f"{ids[query, place]}, which is no row number", query=query)
    sorted_ids = np.sort(ids, axis=1)
    twice = (sorted_ids[:, 1:] == sorted_ids[:, :-1]) & (sorted_ids[:, 1:] >= 0)
    if twice.any():
        query, place = np.argwhere(twice)[0]
        raise _refused(f"row {sorted_ids[query, place]} twice", query=query)


def _check_numbers(ids: NDArray[np.integer[Any]], scores: Floats) -> None:
    import numpy as np

    unknown = np.isnan(scores)
    if unknown.any():
        query, place = np.argwhere(unknown)[0]
        raise _refused(f"a score that is not a number, for row {ids[query, place]}", query=query)


def best_of(rows: NDArray[np.int32], scores: NDArray[np.floating[Any]], *, k: int) -> Hits:
    """What `ranked` gives, several times as fast, for rows that stand in the order of ties.

    Args:
        rows: (queries, n) ascending, each once, padded with -1 at the end.
        scores: (queries, n) higher is better; -inf is nothing, and so is padding.

    Returns:
        (queries, k); padded with -1 and -inf where there are fewer.

    Raises:
        EngineError: a score is not a number.
    """
    import numpy as np

    queries, n = rows.shape
    with np.errstate(over="ignore"):  # beyond float32 is infinite, and so a tie
        found = scores.astype(np.float32)
    _check_numbers(rows, found)
    kept = min(k, n)
    best = np.full((queries, k), -1, dtype=np.int32)
    theirs = np.full((queries, k), -np.inf, dtype=np.float32)
    if not kept:
        return Hits(best, theirs)
    # A float's bits as a whole number that falls as the float rises, above the column: one sort
    # of whole numbers is the order. Adding 0 makes -0.0 the 0.0 that it ties with.
    bits = (found + np.float32(0)).view(np.uint32)
    falling = np.where(bits >> 31 == 1, bits, ~bits & np.uint32(0x7FFFFFFF))
    keys = (falling.astype(np.uint64) << np.uint64(32)) | np.arange(n, dtype=np.uint64)
    keys.sort(axis=1)
    columns = (keys[:, :kept] & np.uint64(0xFFFFFFFF)).astype(np.intp)
    theirs[:, :kept] = np.take_along_axis(found, columns, axis=1)
    best[:, :kept] = np.take_along_axis(rows, columns, axis=1)
    best[theirs == -np.inf] = -1
    return Hits(best, theirs)


def _refused(what: str, *, query: int | None = None) -> EngineError:
    where = "" if query is None else f" (query {query})"
    return EngineError(
        f"a search returned {what}{where}.",
        mend="mend the index or retriever that it came from; nothing was scored.",
    )


def top(scores: NDArray[np.floating[Any]], *, k: int) -> Hits:
    """The exact best k of a full score matrix, ties at the last place included.

    Args:
        scores: (queries, rows) higher is better; -inf leaves a row out.
        k: 1 or more.

    Returns:
        (queries, k); padded with -1 and -inf where there are fewer.

    Raises:
        EngineError: a score is not a number.
    """
    import numpy as np

    queries, rows = scores.shape
    step = max(1, BLOCK_CELLS // max(rows, 1))
    parts = [_top(scores[at : at + step], k=k) for at in range(0, queries, step)]
    if not parts:
        return Hits(np.empty((0, k), np.int32), np.empty((0, k), np.float32))
    return Hits(np.concatenate([p.ids for p in parts]), np.concatenate([p.scores for p in parts]))


def _top(scores: NDArray[np.floating[Any]], *, k: int) -> Hits:
    import numpy as np

    queries, rows = scores.shape
    if k >= rows:
        return ranked(np.broadcast_to(np.arange(rows), scores.shape), scores, k=k)
    with np.errstate(over="ignore"):
        found = scores.astype(np.float32, copy=False)
    _check_numbers(np.broadcast_to(np.arange(rows), found.shape), found)
    last = np.partition(found, rows - k, axis=1)[:, rows - k, None]
    better = found > last
    tied = found == last
    places = k - better.sum(axis=1, keepdims=True)
    # Of those tied for the last places the lowest rows are taken; `argpartition` takes any.
    taken = better | (tied & (np.cumsum(tied, axis=1) <= places))
    ids = np.nonzero(taken)[1].reshape(queries, k)
    return ranked(ids, np.take_along_axis(found, ids, axis=1), k=k)
