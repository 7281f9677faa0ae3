"""Intervals of means, by resampling groups.

`interval_methods` says which method a mean gets:

- `wilson`, where the sample tells its own spread: Wilson's score interval, the spread estimated
  by leaving groups out (the jackknife), which gives an effective number of questions, and t's
  quantile for as many groups. Tried beside it: the percentile bootstrap, BCa
  and the bootstrap-t. At 100 groups and means of 0.9 to 0.95 of clustered or graded scores these
  cover 91 to 98 %, this one 93 to 97 %; and it needs no seed.
- `bounded`, where the mean lies near a bound, or hardly a group departs far from the commonest
  value (many small gains say nothing of rare large losses), or the questions lie in a few large
  groups and go together in them: the values that matter may be missing from the sample. One group
  more is put at the bound itself, and all weighed by Dirichlet's distribution. It covers 95 % or
  more, at the price of width; for 0/1 values it is Clopper and Pearson's interval.
- `rare`, where nothing but far values is missing, and questions hardly go together within groups:
  as `bounded`, with one question more at the bound instead of a whole group.
- `exact`, where all groups are equal: what n groups don't show befalls less than a share of
  1 − 0.025^(1/n) (some 3.7/n). It is the limit of `bounded`, so no interval has zero width.
- `two-stage`, under 20 groups: percentiles of a bootstrap of groups and then of questions within
  them; near a bound, or where all are equal, the two above, with the question as the unit. It
  holds for these documents only (`resampling.scope`).

Groups of unequal size count as so many of one size as tell as much (`GroupSums.effective`), and
the group more is as large as the one that a question drawn at random belongs to.

A single question gives no interval at all (`none`, NaN).

Sources: Wilson, JASA 22 (1927); the effective sample size: Kott and Carr, *Journal of Official
Statistics* 13 (1997), compared with others by Franco, Little, Louis and Slud, *Journal of Survey
Statistics and Methodology* 7 (2019). `bounded`: Gaffke, *Three test statistics for a
nonparametric one-sided hypothesis on the mean of a nonnegative variable* (2005); Learned-Miller
and Thomas, arXiv:1905.06208.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from mox.errors import DataError
from mox.evaluation.groups import Groups, GroupSums, group_index, intraclass, usual_size
from mox.evaluation.resampling import FEW, Sample, sample

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Reals = NDArray[np.float64]
    Pair = tuple[Reals, Reals]

INSIDE = (0.02, 0.98)
"""Where between its bounds, as a share, the mean of 100 groups or more gets Wilson's interval."""

WELL_INSIDE = (0.25, 0.75)
"""The same under 100 groups."""

ENOUGH, EFFECTIVE = 100, 60
"""So many groups tell their spread nearer the bounds too, if as many of one size tell as much."""

APART, HITS_APART = 8, 5
"""How many groups must differ from the median for Wilson's interval: of scores between, by `FAR`
or more, and of scores that are 0 or 1, whose spread follows from their mean. Groups of unequal
size must tell as much as the latter number of one size, whatever their scores."""

FAR = 0.1
"""As a share of what lies between the bounds: what is nearer to the median tells nothing of values
that are far off and may not have been seen. At 0.05 gains of 0.1 beside rare losses of 1 have
intervals that cover 81 % at 30 groups."""

SOME, LOOSE = 10, 0.15
"""Where unequal groups tell as much as `SOME` of one size or more, but as fewer than `FEW` or than
half of their number, Wilson's interval is for scores whose questions hardly go together
(`intraclass`): a large group that wasn't seen is then like those that were. So too what is far off
and wasn't seen is then a question and no group."""

EQUAL = 1e-9


def mean_intervals(
    values: Reals,
    groups: Groups,
    *,
    resamples: int = 2000,
    seed: int,
    level: float = 0.95,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> Pair:
    """Intervals of each trial's mean over questions.

    Args:
        values: (questions, trials); NaN in a whole row leaves the question out.
        groups: (questions,) the unit of resampling.
        resamples: draws of the methods that draw: all but `wilson` and `exact`.
        bounds: between which every value lies; (-1, 1) for differences of scores.

    Returns:
        low, high: (trials,) within `bounds`; NaN where there is one question only.

    Raises:
        DataError: values outside their bounds, or none.
    """
    taken = _unit_sample(values, groups, bounds)
    low, high = np.full((2, values.shape[1]), np.nan)
    methods = np.array(_methods(taken, *_spread(taken, values, groups, bounds)))
    for method, interval in _INTERVALS.items():
        here = methods == method
        if here.any():
            part = Sample(GroupSums(taken.table.sums[:, here], taken.table.counts), taken.nested)
            # A generator anew, so that no trial moves another's interval.
            draws = (np.random.default_rng(seed), resamples)
            low[here], high[here] = interval(part, (1 - level) / 2, *draws)
    span = bounds[1] - bounds[0]
    return bounds[0] + span * low, bounds[0] + span * high


def interval_methods(
    values: Reals, groups: Groups, *, bounds: tuple[float, float] = (0.0, 1.0)
) -> tuple[str, ...]:
    """Which method `mean_intervals` takes for each trial: the label beside the interval.

    Returns:
        (trials,) of `wilson`, `two-stage`, `bounded`, `rare`, `exact` and `none`.
    """
    taken = _unit_sample(values, groups, bounds)
    return _methods(taken, *_spread(taken, values, groups, bounds))


def _unit_sample(values: Reals, groups: Groups, bounds: tuple[float, float]) -> Sample:
    """The values moved from their bounds to 0 and 1, by unit of resampling."""
    taken = sample(values, groups)
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if low < bounds[0] - EQUAL or high > bounds[1] + EQUAL:
        raise DataError(
            f"values from {low:g} to {high:g} outside their bounds {bounds}.",
            mend="scores lie between 0 and 1, their differences between -1 and 1.",
        )
    table, span = taken.table, bounds[1] - bounds[0]
    sums = (table.sums - bounds[0] * table.counts[:, None]) / span
    return Sample(GroupSums(sums, table.counts), taken.nested)


def _spread(taken: Sample, values: Reals, groups: Groups, bounds: tuple[float, float]) -> Pair:
    """(trials,) units with a question that is far from the trial's median; how far the questions
    of a group go together."""
    answerable, index = group_index(values, groups)
    kept = values[answerable]
    far = np.abs(kept - np.median(kept, axis=0)) >= FAR * (bounds[1] - bounds[0]) - EQUAL
    if taken.nested is None:
        order = np.argsort(index, kind="stable")
        first = np.searchsorted(index[order], np.arange(len(taken)))
        far = np.logical_or.reduceat(far[order], first, axis=0)
    return far.sum(axis=0), intraclass(values, groups)


def _methods(taken: Sample, far: Reals, together: Reals) -> tuple[str, ...]:
    table, units = taken.table, len(taken)
    if units < 2:
        return ("none",) * len(table.means)
    means = table.sums / table.counts[:, None]
    apart = (np.abs(means - np.median(means, axis=0)) > EQUAL).sum(axis=0)
    as_many = apart * (table.effective / units)
    hits = (np.minimum(np.abs(means), np.abs(means - 1)) < EQUAL).all(axis=0)
    inside = INSIDE if units >= ENOUGH and table.effective >= EFFECTIVE else WELL_INSIDE
    well = (
        (apart >= APART)
        & (as_many >= HITS_APART)
        & (table.means >= inside[0])
        & (table.means <= inside[1])
    )
    plain = "wilson" if taken.nested is None else "two-stage"
    even = table.effective >= min(EFFECTIVE, max(FEW, units / 2))
    loose = (table.effective >= SOME) & (together <= LOOSE)
    enough = loose | (plain == "two-stage" or even)
    told = enough & np.where(hits, as_many >= HITS_APART, well & (far >= APART))
    by_question = enough & well & (together <= LOOSE) & (plain == "wilson")
    named = np.where(told, plain, np.where(by_question, "rare", "bounded"))
    return tuple(str(name) for name in np.where(apart == 0, "exact", named))


def _wilson(taken: Sample, alpha: float, _: np.random.Generator, __: int) -> Pair:
    """Wilson's interval at the effective number of questions."""
    table, units = taken.table, len(taken)
    means, counts = table.means, table.counts[:, None]
    without = (table.sums.sum(axis=0) - table.sums) / (counts.sum() - counts)
    variance = ((without - without.mean(axis=0)) ** 2).sum(axis=0) * (units - 1) / units
    return _score_interval(means, variance, student(1 - alpha, table.effective - 1))


def _score_interval(means: Reals, variance: Reals, quantile: float) -> Pair:
    """Where (mean − x)² ≤ quantile² · x(1 − x)/n, with n such that the variance is mean's."""
    by_mean = means * (1 - means)
    shift = quantile**2 * variance / by_mean  # quantile² over the effective number of questions
    centre = (means + shift / 2) / (1 + shift)
    reach = np.sqrt(shift * by_mean + shift**2 / 4) / (1 + shift)
    return centre - reach, centre + reach


def _two_stage(taken: Sample, alpha: float, rng: np.random.Generator, resamples: int) -> Pair:
    means = taken.table.resampled(taken.weights(rng, resamples))
    # A resample's spread is too small by √((n − 1)/n); a quantile further out makes up for it.
    wider = (len(taken) / (len(taken) - 1)) ** 0.5
    tail = NormalDist().cdf(NormalDist().inv_cdf(alpha) * wider)
    low, high = np.quantile(means, [tail, 1 - tail], axis=0)
    return low, high


def _bounded(taken: Sample, alpha: float, rng: np.random.Generator, resamples: int) -> Pair:
    counts = taken.table.counts
    return _with_bounds(taken, alpha, dirichlet(rng, resamples, len(taken)), usual_size(counts))


def _rare(taken: Sample, alpha: float, rng: np.random.Generator, resamples: int) -> Pair:
    return _with_bounds(taken, alpha, dirichlet(rng, resamples, len(taken)), 1.0)


def _with_bounds(taken: Sample, alpha: float, weights: Reals, size: float) -> Pair:
    low = np.quantile(with_bound(taken.table, weights, 0.0, size=size), alpha, axis=0)
    high = np.quantile(with_bound(taken.table, weights, 1.0, size=size), 1 - alpha, axis=0)
    return low, high


def _exact(taken: Sample, alpha: float, _: np.random.Generator, __: int) -> Pair:
    unseen, means = unseen_share(taken.table.effective, alpha), taken.table.means
    return means - unseen * means, means + unseen * (1 - means)


_INTERVALS: dict[str, Callable[[Sample, float, np.random.Generator, int], Pair]] = {
    "wilson": _wilson,
    "two-stage": _two_stage,
    "bounded": _bounded,
    "rare": _rare,
    "exact": _exact,
}


def student(level: float, freedom: float) -> float:
    """Student's t quantile at 0.975, to 1e-3 from 19 degrees of freedom on, to 1 % from 5.

    Source: Abramowitz and Stegun 26.7.5, three terms.
    """
    z = NormalDist().inv_cdf(level)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    return z + first / freedom + second / freedom**2


def unseen_share(groups: float, alpha: float) -> float:
    """The largest share of values that n groups may all miss with probability `alpha`.

    Clopper and Pearson's bound at no success: 1 − alpha^(1/n), some 3/n at alpha = 0.05.
    """
    return float(1 - alpha ** (1 / groups))


def dirichlet(rng: np.random.Generator, draws: int, groups: int) -> Reals:
    """(draws, groups + 1) weights that sum to 1; the last is for what was not seen."""
    weights = rng.standard_exponential((draws, groups + 1))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def with_bound(table: GroupSums, weights: Reals, bound: float, *, size: float) -> Reals:
    """(draws, trials) means with one group more, whose every value is `bound`, of so many
    questions."""
    seen = GroupSums(
        np.vstack([table.sums, np.full(table.sums.shape[1], bound * size)]),
        np.append(table.counts, size),
    )
    return seen.resampled(weights)
