"""How much better the best of many trials looks than it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mox.evaluation.groups import Groups
from mox.evaluation.resampling import sample

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Reals = NDArray[np.float64]


def optimism(values: Reals, groups: Groups, *, resamples: int = 2000, seed: int) -> float:
    """About how much the best trial's mean on these questions exceeds its true mean.

    In each resample of groups the best trial is chosen anew; its mean there less its mean on all
    questions, averaged over resamples, estimates what choosing by these questions adds.

    Args:
        values: (questions, trials).

    Returns:
        In the measure's units, 0 or more but for noise; 0 for a single trial, but for noise.

    Source: Efron and Tibshirani, *An Introduction to the Bootstrap* (1993), chapter 17.
    """
    taken = sample(values, groups)
    weights = taken.weights(np.random.default_rng(seed), resamples)
    means = taken.table.resampled(weights)
    best = means.argmax(axis=1)
    return float((means[np.arange(resamples), best] - taken.table.means[best]).mean())
