"""Ragged arrays in numpy's terms: what spans, documents and agreement all need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Whole = NDArray[np.int64]


def starts(values: Whole) -> Whole:
    """Where each new value begins in a sorted array."""
    return np.flatnonzero(np.diff(values, prepend=values[:1] - 1))


def ranges(low: Whole, high: Whole) -> tuple[Whole, Whole]:
    """For ranges [low, high): the number of the range, and each whole number in it."""
    size = high - low
    which = np.repeat(np.arange(len(size)), size)
    within = np.arange(len(which)) - np.repeat(np.cumsum(size) - size, size)
    return which, low[which] + within


def sums(index: Whole, values: NDArray[Any], size: int) -> NDArray[np.float64]:
    """(size,) sums of the values of each index."""
    return np.bincount(index, values, minlength=size).astype(np.float64)


def first_times(values: Whole) -> NDArray[np.bool_]:
    """(rows, n) whether a value stands in its row for the first time."""
    order = np.argsort(values, axis=1, kind="stable")
    fresh = np.ones(values.shape, dtype=np.bool_)
    fresh[:, 1:] = np.diff(np.take_along_axis(values, order, axis=1), axis=1) > 0
    first = np.empty_like(fresh)
    np.put_along_axis(first, order, fresh, axis=1)
    return first


def union_lengths(owner: Whole, start: Whole, end: Whole, size: int) -> NDArray[np.float64]:
    """(size,) length of the union of each owner's half-open intervals."""
    order = np.lexsort((start, owner))
    owner, start, end = owner[order], start[order], end[order]
    reach = int(end.max(initial=0)) + 1
    furthest = np.maximum.accumulate(end + owner * reach) - owner * reach
    known = np.concatenate([[0], furthest[:-1]])
    known[1:][np.diff(owner) > 0] = 0
    return sums(owner, np.maximum(end - np.maximum(start, known), 0), size)
