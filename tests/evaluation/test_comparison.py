"""Simultaneous bounds, paired tests and what a question set can show."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from mox.errors import SpecError
from mox.evaluation.statistics import (
    holm,
    questions_needed,
    randomisation_p,
    randomisation_ps,
    simultaneous_interval,
    simultaneous_lower,
    smallest_margin,
)


def column(values):
    return np.array(values, float)[:, None]


def losses(rng, shape, gap, noise):
    """Differences of 0/1 scores: a trial loses `noise` + `gap` of questions and wins `noise`."""
    u = rng.random(shape)
    return np.where(u < noise + gap, -1.0, np.where(u < 2 * noise + gap, 1.0, 0.0))


def test_zero_differences_leave_room_for_three_in_n():
    # 1 - 0.05**(1/60) = 0.0487; two-sided at 0.025 a side 1 - 0.025**(1/60) = 0.0596.
    zero = np.zeros((60, 2))
    assert simultaneous_lower(zero, np.arange(60), seed=0) == pytest.approx([-0.0487] * 2, abs=5e-5)
    low, high = simultaneous_interval(zero, np.arange(60), seed=0)
    assert (low[0], high[0]) == pytest.approx((-0.0596, 0.0596), abs=5e-5)


def test_zero_differences_are_counted_by_group():
    # 60 questions of 20 groups: 1 - 0.05**(1/20) = 0.1391.
    groups = np.repeat(np.arange(20), 3)
    assert simultaneous_lower(np.zeros((60, 1)), groups, seed=0)[0] == pytest.approx(
        -0.1391, abs=5e-5
    )


@pytest.mark.parametrize(("lost", "bound"), [(1, 0.0466), (2, 0.0616), (5, 0.1023)])
def test_a_single_trial_s_bound_is_clopper_and_pearson_s(lost, bound):
    # Their one-sided upper 95 % bounds for 1, 2 and 5 losses of 100.
    differences = column([-1.0] * lost + [0.0] * (100 - lost))
    found = simultaneous_lower(differences, np.arange(100), seed=0, resamples=20_000)
    assert found[0] == pytest.approx(-bound, abs=0.002)


def test_many_differences_give_the_normal_approximation():
    # 2,000 differences of mean -0.1 and standard deviation 0.3: bound -0.1 - 1.645 * 0.3 /
    # sqrt(2000) = -0.1110; the group that might lose everything takes 0.9/2001 more.
    differences = column([-0.4, 0.2] * 1000)
    found = simultaneous_lower(differences, np.arange(2000), seed=0, resamples=4000)
    assert found[0] == pytest.approx(-0.1115, abs=0.001)


def test_more_trials_at_once_need_lower_bounds():
    rng = np.random.default_rng(0)
    differences = losses(rng, (200, 40), 0.02, 0.1)
    alone = simultaneous_lower(differences[:, :1], np.arange(200), seed=1)
    together = simultaneous_lower(differences, np.arange(200), seed=1)
    assert together[0] < alone[0]
    # 40 independent comparisons: some 3.0 standard errors instead of 1.645.
    mean = differences[:, 0].mean()
    assert 1.5 < (mean - together[0]) / (mean - alone[0]) < 2.1


def test_copies_of_one_trial_are_one_comparison():
    differences = losses(np.random.default_rng(0), (200, 1), 0.02, 0.1)
    alone = simultaneous_lower(differences, np.arange(200), seed=1)
    copies = simultaneous_lower(np.repeat(differences, 40, axis=1), np.arange(200), seed=1)
    assert copies == pytest.approx(np.repeat(alone, 40), abs=1e-12)


def test_questions_of_a_group_count_as_one():
    # The same differences in 40 groups of 5: the bound is about sqrt(5) times further off.
    rng = np.random.default_rng(2)
    by_group = rng.choice([-0.5, 0.5], (40, 1))
    differences = np.repeat(by_group, 5, axis=0)
    mean = differences.mean()
    grouped = simultaneous_lower(differences, np.repeat(np.arange(40), 5), seed=1)[0]
    apart = simultaneous_lower(differences, np.arange(200), seed=1)[0]
    assert 1.9 < (mean - grouped) / (mean - apart) < 2.8


def test_one_group_shows_nothing():
    # Two questions of one document, both lost: 95 % of all that could be is possible.
    differences = column([-0.5, -0.5])
    assert simultaneous_lower(differences, ["d", "d"], seed=0)[0] < -0.9
    low, high = simultaneous_interval(differences, ["d", "d"], seed=0)
    assert low[0] < 0 < high[0]


def test_the_indistinguishable_set_holds_equal_trials_and_not_much_worse_ones():
    rng = np.random.default_rng(3)
    equal, worse = losses(rng, (300, 1), 0.0, 0.05), losses(rng, (300, 1), 0.3, 0.05)
    low, high = simultaneous_interval(np.hstack([equal, worse]), np.arange(300), seed=0)
    assert low[0] <= 0 <= high[0]
    assert high[1] < 0
    assert low[1] < worse.mean() < high[1]


def test_wins_and_losses_are_treated_alike():
    differences = losses(np.random.default_rng(8), (80, 6), 0.05, 0.04)
    low, high = simultaneous_interval(differences, np.arange(80), seed=0)
    low_turned, high_turned = simultaneous_interval(-differences, np.arange(80), seed=0)
    assert low_turned == pytest.approx(-high, abs=1e-12)
    assert high_turned == pytest.approx(-low, abs=1e-12)
    # The side with the longer tail decides how far both reach.
    alone = simultaneous_interval(-np.abs(differences), np.arange(80), seed=0)
    assert (alone[0] <= -np.abs(differences).mean(axis=0)).all()
    assert (alone[1] >= -np.abs(differences).mean(axis=0)).all()


@pytest.mark.parametrize("groups", [30, 100])
@pytest.mark.parametrize("noise", [0.02, 0.08])
def test_a_trial_beyond_the_margin_seldom_passes(groups, noise):
    """5 trials, each 0.055 worse, within 0.05: in 200 sets at most 5 % + 2.3 standard errors."""
    passed = 0
    for seed in range(200):
        differences = losses(np.random.default_rng(seed), (groups, 5), 0.055, noise)
        lower = simultaneous_lower(differences, np.arange(groups), seed=seed, resamples=500)
        passed += bool((lower > -0.05).any())
    assert passed <= 17


def test_an_equal_trial_passes_where_there_are_questions_enough():
    passed = 0
    for seed in range(100):
        differences = losses(np.random.default_rng(seed), (300, 5), 0.0, 0.02)
        lower = simultaneous_lower(differences, np.arange(300), seed=seed, resamples=500)
        passed += int((lower > -0.05).sum())
    assert passed > 400  # of 500


@pytest.mark.slow
@pytest.mark.parametrize("groups", [30, 100, 300])
@pytest.mark.parametrize("trials", [1, 20])
def test_passing_by_2_000_sets(groups, trials):
    """False passes at most 5 % + 3 standard errors; the power is printed beside it."""
    for noise, gap in itertools.product((0.02, 0.08), (0.051, 0.1)):
        rng = np.random.default_rng(groups)
        false = right = 0.0
        for seed in range(2000):
            shape, names = (groups, trials), np.arange(groups)
            worse, equal = losses(rng, shape, gap, noise), losses(rng, shape, 0.0, noise)
            lower = simultaneous_lower(worse, names, seed=seed, resamples=1000)
            false += bool((lower > -0.05).any())
            right += (simultaneous_lower(equal, names, seed=seed, resamples=1000) > -0.05).mean()
        said = f"false {false / 2000:.3f}, power {right / 2000:.2f}"
        print(f"n={groups} trials={trials} noise={noise} gap={gap}: {said}")  # noqa: T201
        assert false / 2000 <= 0.05 + 3 * 0.0049


def test_up_to_12_groups_all_signs_are_counted():
    # Differences 1, 1, 1, 1, 2: of 32 signs, only the two that are all alike reach 6.
    assert randomisation_p(np.array([1, 1, 1, 1, 2.0]), range(5), seed=0) == 2 / 32
    # 3, -1: sums 2, 4, -4, -2: all are at least 2 away.
    assert randomisation_p(np.array([3, -1.0]), range(2), seed=0) == 1
    # 3, 1: 4 and -4 of four.
    assert randomisation_p(np.array([3, 1.0]), range(2), seed=0) == 0.5


def test_the_test_flips_groups_and_not_questions():
    # Six questions of two groups are two signs: p = 2/4, not 2/64.
    assert randomisation_p(np.ones(6), [0, 0, 0, 1, 1, 1], seed=0) == 0.5


def test_a_sample_of_signs_agrees_with_all_of_them():
    # 13 groups: all 8,192 signs by brute force.
    values = np.array([0.5, -0.2, 0.1, 0.9, 0.4, -0.3, 0.2, 0.6, -0.1, 0.3, 0.7, -0.4, 0.25])
    signs = np.array(list(itertools.product([1, -1], repeat=13)))
    exact = (np.abs(signs @ values) >= abs(values.sum()) - 1e-12).mean()
    assert randomisation_p(values, range(13), seed=0, draws=20_000) == pytest.approx(
        exact, abs=0.006
    )


def test_p_is_never_0_and_1_for_no_difference():
    assert randomisation_p(np.ones(40), range(40), seed=0, draws=999) == 1 / 1000
    assert randomisation_p(np.zeros(40), range(40), seed=0) == 1
    assert randomisation_p(np.zeros(4), range(4), seed=0) == 1


def test_several_trials_get_what_each_gets_alone():
    rng = np.random.default_rng(4)
    differences = rng.normal(0.1, 0.5, (30, 3))
    together = randomisation_ps(differences, range(30), seed=9)
    alone = [randomisation_p(differences[:, at], range(30), seed=9) for at in range(3)]
    assert together.tolist() == alone


def test_equal_trials_are_called_different_in_5_percent_of_sets():
    differences = np.random.default_rng(5).normal(0, 1, (50, 1000))
    share = (randomisation_ps(differences, range(50), seed=1, draws=2000) <= 0.05).mean()
    assert 0.03 <= share <= 0.07


def test_holm_by_hand():
    # Sorted 0.01, 0.02, 0.03, 0.04: times 4, 3, 2, 1 is 0.04, 0.06, 0.06, 0.04, then never
    # falling.
    assert holm(np.array([0.04, 0.01, 0.03, 0.02])) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm(np.array([0.5, 0.9])).tolist() == [1, 1]
    assert holm(np.array([0.02])).tolist() == [0.02]


def test_holm_keeps_the_family_s_error():
    # 10 true null hypotheses, uniform p-values: one is rejected in 5 % of 4,000 families.
    families = np.random.default_rng(6).random((4000, 10))
    rejected = np.mean([(holm(family) <= 0.05).any() for family in families])
    assert 0.04 <= rejected <= 0.06


def test_the_smallest_margin_is_three_in_n():
    # 1 - 0.05**(1/100) = 0.02951.
    assert smallest_margin(100) == pytest.approx(0.02951, abs=5e-6)
    assert smallest_margin(0) == 1


def test_questions_needed_by_hand():
    # Differences of mean -0.02, standard deviation s = 0.2 (100 groups: s² = Σ(d + 0.02)²/99),
    # margin 0.05: (1.645 · s / 0.03)² = 121.5 groups of one question.
    differences = np.array([-0.22, 0.18] * 50)
    assert questions_needed(differences, range(100), margin=0.05) == 122
    # The same in groups of 2 whose questions go together: 50 groups, s² = 50 · 0.04/49, 123
    # groups, two questions each.
    together = np.repeat([-0.22, 0.18] * 25, 2)
    assert questions_needed(together, np.repeat(range(50), 2), margin=0.05) == 246


def test_questions_needed_at_zero_differences_is_three_over_the_margin():
    # ln 0.05 / ln 0.95 = 58.4.
    assert questions_needed(np.zeros(30), range(30), margin=0.05) == 59
    assert smallest_margin(59) < 0.05 < smallest_margin(58)


def test_no_number_of_questions_shows_what_isn_t_so():
    assert questions_needed(np.array([-0.5, 0.0] * 20), range(40), margin=0.05) is None
    assert questions_needed(np.array([0.0, -0.02]), ["d", "d"], margin=0.05) is None


def test_a_margin_in_another_unit_is_refused():
    with pytest.raises(SpecError, match="a margin of 5"):
        questions_needed(np.zeros(3), range(3), margin=5)


def test_a_trial_that_loses_everything_everywhere_spoils_no_other_bound() -> None:
    draw = np.random.default_rng(3)
    fair = draw.choice([-1.0, 0.0, 1.0], size=(60, 2), p=[0.1, 0.8, 0.1])
    groups = [str(at) for at in range(60)]
    alone = simultaneous_lower(fair, groups, seed=0)
    hopeless = np.hstack([fair, np.full((60, 1), -1.0)])
    beside = simultaneous_lower(hopeless, groups, seed=0)
    assert beside[:2] == pytest.approx(alone)
    assert beside[2] == -1
    low, high = simultaneous_interval(hopeless, groups, seed=0)
    assert np.isfinite([*low, *high]).all()
    assert high[2] < 0
