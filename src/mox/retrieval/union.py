"""Several hit lists of the same queries as one table of candidates: what fusions add up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mox.errors import DataError
from mox.retrieval.hits import best_of
from mox.types import Hits

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Reals = NDArray[np.float64]
    Places = NDArray[np.intp]


BLOCK_CELLS = 400_000
"""Scores that are held at once: a few MB, which stay near the processor."""


@dataclass(frozen=True)
class Union:
    """Each query's candidates: every row that any of its lists holds, once.

    `rows`: (queries, n) int32, ascending, padded with -1 at the end. `places`: of each list,
    (queries, its k) the column of each of its hits, n where it is padded.
    """

    rows: NDArray[np.int32]
    places: tuple[Places, ...]

    def spread(self, at: int, values: NDArray[np.generic], absent: Reals) -> Reals:
        """Values of list number `at`'s hits, by candidate.

        Args:
            values: (queries, k) of its hits, in their order.
            absent: (queries,) what a candidate gets that the list lacks.

        Returns:
            (queries, n) float64; padding gets `absent` too.
        """
        import numpy as np

        n = self.rows.shape[1]
        wide = np.repeat(absent[:, None], n + 1, axis=1)  # the last column takes the padding
        np.put_along_axis(wide, self.places[at], values.astype(np.float64), axis=1)
        return wide[:, :n]

    def blocks(self, settings: int) -> Iterator[slice]:
        """Settings that are worked on together."""
        step = max(1, BLOCK_CELLS // max(self.rows.size, 1))
        for at in range(0, settings, step):
            yield slice(at, min(at + step, settings))

    def best_each(self, sums: Iterable[Reals], *, k: int) -> Iterator[Hits]:
        """The best k candidates by each setting's scores, in the one order of hits.

        Args:
            sums: blocks of (settings, queries, n) scores, which are written over; what padding
                has doesn't count.
        """
        import numpy as np

        for block in sums:
            settings, queries, n = block.shape
            np.copyto(block, -np.inf, where=self.rows < 0)
            rows = np.broadcast_to(self.rows, block.shape).reshape(settings * queries, n)
            found = best_of(rows, block.reshape(rows.shape), k=k)
            ids, kept = (part.reshape(settings, queries, k) for part in (found.ids, found.scores))
            yield from (Hits(ids[at], kept[at]) for at in range(settings))


def union(lists: Sequence[Hits], *, name: str) -> Union:
    """Lay lists side by side.

    Args:
        lists: one or more, of the same queries.
        name: the fusion's, for messages.

    Raises:
        DataError: no list, or lists of different numbers of queries.
    """
    import numpy as np

    sizes = {len(hits.ids) for hits in lists}
    if len(sizes) != 1:
        raise DataError(
            f"{name}: {len(lists)} lists of {sorted(sizes)} queries cannot be fused.",
            mend="fuse lists of the same questions.",
        )
    ids = np.concatenate([hits.ids for hits in lists], axis=1)
    last = np.iinfo(np.int32).max
    padded = np.where(ids < 0, last, ids)
    order = np.argsort(padded, axis=1, kind="stable")
    ordered = np.take_along_axis(padded, order, axis=1)
    first = np.ones(ids.shape, dtype=bool)
    first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    first &= ordered != last
    column = np.cumsum(first, axis=1) - 1
    n = int(first.sum(axis=1).max(initial=0))
    rows = np.full((len(ids), n), -1, dtype=np.int32)
    rows[np.nonzero(first)[0], column[first]] = ordered[first]
    place = np.empty_like(column)
    np.put_along_axis(place, order, np.where(ordered == last, n, column), axis=1)
    ends = np.cumsum([hits.k for hits in lists])
    return Union(rows, tuple(np.split(place, ends[:-1], axis=1)))
