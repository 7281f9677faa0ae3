"""Reciprocal rank fusion: lists are added up by rank, so their scores need no common scale."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from mox.registry import versions
from mox.retrieval import fusions
from mox.retrieval.union import Union, union
from mox.spec import Spec
from mox.types import Hits

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Rrf(Spec):
    """A row scores the sum over the lists of 1 / (k + its rank there), ranks from 1."""

    kind: Literal["rrf"] = "rrf"
    k: int = Field(60, ge=0)
    """How much a low rank still counts; nothing to do with how many hits are kept."""


def _fingerprint(_: Rrf) -> Mapping[str, str]:
    return versions("numpy")


def many(specs: Sequence[Rrf], lists: Sequence[Hits], /, *, k: int) -> Iterator[Hits]:
    """`fuse` for each of several settings; what they share is made once."""
    if not specs:
        return
    found = union(lists, name="rrf")
    yield from found.best_each(_sums(specs, lists, found), k=k)


@fusions.register(Rrf, fingerprint=_fingerprint, many=many)
def fuse(spec: Rrf, lists: Sequence[Hits], /, *, k: int) -> Hits:
    """Fuse the lists' hits and keep the best k; equal sums are a tie.

    Args:
        lists: one or more, of the same queries.

    Raises:
        DataError: no list, or lists of different numbers of queries.

    Source: Cormack, Clarke, Büttcher, SIGIR 2009.
    """
    return next(many([spec], lists, k=k))


def _sums(
    specs: Sequence[Rrf], lists: Sequence[Hits], found: Union
) -> Iterator[NDArray[np.float64]]:
    """(settings, queries, n) sums of shares, block by block."""
    import numpy as np

    deepest = max(hits.k for hits in lists)
    ranks = [
        found.spread(
            at,
            np.broadcast_to(np.arange(1, hits.k + 1), hits.ids.shape),
            np.zeros(len(found.rows)),
        ).astype(np.intp)
        for at, hits in enumerate(lists)
    ]
    for block in found.blocks(len(specs)):
        constants = np.array([spec.k for spec in specs[block]], dtype=np.float64)
        # By rank, from 1 on; 0 stands for a row that the list lacks.
        shares = np.zeros((len(constants), deepest + 1))
        shares[:, 1:] = 1 / (constants[:, None] + np.arange(1, deepest + 1))
        sums = np.zeros((len(constants), *found.rows.shape))
        for at, row in enumerate(shares):
            # One list after the other: a sum doesn't depend on how many are made at once.
            for rank in ranks:
                sums[at] += row[rank]
        yield sums
