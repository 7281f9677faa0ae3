"""Whether two stores answer alike: on the same vectors and questions, by id and by recall.

"Not told apart" is no proof: with few questions nothing is told apart. So likeness is claimed
only where the whole interval of the paired difference lies within a margin that is stated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mox.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mox.types import Floats, Hits, Ints

MARGIN = 0.02
"""Difference in mean recall that still counts as alike: what two builds of one graph differ by."""
TIED = 1e-5
"""Difference of cosines that float32 engines don't tell; by it equal rows may change places."""


@dataclass(frozen=True)
class Alike:
    """Two stores' answers beside each other, and beside exact search."""

    questions: int
    k: int
    recall: tuple[float, float]
    """Of each against exact search, by id or by an equal cosine."""
    overlap: float
    """Mean share of the one's hits that the other has."""
    difference: tuple[float, float, float]
    """Of their recalls, second minus first: mean and 95 % interval over questions, paired."""
    same: float
    """Share of questions that both answer id for id, but for rows of equal cosine."""
    margin: float

    @property
    def equivalent(self) -> bool:
        """Whether they surely differ by no more than the margin."""
        return -self.margin <= self.difference[1] and self.difference[2] <= self.margin

    def document(self) -> dict[str, Any]:
        mean, low, high = self.difference
        return {
            "questions": self.questions,
            "k": self.k,
            "recall": list(self.recall),
            "overlap": self.overlap,
            "difference": {"mean": mean, "low": low, "high": high},
            "same": self.same,
            "margin": self.margin,
            "equivalent": self.equivalent,
        }


def alike(
    vectors: Floats,
    queries: Floats,
    found: tuple[Hits, Hits],
    truth: Hits,
    *,
    groups: Sequence[str] | None = None,
    margin: float = MARGIN,
    seed: int = 0,
) -> Alike:
    """Compare what two stores found of the same vectors.

    Args:
        vectors: (rows, dims) what both hold.
        queries: (queries, dims).
        found: hits of both, (queries, k).
        truth: (queries, k) hits of exact search.
        groups: (queries,) the unit of resampling; each question its own where None.

    Raises:
        DataError: no questions, or of other shapes.
    """
    import numpy as np

    from mox.evaluation.agreement import recall_of_exact
    from mox.evaluation.intervals import mean_intervals

    if not len(queries):
        raise DataError("no questions to compare two stores by.", mend="ask one at least.")
    one, other = (
        recall_of_exact(hits, truth, k=truth.k, vectors=vectors, queries=queries) for hits in found
    )
    gap = other - one
    units = list(groups) if groups is not None else [str(at) for at in range(len(gap))]
    low, high = mean_intervals(gap[:, None], units, seed=seed, bounds=(-1.0, 1.0))
    ids = found[0].ids, found[1].ids
    ours, theirs = (_cosines(vectors, queries, part) for part in ids)
    same = ((ids[0] == ids[1]) | (np.abs(ours - theirs) <= TIED)).all(axis=1)
    return Alike(
        len(queries),
        truth.k,
        (float(one.mean()), float(other.mean())),
        float(_shared(*ids).mean()),
        (float(gap.mean()), float(low[0]), float(high[0])),
        float(same.mean()),
        margin,
    )


def _cosines(vectors: Floats, queries: Floats, ids: Ints) -> NDArray[np.float64]:
    """(queries, k) cosines of the hits; of padding, NaN."""
    import numpy as np

    wide = np.einsum("qkd,qd->qk", vectors[ids], queries, dtype=np.float64)
    return np.where(ids >= 0, wide, np.nan)


def _shared(first: Ints, second: Ints) -> NDArray[np.float64]:
    """(queries,) share of the first's hits that the second has."""
    import numpy as np

    both = (first[:, :, None] == second[:, None, :]) & (first >= 0)[:, :, None]
    counts = np.maximum(1, (first >= 0).sum(axis=1))
    return np.asarray(both.any(axis=2).sum(axis=1) / counts, dtype=np.float64)
