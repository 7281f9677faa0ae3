"""Reciprocal rank fusion: lists are added up by rank, so their scores need no common scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import Field

from mox.errors import DataError
from mox.registry import versions
from mox.retrieval import fusions
from mox.retrieval.hits import ranked
from mox.spec import Spec
from mox.types import Hits


class Rrf(Spec):
    """A row scores the sum over the lists of 1 / (k + its rank there), ranks from 1."""

    kind: Literal["rrf"] = "rrf"
    k: int = Field(60, ge=0)
    """How much a low rank still counts; nothing to do with how many hits are kept."""


def _fingerprint(_: Rrf) -> Mapping[str, str]:
    return versions("numpy")


@fusions.register(Rrf, fingerprint=_fingerprint)
def fuse(spec: Rrf, lists: Sequence[Hits], /, *, k: int) -> Hits:
    """Fuse the lists' hits and keep the best k; equal sums are a tie.

    Args:
        lists: one or more, of the same queries.

    Raises:
        DataError: no list, or lists of different numbers of queries.

    Source: Cormack, Clarke, Büttcher, SIGIR 2009.
    """
    import numpy as np

    sizes = {len(hits.ids) for hits in lists}
    if len(sizes) != 1:
        raise DataError(
            f"rrf: {len(lists)} lists of {sorted(sizes)} queries cannot be fused.",
            mend="fuse lists of the same questions.",
        )
    ids = np.concatenate([hits.ids for hits in lists], axis=1)
    shares = np.concatenate([1 / (spec.k + np.arange(1, hits.k + 1)) for hits in lists])
    # A stable sort brings each row's shares together, query by query.
    order = np.argsort(ids, axis=1, kind="stable")
    ids = np.take_along_axis(ids, order, axis=1)
    shares = shares[order]
    first = np.ones(ids.shape, dtype=bool)
    first[:, 1:] = ids[:, 1:] != ids[:, :-1]
    rows = np.full(ids.shape, -1)
    sums = np.zeros(ids.shape)
    if ids.size:
        rows[first] = ids[first]
        sums[first] = np.add.reduceat(shares.ravel(), np.flatnonzero(first))
    return ranked(rows, sums, k=k)
