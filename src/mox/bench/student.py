"""Student's t distribution at the few degrees of freedom that a handful of sizes leaves.

`evaluation.intervals` has an expansion that holds from 19 degrees on; at one it is off by half.
"""

from __future__ import annotations

import math
from functools import lru_cache

HALVINGS = 80


@lru_cache(maxsize=64)
def student(probability: float, degrees: int) -> float:
    """The quantile of the distribution, above its middle.

    Args:
        probability: in [0.5, 1).
        degrees: of freedom, whole, 1 or more.

    Source: the distribution function for whole degrees, Abramowitz and Stegun 26.7.3 and 26.7.4,
    inverted by halving.
    """
    within = 2 * probability - 1
    low, high = 0.0, 1.0
    while _within(high, degrees) < within:
        high *= 2
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if _within(middle, degrees) < within:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _within(t: float, degrees: int) -> float:
    """P(|T| < t)."""
    angle = math.atan(t / math.sqrt(degrees))
    if degrees == 1:
        return 2 * angle / math.pi
    cosine, sine = math.cos(angle), math.sin(angle)
    odd = degrees % 2
    total = term = cosine if odd else 1.0
    for j in range(2 if odd else 1, degrees - 2, 2):
        term *= cosine * cosine * j / (j + 1)
        total += term
    return 2 / math.pi * (angle + sine * total) if odd else sine * total
