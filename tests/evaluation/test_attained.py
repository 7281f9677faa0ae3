"""Bounds of what an index surely attains: by simulation, and where nothing was lost."""

from __future__ import annotations

import numpy as np
import pytest

from mox.evaluation.statistics import attained, design_effect


def clustered(rng, groups, size, mean, together, trials):
    """(groups · size, trials) shares of 10 found, whose chance varies by group: Beta-binomial
    with an intra-group correlation of `together`."""
    if together:
        weight = (1 - together) / together
        chance = rng.beta(weight * mean, weight * (1 - mean), (groups, trials))
    else:
        chance = np.full((groups, trials), mean)
    return rng.binomial(10, np.repeat(chance, size, axis=0)) / 10


def missed(mean, together, sets):
    """In how many sets some trial's mean lies under its bound; questions in 54 groups of 5."""
    rng, names = np.random.default_rng(0), np.repeat(np.arange(54), 5)
    return sum(
        (attained(clustered(rng, 54, 5, mean, together, 5), names, seed=at).lower > mean).any()
        for at in range(sets)
    )


@pytest.mark.parametrize(("mean", "together"), [(0.8, 0.2), (0.95, 0.1)])
def test_bounds_hold_for_all_trials_at_once_also_where_questions_go_together(mean, together):
    # A rate of 5 % gives more than 5 of 40 with a probability of 1.4 %.
    assert missed(mean, together, 40) <= 5


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("together", [0.0, 0.1, 0.2])
@pytest.mark.parametrize("mean", [0.5, 0.8, 0.95, 0.99])
def test_bounds_hold_by_1_000_sets(mean, together):
    share = missed(mean, together, 1000) / 1000
    print(f"mean={mean} correlation={together}: {share:.3f}")  # noqa: T201
    assert share <= 0.05 + 2.33 * 0.0069  # 1,000 sets know 5 % to 0.69 points


def test_where_nothing_is_lost_the_bound_is_clopper_and_pearson_s():
    shares, names = np.ones((200, 1)), np.arange(200)
    found = attained(shares, names, seed=0)
    assert found.lower[0] == pytest.approx(0.05 ** (1 / 200), abs=0.002)
    assert found.high[0] == 1


def test_equal_questions_of_a_group_count_as_one():
    """Four equal questions in each of 50 groups: the mean varies as that of 50, 4 times as much
    (by 50/49, and the questions' own variance by 199/200)."""
    rng = np.random.default_rng(1)
    shares = np.repeat(rng.random((50, 2)), 4, axis=0)
    effect = design_effect(shares, np.repeat(np.arange(50), 4))
    assert effect == pytest.approx([4 * 50 / 49 * 199 / 200] * 2)


def test_independent_questions_have_no_design_effect():
    shares = np.random.default_rng(2).random((200, 1))
    assert design_effect(shares, np.arange(200)) == pytest.approx([1.0])
    assert design_effect(np.ones((6, 1)), np.repeat([0, 1], 3)) == 1
