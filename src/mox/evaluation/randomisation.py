"""Paired randomisation tests, and Holm's correction where there are several."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mox.evaluation.groups import Groups
from mox.evaluation.resampling import sample

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Reals = NDArray[np.float64]

EXACT = 12
"""Up to so many units all 2^n ways of flipping signs are counted; beyond, a sample of them."""

BLOCK_DRAWS = 1000
"""Draws of signs at a time, so that 2,000 trials take 16 MB and not 160."""


def randomisation_p(differences: Reals, groups: Groups, *, draws: int = 10_000, seed: int) -> float:
    """Two-sided p of a paired randomisation test of one trial; see `randomisation_ps`.

    Args:
        differences: (questions,) one trial's score less another's.
    """
    return float(randomisation_ps(differences[:, None], groups, draws=draws, seed=seed)[0])


def randomisation_ps(
    differences: Reals, groups: Groups, *, draws: int = 10_000, seed: int
) -> Reals:
    """Two-sided p of paired randomisation tests: how often would chance give such a difference?

    If two trials were alike, each group's difference might as well have the other sign (each
    question's, where there are few groups: `resampling`). All 2^n signs are counted up to 12
    units, beyond that `draws` of them and the observed one: p = (draws as far from 0 + 1) /
    (draws + 1), never 0.

    Args:
        differences: (questions, trials).

    Returns:
        (trials,) in (0, 1]; not corrected, see `holm`.

    Source: Smucker, Allan, Carterette, CIKM 2007; there by question, here by group.
    """
    table = sample(differences, groups).table
    count = len(table)
    observed = np.abs(np.asarray(table.sums.sum(axis=0)))
    reached = observed - 1e-9 * np.abs(table.sums).sum(axis=0)
    if count <= EXACT:
        flips = (np.arange(2**count)[:, None] >> np.arange(count)) & 1
        return np.asarray((np.abs((1.0 - 2 * flips) @ table.sums) >= reached).mean(axis=0))
    rng = np.random.default_rng(seed)
    as_far = np.ones(len(observed))
    for start in range(0, draws, BLOCK_DRAWS):
        size = (min(BLOCK_DRAWS, draws - start), count)
        signs = 1.0 - 2.0 * rng.integers(0, 2, size=size)
        as_far += (np.abs(signs @ table.sums) >= reached).sum(axis=0)
    return as_far / (draws + 1)


def holm(pvalues: Reals) -> Reals:
    """P-values corrected for being several: reject those up to 5 %, and in 95 % of such families
    none is rejected wrongly.

    Args:
        pvalues: (tests,), or (families, tests), each family corrected by itself.

    Returns:
        Of the same shape and order; never under the plain ones.

    Source: Holm, Scandinavian Journal of Statistics 6 (1979).
    """
    order = np.argsort(pvalues, axis=-1, kind="stable")
    left = pvalues.shape[-1] - np.arange(pvalues.shape[-1])
    stepped = np.maximum.accumulate(np.take_along_axis(pvalues, order, -1) * left, axis=-1)
    corrected = np.empty_like(stepped)
    np.put_along_axis(corrected, order, np.minimum(stepped, 1.0), -1)
    return corrected
