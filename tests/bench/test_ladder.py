"""Sizes: round, even in logarithms, from where servers index at all."""

from __future__ import annotations

from itertools import pairwise

import pytest

from mox.bench.ladder import ladder
from mox.errors import SpecError


def test_the_usual_ladder() -> None:
    assert ladder(100_000) == (2_000, 5_000, 10_000, 20_000, 50_000, 100_000)


def test_the_last_size_is_the_one_that_was_asked_for() -> None:
    assert ladder(60_000) == (2_000, 5_000, 10_000, 20_000, 60_000)
    assert ladder(25_976) == (2_000, 5_000, 10_000, 20_000, 25_976)


@pytest.mark.parametrize("largest", [8_000, 12_345, 100_000, 1_000_000])
def test_steps_are_of_one_and_a_quarter_to_three_and_an_eighth(largest: int) -> None:
    assert all(1.25 <= b / a <= 3.2 for a, b in pairwise(ladder(largest)))


def test_too_few_sizes_are_refused() -> None:
    with pytest.raises(SpecError, match="only 2 sizes lie between 2,000 and 2,400"):
        ladder(2_400)
    with pytest.raises(SpecError, match="from 2,000 to 2,000"):
        ladder(2_000)
