"""Intervals of means: by group, never of zero width, and they cover what they claim."""

from __future__ import annotations

import numpy as np
import pytest

from mox.errors import DataError
from mox.evaluation.statistics import bootstrap_means, group_sums, interval_methods


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
        bootstrap_means(column([np.nan, np.nan]), [0, 1], seed=0)


def test_groups_of_another_length_are_refused():
    with pytest.raises(DataError, match="with 1 groups"):
        bootstrap_means(column([1, 0]), [0], seed=0)


def test_values_outside_their_bounds_are_refused():
    with pytest.raises(DataError, match="outside their bounds"):
        bootstrap_means(column([0.5, 1.2]), [0, 1], seed=0)
    with pytest.raises(DataError, match="outside their bounds"):
        bootstrap_means(column([0.5, -0.2]), [0, 1], seed=0)
    bootstrap_means(column([0.5, -0.2]), [0, 1], seed=0, bounds=(-1, 1))


def test_the_interval_is_that_of_the_normal_approximation_where_that_holds():
    # 400 values, half 0.25 and half 0.75: mean 0.5, standard error 0.25/sqrt(400) = 0.0125;
    # 1.96 of them are 0.0245. 2,000 resamples know a quantile to some 3 %.
    values = column([0.25, 0.75] * 200)
    low, high = bootstrap_means(values, np.arange(400), seed=3)
    assert low[0] == pytest.approx(0.5 - 0.0245, abs=0.0015)
    assert high[0] == pytest.approx(0.5 + 0.0245, abs=0.0015)


def test_groups_are_resampled_and_not_their_questions():
    # 40 groups of 10 equal questions: as 400 independent questions the interval would be
    # sqrt(10) times narrower. Standard error of 40 groups: 0.25/sqrt(39) = 0.0400.
    groups = np.repeat(np.arange(40), 10)
    values = column(np.repeat([0.25, 0.75] * 20, 10))
    low, high = bootstrap_means(values, groups, seed=3)
    assert high[0] - low[0] == pytest.approx(2 * 1.96 * 0.0400, rel=0.06)
    low, high = bootstrap_means(values, np.arange(400), seed=3)
    assert high[0] - low[0] == pytest.approx(2 * 1.96 * 0.0125, rel=0.06)


def test_the_same_seed_gives_the_same_interval_and_neighbours_don_t_matter():
    rng = np.random.default_rng(0)
    values = np.hstack([(rng.random((60, 1)) < 0.5) * 1.0, rng.random((60, 1)), np.ones((60, 1))])
    groups = np.arange(60)
    together = bootstrap_means(values, groups, seed=5)
    for at in range(3):
        alone = bootstrap_means(values[:, [at]], groups, seed=5)
        assert alone[0][0] == pytest.approx(together[0][at], abs=1e-12)
        assert alone[1][0] == pytest.approx(together[1][at], abs=1e-12)
    assert bootstrap_means(values, groups, seed=6)[0][1] != together[0][1]


def test_the_order_of_questions_doesn_t_matter():
    rng = np.random.default_rng(1)
    values, groups = rng.random((50, 2)), np.array([f"g{n % 17}" for n in range(50)])
    turned = rng.permutation(50)
    one = bootstrap_means(values, groups, seed=2)
    other = bootstrap_means(values[turned], groups[turned], seed=2)
    assert one[0] == pytest.approx(other[0], abs=1e-12)
    assert one[1] == pytest.approx(other[1], abs=1e-12)


def test_unanswerable_questions_change_nothing():
    values = column([0.2, 0.8, 0.4, 0.9] * 10)
    groups = np.arange(40)
    more = np.vstack([values, [[np.nan]] * 5])
    assert bootstrap_means(more, np.append(groups, [0, 1, 99, 98, 97]), seed=1) == (
        bootstrap_means(values, groups, seed=1)
    )


@pytest.mark.parametrize(("value", "low", "high"), [(1.0, 0.8843, 1), (0.0, 0, 0.1157)])
def test_all_equal_scores_get_clopper_and_pearson_s_interval(value, low, high):
    # 30 of 30, or 0 of 30, in Clopper and Pearson's 95 % table: 0.8843 to 1; 0 to 0.1157.
    found = bootstrap_means(column([value] * 30), np.arange(30), seed=0)
    assert interval_methods(column([value] * 30), np.arange(30)) == ("exact",)
    assert (found[0][0], found[1][0]) == pytest.approx((low, high), abs=5e-5)


def test_all_equal_scores_between_the_bounds_get_a_width_too():
    # 30 groups at 0.4: a share of 1 - 0.025**(1/30) = 0.1157 may be 0, or 1, unseen.
    low, high = bootstrap_means(column([0.4] * 30), np.arange(30), seed=0)
    assert low[0] == pytest.approx(0.4 * (1 - 0.1157), abs=5e-5)
    assert high[0] == pytest.approx(0.4 + 0.6 * 0.1157, abs=5e-5)


@pytest.mark.parametrize(
    ("hits", "low", "high"), [(29, 0.8278, 0.9992), (1, 0.0008, 0.1722), (28, 0.7793, 0.9918)]
)
def test_near_a_bound_it_is_clopper_and_pearson_s_too(hits, low, high):
    # Their 95 % table for 29, 1 and 28 of 30.
    values = column([1.0] * hits + [0.0] * (30 - hits))
    assert interval_methods(values, np.arange(30)) == ("bounded",)
    found = bootstrap_means(values, np.arange(30), seed=0, resamples=20_000)
    assert (found[0][0], found[1][0]) == pytest.approx((low, high), abs=0.006)


def test_one_group_gives_no_interval():
    values = column([0.2, 0.8, 0.4])
    low, high = bootstrap_means(values, ["d", "d", "d"], seed=0)
    assert np.isnan([low[0], high[0]]).all()
    assert interval_methods(values, ["d", "d", "d"]) == ("none",)


def test_two_groups_give_one_wider_than_what_they_show():
    low, high = bootstrap_means(column([0.6, 0.7]), [0, 1], seed=0)
    assert low[0] < 0.4
    assert high[0] > 0.9


def test_differences_of_zero_get_an_interval_around_zero():
    # 1 - 0.025**(1/50) = 0.0711.
    low, high = bootstrap_means(column([0] * 50), np.arange(50), seed=0, bounds=(-1, 1))
    assert (low[0], high[0]) == pytest.approx((-0.0711, 0.0711), abs=5e-5)


def recalls(rng, mean, shape):
    """Scores as recall has them: 0, 1, and some between."""
    u = rng.random(shape)
    return np.where(u < mean - 0.05, 1.0, np.where(u < mean + 0.05, rng.random(shape), 0.0))


def covered(values, mean, **more):
    """Share of columns, each a question set of its own, whose interval holds the true mean."""
    low, high = bootstrap_means(values, np.arange(len(values)), seed=0, **more)
    return float(((low <= mean) & (mean <= high)).mean())


@pytest.mark.parametrize("mean", [0.1, 0.3, 0.6, 0.85, 0.95])
def test_intervals_of_100_groups_cover_the_true_mean(mean):
    """300 sets: at 95 % the share has a standard error of 1.3 points."""
    values = recalls(np.random.default_rng(7), mean, (100, 300))
    assert 0.90 <= covered(values, mean, resamples=1000) <= 1.0
    assert covered(values, mean, resamples=1000, level=0.5) < 0.75


@pytest.mark.slow
@pytest.mark.parametrize("groups", [30, 100, 300])
@pytest.mark.parametrize("kind", ["hits", "recalls"])
def test_coverage_by_10_000_sets(groups, kind):
    """Over 93 % everywhere; at most 97 % well between the bounds, where the bootstrap serves."""
    rng = np.random.default_rng(groups)
    for mean in (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 0.98):
        shape = (groups, 10_000)
        half = min(0.05, mean, 1 - mean)
        if kind == "hits":
            values = (rng.random(shape) < mean) * 1.0
        else:
            u = rng.random(shape)
            between = np.where(u < mean + half, rng.random(shape), 0.0)
            values = np.where(u < mean - half, 1.0, between)
        share = covered(values, mean)
        print(f"{kind} n={groups} mean={mean}: {share:.4f}")  # noqa: T201
        assert share >= 0.93
        if groups >= 100 and 0.2 <= mean <= 0.8:
            assert share <= 0.97
