"""Power laws through measured sizes: value = a · n^b, with the intervals of least squares.

Fitted to logarithms of medians, one a size: rounds at one size share its build and its vectors,
and are no independent measurements of how a value grows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from mox.bench.points import FALLING, WHAT, Point, Way
from mox.bench.student import student

LEAST_SIZES = 3
"""Sizes that a curve needs: two tell nothing of how well it fits."""
LEVEL = 0.95
FAR = 1e12
"""Sizes above this are not told from never."""


class Estimate(NamedTuple):
    """A curve's value at a size, with the interval of the curve there."""

    value: float
    low: float
    high: float
    outside: bool
    """Whether no such size was measured: the curve goes on past what is known."""


class Crossing(NamedTuple):
    """The size at which a curve reaches a bound, with its interval; None: not below `FAR`."""

    n: float | None
    low: float | None
    high: float | None
    outside: bool
    """Whether it lies where nothing was measured."""


@dataclass(frozen=True)
class Power:
    """A fitted curve. Formulas: Draper and Smith, Applied Regression Analysis, chapters 1 and 3."""

    what: str
    a: float
    b: float
    sizes: tuple[int, ...]
    center: float
    """Mean of the logarithms of the sizes."""
    spread: float
    """Sum of their squared differences from it."""
    deviation: float
    """Standard deviation of the residuals, in logarithms; m − 2 degrees of freedom."""
    worst: float
    """The largest |measured / fitted − 1|: how ill a power law describes it."""

    @property
    def _t(self) -> float:
        return student(0.5 + LEVEL / 2, len(self.sizes) - 2)

    @property
    def exponent(self) -> tuple[float, float]:
        """The interval of b."""
        half = self._t * self.deviation / math.sqrt(self.spread)
        return self.b - half, self.b + half

    def at(self, n: float) -> Estimate:
        """The curve at a size, with the 95 % interval of its mean there."""
        x = math.log(n) - self.center
        half = self._t * self.deviation * math.sqrt(1 / len(self.sizes) + x * x / self.spread)
        value = self.a * n**self.b
        top = 1.0 if self.what == "recall" else math.inf
        outside = not self.sizes[0] <= n <= self.sizes[-1]
        low, high = value * math.exp(-half), value * _exp(half)
        return Estimate(min(value, top), min(low, top), min(high, top), outside)

    def reaches(self, bound: float) -> Crossing:
        """The size from which the curve breaks a bound: rises above it, or falls below it.

        The interval holds every size at which the bound lies within the curve's own interval
        (Fieller's set): it holds the true size in 95 of 100 repetitions, however far it lies.
        What falls is taken not to rise and the other way about, so that an exponent whose sign
        isn't known leaves an interval that is open towards larger sizes, and not two of them.
        """
        sign = -1.0 if self.what in FALLING else 1.0
        slope = sign * self.b
        gap = sign * (math.log(self.a) + self.b * self.center - math.log(bound))
        noise = (self._t * self.deviation) ** 2
        square = slope * slope - noise / self.spread
        rest = gap * gap - noise / len(self.sizes)
        low, high = _set(square, slope * gap, rest, gap)
        at = -gap / slope if slope > 0 else _never(gap)
        n = self._size(at)
        outside = n is None or not self.sizes[0] <= n <= self.sizes[-1]
        return Crossing(n, self._size(low), self._size(high), outside)

    def _size(self, x: float) -> float | None:
        """exp(center + x); None above `FAR`, and 0 for what is smaller than one vector."""
        log = self.center + x
        if log > math.log(FAR):
            return None
        return math.exp(log) if log > 0 else 0.0

    def document(self) -> dict[str, Any]:
        """Its part of a row in the JSON."""
        low, high = self.exponent
        return {
            "what": self.what,
            "a": self.a,
            "b": self.b,
            "low": low,
            "high": high,
            "from": self.sizes[0],
            "to": self.sizes[-1],
            "worst": self.worst,
        }


def _set(square: float, half: float, rest: float, gap: float) -> tuple[float, float]:
    """Where square·x² + 2·half·x + rest ≤ 0, in logarithms from the centre.

    With a slope that is told from 0 it is one interval. Else it is everything, or all but an
    interval; of the two rays then the one on which a curve that doesn't turn meets the bound.
    """
    root = half * half - square * rest
    if square > 0:
        if half * gap < 0:  # it turns, and that is no noise
            return _never(gap), _never(gap)
        width = math.sqrt(max(0.0, root))
        return (-half - width) / square, (-half + width) / square
    if root <= 0 or square == 0:
        every = square < 0 or rest <= 0 or half != 0
        return (-math.inf, math.inf) if every else (_never(gap), _never(gap))
    ends = sorted(((-half - math.sqrt(root)) / square, (-half + math.sqrt(root)) / square))
    return (ends[1], math.inf) if gap < 0 else (-math.inf, ends[0])


def _never(gap: float) -> float:
    """Where a curve that doesn't grow breaks its bound: nowhere, or from the first vector on."""
    return math.inf if gap < 0 else -math.inf


def fit(what: str, points: Sequence[Point]) -> Power | None:
    """A curve through the sizes of one configuration; None where there are too few.

    Args:
        points: of one configuration. Invalid ones tell nothing of latency and throughput.
    """
    timed = what in ("p95_ms", "p50_ms", "qps")
    found = {
        point.n: point.values[what].median
        for point in points
        if what in point.values and point.values[what].median > 0 and not (timed and point.invalid)
    }
    if len(found) < LEAST_SIZES:
        return None
    sizes = tuple(sorted(found))
    xs = [math.log(n) for n in sizes]
    ys = [math.log(found[n]) for n in sizes]
    center, level = math.fsum(xs) / len(xs), math.fsum(ys) / len(ys)
    spread = math.fsum((x - center) ** 2 for x in xs)
    b = math.fsum((x - center) * (y - level) for x, y in zip(xs, ys, strict=True)) / spread
    residuals = [y - level - b * (x - center) for x, y in zip(xs, ys, strict=True)]
    deviation = math.sqrt(math.fsum(r * r for r in residuals) / (len(xs) - 2))
    worst = max(abs(math.expm1(r)) for r in residuals)
    a = math.exp(level - b * center)
    return Power(what, a, b, sizes, center, spread, deviation, worst)


def fits(ways: dict[str, list[Point]]) -> dict[str, tuple[Way, dict[str, Power]]]:
    """All curves of all configurations, by the configuration's key."""
    found = {}
    for key, points in ways.items():
        curves = {what: made for what in WHAT if (made := fit(what, points)) is not None}
        found[key] = (points[0].way, curves)
    return found


def _exp(value: float) -> float:
    return math.exp(value) if value < 700 else math.inf
