"""Paired randomisation tests, and Holm's correction where there are several."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from mox.evaluation.groups import Groups
from mox.evaluation.intervals import mean_intervals
from mox.evaluation.resampling import sample

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Reals = NDArray[np.float64]

EXACT = 12
"""Up to so many units all 2^n ways of flipping signs are counted; beyond, a sample of them."""

BLOCK_DRAWS = 1000
"""Draws of signs at a time, so that 2,000 trials take 16 MB and not 160."""


TOLD = 20
"""So many draws that reach a difference tell its p to a quarter or so."""

DRAWS_PER_TEST = 40
"""Draws for each of several tests: a correction takes p times their number, and of fewer than 20
draws each no p, however small, would be under 5 % after it."""


def randomisation_p(differences: Reals, groups: Groups, *, draws: int = 10_000, seed: int) -> float:
    """Two-sided p of a paired randomisation test of one trial; see `randomisation_ps`.

    Args:
        differences: (questions,) one trial's score less another's.
    """
    return float(randomisation_ps(differences[:, None], groups, draws=draws, seed=seed)[0])


def randomisation_ps(
    differences: Reals,
    groups: Groups,
    *,
    draws: int = 10_000,
    at_most: int | None = None,
    seed: int,
) -> Reals:
    """Two-sided p of paired randomisation tests: how often would chance give such a difference?

    If two trials were alike, each group's difference might as well have the other sign (each
    question's, where there are few groups: `resampling`). All 2^n signs are counted up to 12
    units, beyond that `draws` of them and the observed one: p = (draws as far from 0 + 1) /
    (draws + 1), never 0.

    What is tested is that wins and losses are of like form. Of many small gains and rare large
    losses that come to 0 in the mean, few questions show none of the losses, and p is too small:
    what it calls different should have an interval without 0 too (`may_be_best`).

    Args:
        differences: (questions, trials).
        at_most: draws for the trials that fewer than `TOLD` of the first `draws` reach, where p
            is to be small enough for a correction; the others' p, of more than `TOLD`/`draws`, is
            told well enough. Stopping there keeps p valid: what goes on is under that p anyway.

    Returns:
        (trials,) in (0, 1]; not corrected, see `holm`.

    Source: Smucker, Allan, Carterette, CIKM 2007; there by question, here by group. Going on only
    where few draws reach: Besag and Clifford, Biometrika 78 (1991). What no draw is needed for:
    Hoeffding, JASA 58 (1963).
    """
    table = sample(differences, groups).table
    count = len(table)
    observed = np.abs(np.asarray(table.sums.sum(axis=0)))
    reached = observed - 1e-9 * np.abs(table.sums).sum(axis=0)
    if count <= EXACT:
        flips = (np.arange(2**count)[:, None] >> np.arange(count)) & 1
        return np.asarray((np.abs((1.0 - 2 * flips) @ table.sums) >= reached).mean(axis=0))
    rng = np.random.default_rng(seed)
    as_far = _as_far(rng, table.sums, reached, draws)
    found = (as_far + 1) / (draws + 1)
    if at_most is None or at_most <= draws:
        return np.asarray(found)
    # P(|Σ ±d| ≥ t) ≤ 2 exp(−t²/(2 Σ d²)): where that is under what `at_most` draws can show, none
    # is drawn.
    least = 2 * math.log(2 * (at_most + 1)) * (table.sums**2).sum(axis=0)
    shown = (as_far == 0) & (observed**2 >= least)
    found[shown] = 1 / (at_most + 1)
    rare = (as_far < TOLD) & ~shown
    if rare.any():
        as_far[rare] += _as_far(rng, table.sums[:, rare], reached[rare], at_most - draws)
        found[rare] = (as_far[rare] + 1) / (at_most + 1)
    return np.asarray(found)


def may_be_best(
    differences: Reals,
    groups: Groups,
    *,
    draws: int = 10_000,
    seed: int,
    bounds: tuple[float, float] = (-1.0, 1.0),
) -> NDArray[np.bool_]:
    """Which trials may be the truly best one, by their differences to the one that is best here.

    A trial is out where its randomisation test against the best here has p ≤ 5 % after
    Bonferroni's correction for all other trials, and its interval leaves 0 out. So whichever is
    truly best is out in at most 5 % of question sets, although the best here was picked by the
    same questions: it is one of those others. Trials that score alike throughout count once.

    Args:
        differences: (questions, trials) a trial's score less the best's here, the best left out.
        bounds: between which every difference lies.

    Returns:
        (trials,) True for those that can't be told apart from the best.

    Source: a set of those that may be the best, by inverting a test of each: Hsu, Annals of
    Statistics 12 (1984); there with normal scores.
    """
    others = max(1, len(np.unique(differences[:, differences.any(axis=0)], axis=1).T))
    plain = randomisation_ps(
        differences, groups, draws=draws, at_most=max(draws, DRAWS_PER_TEST * others), seed=seed
    )
    found = np.asarray(plain * others > 0.05)
    out = np.flatnonzero(~found)
    if len(out):
        low, high = mean_intervals(differences[:, out], groups, seed=seed, bounds=bounds)
        found[out] = ~((low > 0) | (high < 0))
    return found


def _as_far(rng: np.random.Generator, sums: Reals, reached: Reals, draws: int) -> Reals:
    """(trials,) how many draws of signs bring (units, trials) sums as far from 0 as `reached`."""
    found = np.zeros(len(reached))
    for start in range(0, draws, BLOCK_DRAWS):
        size = (min(BLOCK_DRAWS, draws - start), len(sums))
        signs = 1.0 - 2.0 * rng.integers(0, 2, size=size)
        found += (np.abs(signs @ sums) >= reached).sum(axis=0)
    return found


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
