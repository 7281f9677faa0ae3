"""Differences of a measure: between which bounds they lie, and when one is sure."""

from __future__ import annotations

from typing import Any

import pytest

from mox.results.paired import reach
from mox.results.versus import Versus


@pytest.mark.parametrize(
    ("p_holm", "low", "sure"), [(0.01, 0.02, True), (0.01, -0.02, False), (0.2, 0.02, False)]
)
def test_a_difference_is_sure_by_the_test_and_the_interval(
    p_holm: float, low: float, sure: bool
) -> None:
    assert Versus("t", 0.1, low, 0.2, 0.001, p_holm).sure == sure
    assert Versus("t", -0.1, -0.2, -low, 0.001, p_holm).sure == sure


def test_no_more_can_be_lost_than_the_largest_score(many: Any) -> None:
    def made(name: str, values: list[float]) -> None:
        kind = {"kind": "recursive", "size": 16 + len(many.trials)}
        many.trial(name, kind, ("recall@2",), values={"recall@2": values})

    made("a", [0.1, 0.0, 0.05] * 40)
    assert reach(many.results(("recall@2",)), "recall@2") == (-0.1, 0.1)
    made("b", [0.05, 0.05, 0.0] * 40)
    (found,) = many.results(("recall@2",)).versus
    # b less a: -0.05, 0.05 and -0.05 in turn, on the 60 questions of dev: mean -0.01667, standard
    # deviation 0.04714; t of 59 degrees 2.001, times 0.04714/sqrt(59): 0.01228. Had it to allow
    # for a question lost wholly, it would reach some 1/60 further down.
    assert (found.low, found.high) == pytest.approx((-0.0289, -0.0044), abs=0.0006)
    made("c", [1.0] + [0.0] * 119)
    assert reach(many.results(("recall@2",)), "recall@2") == (-1, 1)
    many.trials.clear()
    made("none", [0.0] * 120)
    assert reach(many.results(("recall@2",)), "recall@2") == (-1, 1)
