"""Local intrinsic dimension: how fast neighbours get more numerous as one looks further.

What makes a nearest-neighbour search hard is less how many numbers a vector has than how many
ways there are to go from it. Data that are made up are told from real ones by this first, so
what Mox adds to a corpus is held to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mox.errors import DataError
from mox.indexes.exact import nearest
from mox.indexes.vectors import directed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mox.types import Floats

    Wide = NDArray[np.float64]

NEIGHBOURS = 100
"""Neighbours that an estimate looks at; the standard error of one is its tenth."""
QUARTILES = (0.25, 0.5, 0.75)
EQUAL = 1e-3
"""Distance under which two unit vectors are copies: float32 tells none smaller."""
COPIES = 28
"""Copies of a row that are looked past; a row that has more has no estimate."""


def dimensions(distances: Wide) -> Wide:
    """Maximum likelihood estimate of the local intrinsic dimension at each point.

    Args:
        distances: (points, k) to the k nearest others, ascending, none 0.

    Returns:
        (points,) above 0; infinite where all k are equally far. Over a uniform set of dimension
        d the harmonic mean of estimates is d without bias, their mean d·(k − 1)/(k − 2).

    Source: Levina and Bickel 2004, equation 8: the inverse of the mean over j < k of
    log(T_k / T_j); Amsaleg et al. 2015 derive the same from extreme values, and divide by k.
    """
    import numpy as np

    last = distances[:, -1:]
    logs = np.log(last / distances[:, :-1]).mean(axis=1)
    with np.errstate(divide="ignore"):
        return np.asarray(1.0 / logs, dtype=np.float64)


def distances_to(
    vectors: Floats, points: Floats, k: int = NEIGHBOURS, *, copies: int = COPIES
) -> Wide:
    """Euclidean distances of points to their nearest vectors that are no copies of them.

    Args:
        vectors: (rows, dims) of length 1.
        points: (points, dims) of length 1; those that stand among the vectors may be given.
        copies: vectors nearer than `EQUAL` that are looked past, the point's own row included.

    Returns:
        (points kept, k) ascending; a point with more copies than that is left out.

    Raises:
        DataError: fewer vectors than k and the copies.
    """
    import numpy as np

    asked = k + copies
    if len(vectors) < asked:
        raise DataError(
            f"{len(vectors)} vectors are too few to look at {k} neighbours of each.",
            mend=f"give {asked} or more.",
        )
    scores = nearest(vectors, points, asked)[1].astype(np.float64)
    found = np.sqrt(np.maximum(0.0, 2.0 - 2.0 * scores))
    near = (found < EQUAL).sum(axis=1)
    kept = near <= copies
    columns = near[kept, None] + np.arange(k)
    return np.take_along_axis(found[kept], columns, axis=1)


def sampled(vectors: Floats, rows: NDArray[np.intp], *, most: int = 1_000, seed: int = 0) -> Floats:
    """At most so many of the named rows that have a direction, drawn without repeats."""
    import numpy as np

    able = rows[directed(vectors[rows])]
    if len(able) > most:
        able = np.sort(np.random.default_rng(seed).choice(able, most, replace=False))
    return vectors[able]


def quartiles(values: Wide) -> tuple[float, float, float]:
    """The three quartiles of some estimates.

    Raises:
        DataError: there are none.
    """
    import numpy as np

    if not len(values):
        raise DataError(
            "no row has neighbours that are no copies of it.",
            mend="leave copies of a text out of the corpus.",
        )
    low, middle, high = np.quantile(values, QUARTILES).tolist()
    return low, middle, high
