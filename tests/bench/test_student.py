"""Student's t at few degrees of freedom, held to printed tables."""

from __future__ import annotations

import pytest

from mox.bench.student import student

TABLE = {
    0.975: {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 10: 2.228, 30: 2.042},
    0.95: {1: 6.314, 2: 2.920, 3: 2.353, 4: 2.132, 5: 2.015, 6: 1.943, 10: 1.812, 30: 1.697},
    0.995: {1: 63.657, 2: 9.925, 3: 5.841, 4: 4.604, 5: 4.032},
}
"""Two-sided 95, 90 and 99 % points, as every textbook prints them."""


@pytest.mark.parametrize(
    ("probability", "degrees", "printed"),
    [(p, degrees, t) for p, row in TABLE.items() for degrees, t in row.items()],
)
def test_quantiles_are_those_that_are_printed(
    probability: float, degrees: int, printed: float
) -> None:
    assert student(probability, degrees) == pytest.approx(printed, abs=6e-4)
