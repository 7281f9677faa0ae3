"""Intervals of means: by group, never of zero width, and each by the method that it needs."""

from __future__ import annotations

import numpy as np
import pytest

from mox.errors import DataError
from mox.evaluation.statistics import group_sums, interval_methods, mean_intervals, scope


def column(values):
    return np.array(values, float)[:, None]


def test_sums_are_by_group_and_leave_unanswerable_questions_out():
    table = group_sums(np.array([[1, 0], [0.5, 1], [np.nan, np.nan], [0, 1]]), ["b", "a", "c", "b"])
    assert table.sums.tolist() == [[0.5, 1], [1, 1]]  # a, b; c has no answerable question
    assert table.counts.tolist() == [1, 2]
    assert table.means.tolist() == [0.5, 2 / 3]


def test_a_number_that_one_trial_lacks_is_named():
    with pytest.raises(DataError, match="trial 1 has no number for question 2"):
        group_sums(np.array([[1, 1], [0, 0], [0, np.nan]]), [0, 1, 2])


def test_no_answerable_question_is_refused():
    with pytest.raises(DataError, match="no answerable question"):
        mean_intervals(column([np.nan, np.nan]), [0, 1], seed=0)


def test_groups_of_another_length_are_refused():
    with pytest.raises(DataError, match="with 1 groups"):
        mean_intervals(column([1, 0]), [0], seed=0)


def test_values_outside_their_bounds_are_refused():
    with pytest.raises(DataError, match="outside their bounds"):
        mean_intervals(column([0.5, 1.2]), [0, 1], seed=0)
    with pytest.raises(DataError, match="outside their bounds"):
        mean_intervals(column([0.5, -0.2]), [0, 1], seed=0)
    mean_intervals(column([0.5, -0.2]), [0, 1], seed=0, bounds=(-1, 1))


def test_the_interval_is_that_of_the_normal_approximation_where_that_holds():
    # 400 values, half 0.25 and half 0.75: mean 0.5, standard error 0.25/sqrt(400) = 0.0125;
    # 1.96 of them are 0.0245. 2,000 resamples know a quantile to some 3 %.
    values = column([0.25, 0.75] * 200)
    low, high = mean_intervals(values, np.arange(400), seed=3)
    assert low[0] == pytest.approx(0.5 - 0.0245, abs=0.0015)
    assert high[0] == pytest.approx(0.5 + 0.0245, abs=0.0015)


def test_groups_are_resampled_and_not_their_questions():
    # 40 groups of 10 equal questions: as 400 independent questions the interval would be
    # sqrt(10) times narrower. Standard error of 40 groups: 0.25/sqrt(39) = 0.0400.
    groups = np.repeat(np.arange(40), 10)
    values = column(np.repeat([0.25, 0.75] * 20, 10))
    low, high = mean_intervals(values, groups, seed=3)
    assert high[0] - low[0] == pytest.approx(2 * 1.96 * 0.0400, rel=0.06)
    low, high = mean_intervals(values, np.arange(400), seed=3)
    assert high[0] - low[0] == pytest.approx(2 * 1.96 * 0.0125, rel=0.06)


def test_the_same_seed_gives_the_same_interval_and_neighbours_don_t_matter():
    rng = np.random.default_rng(0)
    rare = (np.arange(60) < 2)[:, None] * 1.0
    values = np.hstack([(rng.random((60, 1)) < 0.5) * 1.0, rare, np.ones((60, 1))])
    groups = np.arange(60)
    assert interval_methods(values, groups) == ("wilson", "bounded", "exact")
    together = mean_intervals(values, groups, seed=5)
    for at in range(3):
        alone = mean_intervals(values[:, [at]], groups, seed=5)
        assert alone[0][0] == pytest.approx(together[0][at], abs=1e-12)
        assert alone[1][0] == pytest.approx(together[1][at], abs=1e-12)
    assert mean_intervals(values, groups, seed=6)[0][1] != together[0][1]


def test_the_order_of_questions_doesn_t_matter():
    rng = np.random.default_rng(1)
    values, groups = rng.random((90, 2)), np.array([f"g{n % 31}" for n in range(90)])
    turned = rng.permutation(90)
    one = mean_intervals(values, groups, seed=2)
    other = mean_intervals(values[turned], groups[turned], seed=2)
    assert one[0] == pytest.approx(other[0], abs=1e-12)
    assert one[1] == pytest.approx(other[1], abs=1e-12)


def test_unanswerable_questions_change_nothing():
    values = column([0.2, 0.8, 0.4, 0.9] * 10)
    groups = np.arange(40)
    more = np.vstack([values, [[np.nan]] * 5])
    assert mean_intervals(more, np.append(groups, [0, 1, 99, 98, 97]), seed=1) == (
        mean_intervals(values, groups, seed=1)
    )


@pytest.mark.parametrize(("value", "low", "high"), [(1.0, 0.8843, 1), (0.0, 0, 0.1157)])
def test_all_equal_scores_get_clopper_and_pearson_s_interval(value, low, high):
    # 30 of 30, or 0 of 30, in Clopper and Pearson's 95 % table: 0.8843 to 1; 0 to 0.1157.
    found = mean_intervals(column([value] * 30), np.arange(30), seed=0)
    assert interval_methods(column([value] * 30), np.arange(30)) == ("exact",)
    assert (found[0][0], found[1][0]) == pytest.approx((low, high), abs=5e-5)


def test_all_equal_scores_between_the_bounds_get_a_width_too():
    # 30 groups at 0.4: a share of 1 - 0.025**(1/30) = 0.1157 may be 0, or 1, unseen.
    low, high = mean_intervals(column([0.4] * 30), np.arange(30), seed=0)
    assert low[0] == pytest.approx(0.4 * (1 - 0.1157), abs=5e-5)
    assert high[0] == pytest.approx(0.4 + 0.6 * 0.1157, abs=5e-5)


@pytest.mark.parametrize(
    ("hits", "low", "high"), [(29, 0.8278, 0.9992), (1, 0.0008, 0.1722), (28, 0.7793, 0.9918)]
)
def test_near_a_bound_it_is_clopper_and_pearson_s_too(hits, low, high):
    # Their 95 % table for 29, 1 and 28 of 30.
    values = column([1.0] * hits + [0.0] * (30 - hits))
    assert interval_methods(values, np.arange(30)) == ("bounded",)
    found = mean_intervals(values, np.arange(30), seed=0, resamples=20_000)
    assert (found[0][0], found[1][0]) == pytest.approx((low, high), abs=0.006)


def test_wilson_s_interval_by_hand():
    # 40 of 100 hits. The spread over n - 1: p(1 - p)/99; t of 99 degrees 1.9842. So n is 99 in
    # Wilson's formula: centre (0.4 + 1.9842²/198)/(1 + 1.9842²/99) = 0.40382; half width
    # sqrt(1.9842² · 0.24/99 + (1.9842²/198)²)/(1 + 1.9842²/99) = 0.09589.
    values = column([1.0] * 40 + [0.0] * 60)
    assert interval_methods(values, np.arange(100)) == ("wilson",)
    low, high = mean_intervals(values, np.arange(100), seed=0)
    assert (low[0], high[0]) == pytest.approx((0.40382 - 0.09589, 0.40382 + 0.09589), abs=2e-5)


def test_one_large_group_among_many_small_ones_tells_no_spread():
    # 40 groups of one question and one of 100: 140²/(40 + 100²) = 1.95 of one size.
    values = column([0.4, 0.6] * 20 + [0.5] * 100)
    groups = np.append(np.arange(40), [40] * 100)
    assert interval_methods(values, groups) == ("bounded",)
    low, high = mean_intervals(values, groups, seed=0)
    assert low[0] < 0.2
    assert high[0] > 0.8


def test_few_groups_are_resampled_and_then_their_questions():
    # 4 groups of 100. The group means are 0.2, 0.4, 0.6, 0.8: drawing groups gives a variance of
    # 0.05/4 = 0.0125; within them 0/1 questions add (mean of p(1 - p) = 0.2)/400 = 0.0005.
    # 1.96 · sqrt(0.013) = 0.2235.
    values = column([1.0] * 20 + [0.0] * 80 + [1.0] * 40 + [0.0] * 60
                    + [1.0] * 60 + [0.0] * 40 + [1.0] * 80 + [0.0] * 20)  # fmt: skip
    groups = np.repeat(list("abcd"), 100)
    assert interval_methods(values, groups) == ("two-stage",)
    low, high = mean_intervals(values, groups, seed=0, resamples=8000)
    assert low[0] == pytest.approx(0.5 - 0.2235, abs=0.012)
    assert high[0] == pytest.approx(0.5 + 0.2235, abs=0.012)


def test_a_single_document_gives_an_interval_for_this_document():
    # One group: only its questions vary. 30 of 60: 0.5 ± 1.96 · sqrt(0.25/60) = 0.1265.
    values = column([1.0] * 30 + [0.0] * 30)
    low, high = mean_intervals(values, ["d"] * 60, seed=0, resamples=8000)
    assert (low[0], high[0]) == pytest.approx((0.5 - 0.1265, 0.5 + 0.1265), abs=0.012)
    assert scope(1).startswith("The questions are of one group")
    assert "for these documents only" in scope(19)
    assert scope(20) == ""


def test_few_groups_of_equal_scores_get_a_width_by_their_questions():
    # 60 questions all answered: 1 - 0.025**(1/60) = 0.0596 may be missed.
    low, high = mean_intervals(column([1.0] * 60), ["a"] * 30 + ["b"] * 30, seed=0)
    assert (low[0], high[0]) == pytest.approx((1 - 0.0596, 1), abs=5e-5)


def test_one_question_gives_no_interval():
    low, high = mean_intervals(column([0.2]), ["d"], seed=0)
    assert np.isnan([low[0], high[0]]).all()
    assert interval_methods(column([0.2]), ["d"]) == ("none",)


def test_two_questions_give_one_wider_than_what_they_show():
    low, high = mean_intervals(column([0.6, 0.7]), [0, 1], seed=0)
    assert low[0] < 0.4
    assert high[0] > 0.9


def test_differences_of_zero_get_an_interval_around_zero():
    # 1 - 0.025**(1/50) = 0.0711.
    low, high = mean_intervals(column([0] * 50), np.arange(50), seed=0, bounds=(-1, 1))
    assert (low[0], high[0]) == pytest.approx((-0.0711, 0.0711), abs=5e-5)


def test_one_far_question_is_enough_for_its_group():
    # 40 groups of 10; in half of them one question of 0 among those of 1: group means are 0.9 and
    # 1, questions are far apart.
    values = np.ones((400, 1))
    values[np.arange(0, 400, 20)] = 0.0
    groups = np.repeat(np.arange(40), 10)
    assert interval_methods(values - 0.5, groups, bounds=(-1, 1)) == ("wilson",)
    assert interval_methods(0.5 + 0.05 * values, groups) == ("rare",)
