"""Simultaneous bounds, paired tests and what a question set can show."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from mox.errors import SpecError
from mox.evaluation.statistics import (
    holm,
    optimism,
    questions_needed,
    questions_to_separate,
    randomisation_p,
    randomisation_ps,
    simultaneous,
    smallest_difference,
    smallest_margin,
)


def simultaneous_lower(differences, groups, **more):
    return simultaneous(differences, groups, **more).lower


def simultaneous_interval(differences, groups, **more):
    found = simultaneous(differences, groups, **more)
    return found.low, found.high


def column(values):
    return np.array(values, float)[:, None]


def losses(rng, shape, gap, noise):
    """Differences of 0/1 scores: a trial loses `noise` + `gap` of questions and wins `noise`."""
    u = rng.random(shape)
    return np.where(u < noise + gap, -1.0, np.where(u < 2 * noise + gap, 1.0, 0.0))


MANY = {"seed": 0, "resamples": 20_000}


@pytest.mark.parametrize(("families", "bound"), [(1, 0.04870), (2, 0.05943), (20, 0.09467)])
def test_zero_differences_leave_room_for_what_no_group_showed(families, bound):
    # 1 - 0.05**(1/60) = 0.0487; two and twenty that fail independently: 1 - 0.95**(1/2) =
    # 0.02532 and 1 - 0.95**(1/20) = 0.002561 instead of 0.05.
    zero = np.zeros((60, 40))
    names = np.arange(40) % families
    lower = simultaneous_lower(zero, np.arange(60), families=names, **MANY)
    assert lower == pytest.approx([-bound] * 40, rel=0.03)
    assert smallest_margin(60, families) == pytest.approx(bound, abs=5e-5)


def test_each_trial_is_a_family_of_its_own_unless_told():
    lower = simultaneous_lower(np.zeros((60, 20)), np.arange(60), **MANY)
    assert lower == pytest.approx([-0.09467] * 20, rel=0.03)


def test_zero_differences_of_one_trial_have_two_sides():
    # 1 - 0.95**(1/2) = 0.02532 on either side: 1 - 0.02532**(1/60) = 0.0594.
    low, high = simultaneous_interval(np.zeros((60, 1)), np.arange(60), **MANY)
    assert (low[0], high[0]) == pytest.approx((-0.0594, 0.0594), rel=0.03)


def test_zero_differences_are_counted_by_group():
    # 60 questions of 20 groups: 1 - 0.05**(1/20) = 0.1391.
    groups = np.repeat(np.arange(20), 3)
    assert simultaneous_lower(np.zeros((60, 1)), groups, **MANY)[0] == pytest.approx(
        -0.1391, rel=0.03
    )


def test_zero_differences_leave_room_for_an_unseen_group_that_is_large():
    # 80 groups of one question and 20 of ten: as many equal groups as tell as much are
    # 280²/(80 · 1² + 20 · 10²) = 37.69 (Kish), and 1 - 0.05**(1/37.69) = 0.0764. One more group
    # of ten lost whole is 10/290 = 0.034, which the bound must leave room for.
    groups = np.repeat(np.arange(100), np.resize([1, 1, 1, 1, 10], 100))
    lower = simultaneous_lower(np.zeros((280, 1)), groups, **MANY)[0]
    assert lower == pytest.approx(-0.0764, rel=0.03)


def test_few_groups_are_counted_by_question_for_these_documents():
    # 60 questions of 3 documents: 1 - 0.05**(1/60) = 0.0487, as if of 60.
    groups = np.repeat(np.arange(3), 20)
    assert simultaneous_lower(np.zeros((60, 1)), groups, **MANY)[0] == pytest.approx(
        -0.0487, rel=0.03
    )


def test_sets_of_trials_are_worked_out_apart():
    rng = np.random.default_rng(0)
    differences = losses(rng, (100, 3, 4), 0.02, 0.1)
    together = simultaneous_lower(differences, np.arange(100), seed=1)
    assert together.shape == (3, 4)
    for at in range(3):
        alone = simultaneous_lower(differences[:, at], np.arange(100), seed=1)
        assert together[at] == pytest.approx(alone, abs=0.012)  # other draws, the same law


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
    copied = np.repeat(differences, 40, axis=1)
    copies = simultaneous_lower(copied, np.arange(200), families=[0] * 40, seed=1)
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


def test_one_question_shows_nothing():
    # 95 % of all that could be is possible.
    differences = column([-0.5])
    assert simultaneous_lower(differences, ["d"], seed=0)[0] < -0.9
    low, high = simultaneous_interval(differences, ["d"], seed=0)
    assert low[0] < 0 < high[0]


def test_two_sided_bounds_of_equal_trials_hold_0_and_of_much_worse_ones_do_not():
    rng = np.random.default_rng(3)
    equal, worse = losses(rng, (300, 1), 0.0, 0.05), losses(rng, (300, 1), 0.3, 0.05)
    low, high = simultaneous_interval(np.hstack([equal, worse]), np.arange(300), seed=0)
    assert low[0] <= 0 <= high[0]
    assert high[1] < 0
    assert low[1] < worse.mean() < high[1]


def test_wins_and_losses_are_treated_alike():
    differences = losses(np.random.default_rng(8), (80, 6), 0.05, 0.04)
    low, high = simultaneous_interval(differences, np.arange(80), **MANY)
    low_turned, high_turned = simultaneous_interval(-differences, np.arange(80), **MANY)
    assert low_turned == pytest.approx(-high, abs=0.004)
    assert high_turned == pytest.approx(-low, abs=0.004)
    # The side with the longer tail decides how far both reach.
    alone = simultaneous_interval(-np.abs(differences), np.arange(80), seed=0)
    assert (alone[0] <= -np.abs(differences).mean(axis=0)).all()
    assert (alone[1] >= -np.abs(differences).mean(axis=0)).all()


def test_a_rare_loss_of_one_trial_doesn_t_widen_the_others():
    # Beside 30 trials of many small differences, one that lost one question of 200: its tail is
    # an exponential's, which in standard deviations reaches twice as far as a normal one.
    rng = np.random.default_rng(4)
    small = rng.choice([-0.5, 0.5], (200, 30))
    rare = column([-1.0] + [0.0] * 199)
    alone = simultaneous_lower(small, np.arange(200), **MANY)
    beside = simultaneous_lower(np.hstack([small, rare]), np.arange(200), **MANY)
    assert beside[:30] == pytest.approx(alone, abs=0.003)


def test_up_to_12_groups_all_signs_are_counted():
    # Differences 1, 1, 1, 1, 2: of 32 signs, only the two that are all alike reach 6.
    assert randomisation_p(np.array([1, 1, 1, 1, 2.0]), range(5), seed=0) == 2 / 32
    # 3, -1: sums 2, 4, -4, -2: all are at least 2 away.
    assert randomisation_p(np.array([3, -1.0]), range(2), seed=0) == 1
    # 3, 1: 4 and -4 of four.
    assert randomisation_p(np.array([3, 1.0]), range(2), seed=0) == 0.5


def test_the_test_flips_groups_and_not_questions():
    differences = np.repeat([1.0] * 15 + [-1.0] * 5, 3)
    # 5 or fewer of 20 signs on one side: 2 · (1 + 20 + 190 + 1140 + 4845 + 15504)/2^20 = 0.0414.
    by_group = randomisation_p(differences, np.repeat(range(20), 3), seed=0, draws=40_000)
    assert by_group == pytest.approx(0.0414, abs=0.004)
    assert randomisation_p(differences, range(60), seed=0) < 0.001


def test_of_few_groups_the_questions_are_flipped():
    # Six questions of two documents, for these documents: six signs, p = 2/64.
    assert randomisation_p(np.ones(6), [0, 0, 0, 1, 1, 1], seed=0) == 2 / 64


def test_a_sample_of_signs_agrees_with_all_of_them():
    # 13 groups: all 8,192 signs by brute force.
    values = np.array([0.5, -0.2, 0.1, 0.9, 0.4, -0.3, 0.2, 0.6, -0.1, 0.3, 0.7, -0.4, 0.25])
    signs = np.array(list(itertools.product([1, -1], repeat=13)))
    exact = (np.abs(signs @ values) >= abs(values.sum()) - 1e-12).mean()
    assert randomisation_p(values, range(13), seed=0, draws=20_000) == pytest.approx(
        exact, abs=0.006
    )


def test_what_a_few_draws_reach_is_told_exactly_and_the_rest_is_drawn_on():
    # 12 of 14 questions won: 2 · (1 + 14 + 91)/2^14 = 0.01294, some 13 of 1,000 draws. 10 of 14:
    # 2 · (1 + 14 + 91 + 364 + 1001)/2^14 = 0.1796, far over 20 of 1,000, where it ends.
    rare, common = column([1.0] * 12 + [-1.0] * 2), column([1.0] * 10 + [-1.0] * 4)
    both = np.hstack([rare, common])
    short = randomisation_ps(both, range(14), seed=0, draws=1000)
    longer = randomisation_ps(both, range(14), seed=0, draws=1000, at_most=100_000)
    assert longer[0] == pytest.approx(0.01294, abs=0.0012)  # three standard errors of 100,000
    assert longer[1] == short[1] == pytest.approx(0.1796, abs=0.04)


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
    families = np.array([[0.04, 0.01, 0.03, 0.02], [0.5, 0.9, 0.9, 0.9]])
    assert holm(families)[0] == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm(families)[1].tolist() == [1, 1, 1, 1]


def test_holm_keeps_the_family_s_error():
    # 10 true null hypotheses, uniform p-values: one is rejected in 5 % of 4,000 families.
    families = np.random.default_rng(6).random((4000, 10))
    rejected = (holm(families) <= 0.05).any(axis=1).mean()
    assert 0.04 <= rejected <= 0.06


def test_the_smallest_margin_is_three_in_n():
    # 1 - 0.05**(1/100) = 0.02951; nine at once: 1 - 0.95**(1/9) = 0.005683, so 0.05039.
    assert smallest_margin(100) == pytest.approx(0.02951, abs=5e-6)
    assert smallest_margin(100, 9) == pytest.approx(0.05039, abs=5e-6)
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


def test_groups_of_unequal_size_need_more_questions():
    # As many groups of one size as 58.4: of 80 groups of one and 20 of ten questions 37.69 tell
    # as much (280²/2080), so 280/37.69 = 7.429 questions to each: 433.8.
    groups = np.repeat(np.arange(100), np.resize([1, 1, 1, 1, 10], 100))
    assert questions_needed(np.zeros(280), groups, margin=0.05) == 434


def test_no_number_of_questions_shows_what_isn_t_so():
    assert questions_needed(np.array([-0.5, 0.0] * 20), range(40), margin=0.05) is None
    assert questions_needed(np.array([-0.02]), ["d"], margin=0.05) is None


def test_questions_that_separate_two_trials_by_hand():
    # As above: mean -0.02, s = 0.2010. (1.960 + 0.8416)² · (s/0.02)² = 792.8 for 80 % power.
    differences = np.array([-0.22, 0.18] * 50)
    assert questions_to_separate(differences, range(100)) == 793
    assert questions_to_separate(np.zeros(30), range(30)) is None


def test_the_smallest_difference_by_hand():
    # Standard errors 0.2010/10 and 0.4020/10: their median 0.03015, times 2.8016 = 0.08447.
    small, large = column([-0.22, 0.18] * 50), column([-0.44, 0.36] * 50)
    zero = np.zeros((100, 1))
    found = smallest_difference(np.hstack([small, zero, large]), range(100))
    assert found == pytest.approx(0.08447, abs=2e-5)
    # Where no difference shows a spread: 1 - 0.05**(1/100).
    assert smallest_difference(zero, range(100)) == pytest.approx(0.02951, abs=5e-6)


def test_the_best_of_many_equal_trials_looks_better_than_it_is():
    # The largest of 20 independent standard normal means is 1.867 too high (Teichroew's table of
    # order statistics); here a standard error is 0.5/sqrt(400) = 0.025.
    rng = np.random.default_rng(0)
    values = [(rng.random((400, 20)) < 0.5) * 1.0 for _ in range(40)]
    found = [optimism(one, range(400), seed=at, resamples=500) for at, one in enumerate(values)]
    true = [one.mean(axis=0).max() - 0.5 for one in values]
    assert np.mean(true) == pytest.approx(1.867 * 0.025, abs=0.006)
    # The bootstrap sees the differences that chance made as real ones: it says somewhat less.
    assert 0.55 * np.mean(true) <= np.mean(found) <= np.mean(true)
    assert abs(optimism(values[0][:, :1], range(400), seed=0)) < 0.002


def test_a_margin_in_another_unit_is_refused():
    with pytest.raises(SpecError, match="a margin of 5"):
        questions_needed(np.zeros(3), range(3), margin=5)


def test_a_trial_that_loses_everything_everywhere_spoils_no_other_bound() -> None:
    draw = np.random.default_rng(3)
    fair = draw.choice([-1.0, 0.0, 1.0], size=(60, 2), p=[0.1, 0.8, 0.1])
    groups = [str(at) for at in range(60)]
    alone = simultaneous_lower(fair, groups, **MANY)
    hopeless = np.hstack([fair, np.full((60, 1), -1.0)])
    beside = simultaneous_lower(hopeless, groups, **MANY)
    assert beside[:2] == pytest.approx(alone, abs=0.003)
    assert beside[2] == -1
    low, high = simultaneous_interval(hopeless, groups, seed=0)
    assert np.isfinite([*low, *high]).all()
    assert high[2] < 0
