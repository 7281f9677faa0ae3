"""What a question set can show: margins, differences, and how many questions would show more."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from mox.errors import SpecError
from mox.evaluation.groups import Groups, GroupSums
from mox.evaluation.intervals import unseen_share
from mox.evaluation.resampling import Sample, sample

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Reals = NDArray[np.float64]

POWER = 0.8
"""How surely a difference is to be found that is called detectable; the usual figure."""

DETECTED = NormalDist().inv_cdf(0.975) + NormalDist().inv_cdf(POWER)
"""Standard errors between 0 and a difference that a two-sided test at 5 % finds so surely: 2.80."""


def smallest_margin(groups: float, families: int = 1) -> float:
    """The smallest `within` that so many groups can show, at zero differences.

    Args:
        groups: of unequal size count as `GroupSums.effective` of them.
        families: of trials that are compared at once (`simultaneous`).

    Returns:
        1 − (1 − 0.95^(1/families))^(1/groups): some 3/groups for one family, 5/groups for nine.
    """
    return unseen_share(groups, 1 - 0.95 ** (1 / families)) if groups > 0 else 1.0


def questions_needed(
    differences: Reals, groups: Groups, *, margin: float, families: int = 1
) -> int | None:
    """About how many questions would show that a trial is within a margin of the best.

    Supposes that further groups are like these: as large, with this mean and this spread.

    Args:
        differences: (questions,) the trial's score less the best's.
        margin: in the measure's own units.
        families: of trials that are compared at once (`simultaneous`).

    Returns:
        A number of questions; None where the observed loss isn't within the margin anyway, or
        where one question tells nothing of the spread.

    Raises:
        SpecError: a margin that isn't between 0 and 1.
    """
    if not 0 < margin < 1:
        raise SpecError(f"a margin of {margin}.", mend="give one between 0 and 1.")
    mean, spread, table = _spread(differences, groups)
    slack = margin + mean
    if slack <= 0 or (len(table) < 2 and mean):
        return None
    level = 0.95 ** (1 / families)
    by_spread = (NormalDist().inv_cdf(level) * spread / slack) ** 2
    unseen = math.log(1 - level) / math.log(1 - margin)
    # The second counts groups of one size; of unequal ones it takes more to tell as much.
    size, as_one_size = float(table.counts.mean()), float(table.counts.sum()) / table.effective
    return math.ceil(max(by_spread * size, unseen * as_one_size))


def questions_to_separate(differences: Reals, groups: Groups) -> int | None:
    """About how many questions would tell two trials apart, if the difference is as observed.

    In 80 % of such sets a two-sided test at 5 % would find it; further groups as in
    `questions_needed`.

    Args:
        differences: (questions,) one trial's score less the other's.

    Returns:
        A number of questions; None where no difference was observed.
    """
    mean, spread, table = _spread(differences, groups)
    return (
        math.ceil((DETECTED * spread / mean) ** 2 * table.counts.mean())
        if abs(mean) > 1e-12
        else None
    )


def smallest_difference(differences: Reals, groups: Groups) -> float:
    """The smallest difference between two trials that these questions find in 80 % of cases.

    By the spread of the observed differences, of the median trial, at 5 % two-sided; one
    comparison, not corrected for several.

    Args:
        differences: (questions, trials) scores less another trial's. Those without a spread
            tell nothing of it and are left out.

    Returns:
        In the measure's units; at least what unseen losses leave room for (`smallest_margin`).
    """
    spread, taken = _spreads(differences, groups)
    told = spread[spread > 0] / math.sqrt(len(taken))
    found = DETECTED * float(np.median(told)) if len(told) else 0.0
    return min(1.0, max(found, smallest_margin(taken.table.effective)))


def _spreads(differences: Reals, groups: Groups) -> tuple[Reals, Sample]:
    """(trials,) standard deviations between units, and the units."""
    taken = sample(differences, groups)
    table = taken.table
    rest = table.sums - table.means * table.counts[:, None]
    variance = (rest**2).sum(axis=0) / max(len(taken) - 1, 1)
    return np.sqrt(variance) / table.counts.mean(), taken


def _spread(differences: Reals, groups: Groups) -> tuple[float, float, GroupSums]:
    """Mean, standard deviation between units, and the units."""
    spread, taken = _spreads(differences[:, None], groups)
    return float(taken.table.means[0]), float(spread[0]), taken.table
