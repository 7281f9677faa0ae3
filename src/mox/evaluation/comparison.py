"""Comparing trials on the same questions: simultaneous bounds that hold for all of them at once.

Differences are paired by question and resampled by group. Losses are often rare (two trials that
share most hits differ on a few questions), and a plain bootstrap can't resample a loss that it
hasn't seen. So a bound is taken from the sample with one group more, in which the trial loses
(for an upper bound: wins) everything, under Dirichlet weights, as in `intervals`. For a single
trial of 0/1 scores that is Clopper and Pearson's bound. Where groups differ in size, what was not
seen weighs as in as many groups of one size as tell as much (`GroupSums.effective`): a large group
may be what is missing.

For many trials the bound is max-t's, balanced: each trial's draws are brought to normal scores by
its own mean, spread and skewness, the largest of all trials' scores is noted in each draw, and
its 95 % quantile is brought back to each trial's scale. Without the skewness a trial whose losses
are rare, a long tail, would decide for all others. The groups that were seen are resampled for
all trials together, which keeps what they share; the group that was not seen is drawn for each
family of trials apart, since what nobody has seen needn't befall all at once.

Sources: Beran, JASA 83 (1988), balanced simultaneous sets; Romano and Wolf, Econometrica 73
(2005); Gaffke (2005) for the added group; Wilson and Hilferty, PNAS 17 (1931), for the scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mox.evaluation.groups import Groups, GroupSums
from mox.evaluation.resampling import sample

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Reals = NDArray[np.float64]

NO_SPREAD = 1e-24
"""A variance of means below this is rounding."""

LEAST_SKEW = 1e-4
"""A skewness below this is none."""

Families = Sequence[str] | Sequence[int] | np.ndarray


@dataclass(frozen=True)
class Bounds:
    """Bounds of differences that hold for all trials at once, each with the asked probability.

    `lower`: (trials,) one-sided, for a margin. `low`, `high`: (trials,) two-sided: whose contain
    0 can't be told apart. All within [-1, 1]; (sets, trials) where differences were of sets.
    """

    lower: Reals
    low: Reals
    high: Reals


def simultaneous(
    differences: Reals,
    groups: Groups,
    *,
    families: Families | None = None,
    resamples: int = 2000,
    seed: int,
    level: float = 0.95,
) -> Bounds:
    """Bounds that hold for all trials at once with probability `level`.

    Where all differences of F families are zero the lower bound is some −ln(F/0.05)/groups: a
    loss that no group shows may still befall so many. Groups of unequal size count as
    `GroupSums.effective` of them.

    Args:
        differences: (questions, trials) a trial's score less the best's, within [-1, 1]; or
            (questions, sets, trials), where a bound holds within its set: for simulations.
        groups: (questions,) the unit of resampling.
        families: (trials,) which trials search the same things, so that what befalls one unseen
            befalls all of its family; each is its own where None.
    """
    draws = _Draws(differences, groups, families, resamples, seed)
    table = draws.differences
    law, scores = draws.lower(table)
    mirrored, turned = draws.lower(GroupSums(-table.sums, table.counts))
    one, other = scores.max(axis=-1), turned.max(axis=-1)
    reach = np.quantile(one, level, axis=0)[..., None]
    furthest = np.quantile(np.maximum(one, other), level, axis=0)[..., None]
    return Bounds(
        lower=np.maximum(law.at(reach), -1.0),
        low=np.maximum(law.at(furthest), -1.0),
        high=np.minimum(-mirrored.at(furthest), 1.0),
    )


@dataclass(frozen=True)
class _Law:
    """What a mean is distributed as, by trial: mean, standard deviation, and the skewness of
    its negative (losses are the long tail). Pearson's type III, by Wilson and Hilferty's scores.
    """

    mean: Reals
    spread: Reals
    skew: Reals

    def scores(self, means: Reals) -> Reals:
        """Normal scores of (…, trials) means, high where a mean is low; 0 without spread."""
        with np.errstate(divide="ignore", invalid="ignore"):
            units = (self.mean - means) / self.spread
            root = np.cbrt(np.maximum(self.skew * units / 2 + 1, 0))
            bent = 6 / self.skew * (root - 1) + self.skew / 6
        straight = np.abs(self.skew) < LEAST_SKEW
        return np.where(self.spread > 0, np.where(straight, units, bent), 0.0)

    def at(self, score: Reals) -> Reals:
        """The mean at a normal score: `scores` turned round."""
        skew = np.where(np.abs(self.skew) < LEAST_SKEW, LEAST_SKEW, self.skew)
        units = 2 / skew * (((score - skew / 6) * skew / 6 + 1) ** 3 - 1)
        return self.mean - self.spread * units


class _Draws:
    """Draws of the groups that were seen, shared by all trials, and of what was not seen."""

    def __init__(
        self,
        differences: Reals,
        groups: Groups,
        families: Families | None,
        resamples: int,
        seed: int,
    ) -> None:
        self._shape = differences.shape[1:]
        self._sample = sample(differences.reshape(len(differences), -1), groups)
        self.differences = self._sample.table
        rng = np.random.default_rng(seed)
        weights = self._sample.weights(rng, resamples)
        self._weights = weights / (weights @ self.differences.counts)[:, None]
        names = np.arange(self._shape[-1]) if families is None else np.asarray(families)
        _, self._family = np.unique(names, return_inverse=True)
        self._rng = rng

    def lower(self, table: GroupSums) -> tuple[_Law, Reals]:
        """The law of each trial's mean with one unit more at −1, and (draws, …) scores of it.

        Of weights from Dirichlet's distribution the last is independent of the others' shares:
        the mean, plus one, is (share of what was seen) · (mean of what was seen, plus one).
        What was not seen is drawn anew with each call: wins and losses needn't come together.
        """
        seen = (self._weights @ table.sums).reshape(-1, *self._shape)
        count = int(self._family.max()) + 1
        shares = self._rng.random((len(seen), *self._shape[:-1], count)) ** (1 / table.effective)
        means = shares[..., self._family] * (seen + 1) - 1
        law = self._law(table, seen)
        return law, law.scores(means)

    def _law(self, table: GroupSums, seen: Reals) -> _Law:
        units = table.effective
        if self._sample.nested is None:
            mean, variance, third = (part.reshape(self._shape) for part in _moments(table))
        else:
            mean = table.means.reshape(self._shape)
            variance = seen.var(axis=0)
            third = ((seen - seen.mean(axis=0)) ** 3).mean(axis=0)
        first = mean + 1
        raw = (first, variance + first**2, third + 3 * first * variance + first**3)
        one, two, three = (part * units / (units + k) for k, part in enumerate(raw, start=1))
        spread2 = two - one**2
        spread2 = np.where(spread2 > NO_SPREAD, spread2, 0.0)
        third = three - 3 * one * two + 2 * one**3
        skew = np.zeros_like(spread2)
        np.divide(-third, spread2**1.5, out=skew, where=spread2 > 0)
        return _Law(one - 1, np.sqrt(spread2), skew)


def _moments(table: GroupSums) -> tuple[Reals, Reals, Reals]:
    """Mean, variance and third central moment of (trials,) means under Dirichlet weights.

    Linearised where groups differ in size: a group's part is what it adds to the mean.
    """
    units, mean = len(table), table.means
    part = (table.sums - mean * table.counts[:, None]) / table.counts.mean()
    variance = (part**2).sum(axis=0) / (units * (units + 1))
    third = 2 * (part**3).sum(axis=0) / (units * (units + 1) * (units + 2))
    return mean, variance, third
