"""Bounds of mean shares that hold for all trials at once: what an index surely attains.

For the agreement of an index with exact search (`agreement`). It asks for no label, so every
question is a draw of its own from the load; but questions of one topic lie near each other and
are missed together, and the distance of a bound from the mean is widened by the square root of
the design effect wherever the groups show one (Kish, *Survey Sampling* (1965), 5.4).

That holds while a group's questions go together moderately: tested to an intraclass correlation
of 0.2, five trials at once. Where a few groups lose nearly all (0.5, or 0.8), those that would show
it may be missing from the sample, and a bound of 95 % is too high in some 10, or 30, of 100 sets at
means of 0.95 to 0.97. A bound by groups, as `simultaneous` gives it, was too high in next to none,
but is no more than 0.91 for five trials by 54 groups: it would refuse every index there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mox.evaluation.comparison import Bounds, Families, simultaneous
from mox.evaluation.groups import Groups, design_effect

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Reals = NDArray[np.float64]


def attained(
    shares: Reals,
    groups: Groups,
    *,
    families: Families | None = None,
    seed: int,
    level: float = 0.95,
) -> Bounds:
    """Bounds of each trial's mean share, by `simultaneous`, of what is lost: the share less 1.

    Where all of n shares are 1 the lower bound of one family is 1 − 3/n.

    Args:
        shares: (questions, trials) in [0, 1].
        groups: (questions,) which questions may go together.
        families: as in `simultaneous`.

    Returns:
        `lower`, `low`, `high`: (trials,) in [0, 1].
    """
    found = simultaneous(
        shares - 1, np.arange(len(shares)), families=families, seed=seed, level=level
    )
    means = shares.mean(axis=0)
    wider = np.sqrt(design_effect(shares, groups))

    def widened(bound: Reals) -> Reals:
        return np.asarray(np.clip(means + wider * (bound + 1 - means), 0.0, 1.0))

    return Bounds(widened(found.lower), widened(found.low), widened(found.high))
