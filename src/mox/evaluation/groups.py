"""Sums by group: the unit of resampling, since questions of one topic are not independent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mox.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Reals = NDArray[np.float64]

Groups = Sequence[str] | Sequence[int] | np.ndarray


@dataclass(frozen=True)
class GroupSums:
    """A table of values by group. Every mean here is Σ `sums` / Σ `counts`.

    `sums`: (groups, trials). `counts`: (groups,) questions. A mean over questions is thus a
    ratio of two random sums, which is how it is resampled.
    """

    sums: Reals
    counts: Reals

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def means(self) -> Reals:
        """(trials,) means over questions."""
        return np.asarray(self.sums.sum(axis=0) / self.counts.sum())

    @property
    def effective(self) -> float:
        """As many groups of one size would tell as much: see `as_many`."""
        return as_many(self.counts)

    def resampled(self, weights: Reals) -> Reals:
        """(draws, trials) means under (draws, groups) weights."""
        return (weights @ self.sums) / (weights @ self.counts)[:, None]


def as_many(counts: Sequence[float] | Reals) -> float:
    """How many groups of one size would tell as much as groups of so many questions each:
    (Σ counts)² / Σ counts², their number where all are of one size, else fewer.

    Source: Kish, *Survey Sampling* (1965).
    """
    sizes = np.asarray(counts, dtype=np.float64)
    return float(sizes.sum() ** 2 / (sizes**2).sum())


def usual_size(counts: Reals) -> float:
    """Questions in the group of a question drawn at random: Σ counts² / Σ counts."""
    return float((counts**2).sum() / counts.sum())


def group_index(values: Reals, groups: Groups) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
    """Which questions of (questions, trials) values are answerable, and the group of each.

    Returns:
        (questions,) answerable; (answerable,) numbers of groups, by the order of their names.

    Raises:
        DataError: no question is left; a NaN in some trials only; other lengths.
    """
    if values.ndim != 2 or len(values) != len(groups):
        raise DataError(
            f"values of shape {values.shape} with {len(groups)} groups.",
            mend="give (questions, trials) values and a group for each question.",
        )
    absent = np.isnan(values)
    answerable: NDArray[np.bool_] = ~np.asarray(absent.all(axis=1))
    if absent[answerable].any():
        question, trial = np.argwhere(absent & answerable[:, None])[0]
        raise DataError(
            f"trial {trial} has no number for question {question}, others have.",
            mend="a metric must give a number for every answerable question.",
        )
    if not answerable.any():
        raise DataError(
            "no answerable question to take a mean of.", mend="label questions with evidence."
        )
    _, index = np.unique(np.asarray(groups)[answerable], return_inverse=True)
    return answerable, index


def group_sums(values: Reals, groups: Groups) -> GroupSums:
    """Sum (questions, trials) values by group.

    Unanswerable questions, NaN in every trial, are left out, and so are groups that have no
    others. The order of groups is that of their sorted names, so nothing depends on the order
    of questions.

    Raises:
        DataError: as `group_index`.
    """
    answerable, index = group_index(values, groups)
    counts = np.bincount(index)
    order = np.argsort(index, kind="stable")
    first = np.cumsum(counts) - counts
    sums = np.add.reduceat(values[answerable][order], first, axis=0)
    return GroupSums(sums, counts.astype(np.float64))


def design_effect(values: Reals, groups: Groups) -> Reals:
    """(trials,) how much more a mean varies than that of as many independent questions: 1 or
    more, and 1 where nothing varies or every question is a group of its own."""
    answerable, index = group_index(values, groups)
    kept = values[answerable]
    table = group_sums(kept, index)
    count, units = float(table.counts.sum()), len(table)
    if units < 2:
        return np.ones(kept.shape[1])
    rest = table.sums - table.means * table.counts[:, None]
    clustered = (rest**2).sum(axis=0) * units / (units - 1)
    apart = kept.var(axis=0) * count**2 / (count - 1)
    ratio = np.ones(kept.shape[1])
    np.divide(clustered, apart, out=ratio, where=apart > 1e-12)
    return np.maximum(ratio, 1.0)


def intraclass(values: Reals, groups: Groups) -> Reals:
    """(trials,) how far a group's questions go together, from 0 (not at all) on: the intraclass
    correlation that gives the design effect of groups of these sizes. 0 where every question is a
    group of its own.

    Source: Kish, *Survey Sampling* (1965), 5.4 and 11.7: design effect = 1 + ρ (n − 1), with n the
    size of the group of a question drawn at random.
    """
    size = usual_size(group_sums(values[:, :1], groups).counts)
    if size <= 1:
        return np.zeros(values.shape[1])
    return np.asarray((design_effect(values, groups) - 1) / (size - 1))
