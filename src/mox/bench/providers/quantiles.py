"""Percentiles with intervals that assume no distribution, and shares with Wilson's bounds.

A percentile's interval lies between two of the sorted values themselves: of n independent
values the number below the true percentile is binomial, whatever they are distributed by. Where
n is too small for an end to exist (the largest of 40 values says nothing of how far a p95
reaches) that end is None, and never a guess.

Sources: David and Nagaraja, *Order Statistics* (2003), 7.1; Wilson, JASA 22 (1927).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Any

PERCENTILES = (0.5, 0.9, 0.95, 0.99)
NAMES = {q: f"p{100 * q:g}" for q in PERCENTILES}
FEWEST = {0.99: 200}
"""Values under which a percentile isn't given: of fewer, hardly any lies beyond it."""
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Quantile:
    """One percentile. `value` is None where it is refused, and `why` says so; `low` and `high`
    are None where so many values don't bound it."""

    value: float | None
    low: float | None = None
    high: float | None = None
    why: str | None = None

    def document(self) -> dict[str, Any]:
        """Its place in the JSON; `why` only where there is no value."""
        said = {"value": _rounded(self.value), "low": _rounded(self.low)}
        said["high"] = _rounded(self.high)
        return said if self.why is None else {**said, "why": self.why}


def quantile(values: Sequence[float], q: float, *, level: float | None = LEVEL) -> Quantile:
    """One percentile of independent values, with its interval.

    Args:
        values: in any order.
        q: in (0, 1). Between two values the percentile is interpolated, as numpy does it.
        level: of the interval, half of the rest on each side; None: without one, where values
            aren't independent.
    """
    n, fewest = len(values), FEWEST.get(q, 1)
    if n < fewest:
        name = NAMES.get(q, f"p{100 * q:g}")
        said = "nothing was measured" if n == 0 else f"{name} of n={n} < {fewest} says nothing"
        return Quantile(None, why=f"{said}.")
    ordered = sorted(values)
    at = q * (n - 1)
    below = min(int(at), n - 1)
    above = min(below + 1, n - 1)
    value = ordered[below] + (at - below) * (ordered[above] - ordered[below])
    if level is None:
        return Quantile(value)
    low, high = ranks(n, q, level=level)
    return Quantile(
        value,
        ordered[low - 1] if low is not None else None,
        ordered[high - 1] if high is not None else None,
    )


def quantiles(values: Sequence[float], *, level: float | None = LEVEL) -> dict[str, Quantile]:
    """`p50`, `p90`, `p95` and `p99`; arguments as `quantile`'s."""
    ordered = sorted(values)
    return {name: quantile(ordered, q, level=level) for q, name in NAMES.items()}


@lru_cache(maxsize=1024)
def ranks(n: int, q: float, *, level: float = LEVEL) -> tuple[int | None, int | None]:
    """Ranks, from 1, of the values that a percentile lies between; None where there is none.

    The lower one is the highest rank that the percentile is below with a chance of (1 − level)/2
    at most, and the upper one alike.
    """
    tail = (1 - level) / 2
    low, high, summed = None, None, 0.0
    for count, chance in enumerate(_binomial(n, q)):
        # summed: the chance that fewer than `count` values are below the percentile
        if summed <= tail and count >= 1:
            low = count
        if high is None and summed >= 1 - tail and count >= 1:
            high = count
        summed += chance
    return low, high


def _binomial(n: int, q: float) -> list[float]:
    """Chances of 0, 1, …, n of n."""
    whole = math.lgamma(n + 1)
    here, away = math.log(q), math.log1p(-q)
    return [
        math.exp(whole - math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * here + (n - k) * away)
        for k in range(n + 1)
    ]


@dataclass(frozen=True, slots=True)
class Share:
    """How many of n, and the bounds that Wilson gives the share."""

    met: int
    n: int

    @property
    def value(self) -> float:
        """In [0, 1]; 0 of nothing."""
        return self.met / self.n if self.n else 0.0

    @property
    def low(self) -> float:
        """The share is above it, with a chance of 95 %."""
        return wilson(self.met, self.n)[0]

    @property
    def high(self) -> float:
        """The share is below it, with a chance of 95 %."""
        return wilson(self.met, self.n)[1]

    def document(self) -> dict[str, Any]:
        return {
            "met": self.met, "n": self.n, "value": _rounded(self.value),
            "low": _rounded(self.low), "high": _rounded(self.high),
        }  # fmt: skip


def wilson(met: int, n: int, *, level: float = 0.95) -> tuple[float, float]:
    """One-sided bounds of a share: each holds with a chance of `level`.

    Returns:
        low, high: in [0, 1]; 0 and 1 of nothing.
    """
    if n == 0:
        return 0.0, 1.0
    z2 = NormalDist().inv_cdf(level) ** 2
    share, shrunk = met / n, 1 + z2 / n
    centre = (share + z2 / (2 * n)) / shrunk
    reach = math.sqrt(z2 * share * (1 - share) / n + z2 * z2 / (4 * n * n)) / shrunk
    return max(0.0, centre - reach), min(1.0, centre + reach)


def requests_to_show(share: float, *, level: float = 0.95) -> int:
    """So many requests, all of them met, show that a share is met: Wilson's bound reaches it."""
    z2 = NormalDist().inv_cdf(level) ** 2
    return math.ceil(z2 * share / (1 - share) - 1e-9)


def _rounded(value: float | None) -> float | None:
    """Six digits: what a clock of nanoseconds and a loop of microseconds can mean."""
    return None if value is None else float(f"{value:.6g}")
