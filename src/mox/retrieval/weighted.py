"""Weighted fusion: scores on a common scale, then a convex combination of the two sides.

Let s be a hit's score, l and u the least and the largest of its list for this query, m the
least that the search could ever give (cosine -1, BM25 0). A hit's value is, by `normalise`:

    min-max       (s - l) / (u - l); 1 where all scores are equal
    theoretical   (s - m) / (u - m), 0 where s or u is under m; 0 where u = m
    z-score       (s - mean) / standard deviation (population's); 0 where all scores are equal
    none          s

A candidate that a list lacks gets what would stand right behind the list: 0 with min-max (as
the list's last hit has) and theoretical, the list's least value with z-score and none. A list
without hits for a query adds 0 to every candidate. Lists are normalised query by query, over
their own hits only, so `depth` matters to all but theoretical. Padding is no hit. Equal sums,
as float32, are a tie, which the lower row wins as everywhere.

At the weights 0 and 1 one list alone counts, and what it lacks has one float32 less than its sum:
it stands behind the list, and doesn't tie with its last hit.

Source: Bruch, Gai, Ingber, "An Analysis of Fusion Functions for Hybrid Retrieval",
arXiv:2210.11934 (there TM2C2 is theoretical).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from pydantic import Field

from mox.errors import DataError
from mox.registry import versions
from mox.retrieval import fusions
from mox.retrieval.union import Union, union
from mox.spec import Spec
from mox.types import Hits

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Reals = NDArray[np.float64]

Scale = Literal["min-max", "theoretical", "z-score", "none"]


class Weighted(Spec):
    """A row scores weight · dense + (1 - weight) · lexical, both on a common scale."""

    kind: Literal["weighted"] = "weighted"
    weight: float = Field(0.5, ge=0, le=1)
    """The dense side's share; 0: the lexical order alone, 1: the dense order alone."""
    normalise: Scale = "min-max"
    """The common scale: each list's own range; from the least score that its search could ever
    give to the list's best; standard deviations from its mean; or the scores as they are."""


def _fingerprint(_: Weighted) -> Mapping[str, str]:
    return versions("numpy")


def _needs_least(spec: Weighted) -> bool:
    return spec.normalise == "theoretical"


def many(specs: Sequence[Weighted], lists: Sequence[Hits], /, *, k: int) -> Iterator[Hits]:
    """`fuse` for each of several settings; what they share is made once."""
    if len(lists) != 2:
        raise DataError(
            f"weighted: {len(lists)} lists cannot be weighed against each other.",
            mend="give the dense list and the lexical one, in this order.",
        )
    found = union(lists, name="weighted")
    sides: dict[Scale, tuple[Reals, Reals]] = {}
    for spec in specs:
        if spec.normalise not in sides:
            dense, lexical = (_side(found, lists, at, spec.normalise) for at in (0, 1))
            sides[spec.normalise] = dense, lexical
    yield from found.best_each(_sums(specs, sides, _Behind(found, lists)), k=k)


@fusions.register(Weighted, fingerprint=_fingerprint, many=many, needs_least=_needs_least)
def fuse(spec: Weighted, lists: Sequence[Hits], /, *, k: int) -> Hits:
    """Fuse the dense and the lexical hits and keep the best k.

    Args:
        lists: the dense list, then the lexical one, of the same queries.

    Raises:
        DataError: not two lists; other queries; an infinite score; `theoretical` over a list
            that doesn't know the least score of its search.

    Source: arXiv:2210.11934.
    """
    return next(many([spec], lists, k=k))


def _sums(
    specs: Sequence[Weighted], sides: Mapping[Scale, tuple[Reals, Reals]], behind: _Behind
) -> Iterator[Reals]:
    """(settings, queries, n) combinations, block by block."""
    import numpy as np

    for block in behind.found.blocks(len(specs)):
        here = specs[block]
        sums = np.empty((len(here), *behind.found.rows.shape))
        for at, spec in enumerate(here):
            dense, lexical = sides[spec.normalise]
            np.multiply(dense, spec.weight, out=sums[at])
            sums[at] += (1 - spec.weight) * lexical
            if spec.weight in (0, 1):
                behind(sums[at], side=0 if spec.weight else 1)
        yield sums


@dataclass(frozen=True)
class _Behind:
    """Puts what a list lacks behind all that it holds, where that list alone counts."""

    found: Union
    lists: Sequence[Hits]

    def __call__(self, sums: Reals, *, side: int) -> None:
        """Lower (queries, n) sums of what list number `side` lacks, in place, by the least that
        parts them from an equal one as float32."""
        import numpy as np

        hits = self.lists[side]
        held = self.found.spread(side, hits.ids >= 0, np.zeros(len(hits.ids))) > 0
        below = np.nextafter(sums.astype(np.float32), np.float32(-np.inf))
        np.copyto(sums, below, where=~held)


def _side(found: Union, lists: Sequence[Hits], at: int, scale: Scale) -> Reals:
    """(queries, n) values of one list by candidate."""
    values, absent = normalised(lists[at], scale)
    return found.spread(at, values, absent)


def normalised(hits: Hits, scale: Scale) -> tuple[Reals, Reals]:
    """A list's scores on a common scale, query by query, as the head of this module has it.

    Returns:
        (queries, k) values, 0 where padded; and (queries,) what a candidate gets that the list
        lacks.

    Raises:
        DataError: an infinite score, or no least one where `theoretical` needs it.
    """
    import numpy as np

    some = hits.ids >= 0
    scores = np.where(some, hits.scores, 0.0).astype(np.float64)
    if not np.isfinite(scores).all():
        query = int(np.argwhere(~np.isfinite(scores))[0, 0])
        raise DataError(
            f"weighted: an infinite score has no place on a scale (query {query}).",
            mend="fuse by rank: `fusion: {kind: rrf}`.",
        )
    none = np.zeros(len(scores))
    if not hits.k:
        return scores, none
    found = some.any(axis=1)
    low = np.where(found, np.where(some, scores, np.inf).min(axis=1), 0.0)[:, None]
    high = np.where(found, np.where(some, scores, -np.inf).max(axis=1), 0.0)[:, None]
    if scale == "none":
        return scores, low[:, 0]
    if scale == "min-max":
        return _over(scores - low, high - low, 1.0) * some, none
    if scale == "theoretical":
        least = _least(hits)
        return _over(np.maximum(scores - least, 0.0), high - least, 0.0) * some, none
    count = np.maximum(some.sum(axis=1, keepdims=True), 1)
    away = np.where(some, scores - scores.sum(axis=1, keepdims=True) / count, 0.0)
    deviation = np.sqrt((away * away).sum(axis=1, keepdims=True) / count)
    # The sum of equal float32 scores is exact in float64, and so is their mean: no deviation.
    values = _over(away, deviation, 0.0)
    return values, np.where(some, values, np.inf).min(axis=1, initial=0.0)


def _over(part: Reals, whole: Reals, otherwise: float) -> Reals:
    """part / whole; `otherwise` where the whole is not above 0."""
    import numpy as np

    wide = np.broadcast_to(whole, part.shape)
    filled = np.full(part.shape, otherwise)
    return cast("Reals", np.divide(part, wide, out=filled, where=wide > 0))


def _least(hits: Hits) -> float:
    if hits.least is None:
        raise DataError(
            "weighted: `normalise: theoretical` needs the least score that a search can give, and"
            " a list doesn't know it.",
            mend="use `normalise: min-max`, or register the search's back end with `least`.",
        )
    return hits.least
