"""How often the rule of choosing errs, and how often it helps, by simulation.

Scores are 0/1, as hits are; trials share a latent difficulty of each question, so that they go
together as trials of one sweep do. The rule is that of `results.choose`: of the trials whose
simultaneous lower bound to the best-on-dev is above −within, the cheapest is taken.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest

from mox.evaluation.statistics import holm, randomisation_ps, simultaneous

TOP = 0.8
BLOCK = 500
"""Question sets at a time."""


def scores(rng, groups, sets, means, together):
    """(groups, sets, trials) hits; `together` is the correlation of the latent difficulty."""
    shape = (groups, sets, len(means))
    common, own = rng.standard_normal((*shape[:2], 1)), rng.standard_normal(shape)
    latent = np.sqrt(together) * common + np.sqrt(1 - together) * own
    return (latent < [NormalDist().inv_cdf(mean) for mean in means]) * 1.0


def rates(groups, together, gap, *, within, cheaper, sets):
    """One dear trial and `cheaper` cheap ones, worse by `gap`, the last one cheapest.

    Returns:
        Shares of sets: a trial is taken that is truly more than `within` worse than the
        best-on-dev; a cheap trial qualifies; the best-on-dev isn't the best.
    """
    means = np.array([TOP, *[TOP - gap] * cheaper])
    rng = np.random.default_rng(groups)
    found = np.zeros(3)
    for start in range(0, sets, BLOCK):
        size = min(BLOCK, sets - start)
        values = scores(rng, groups, size, means, together)
        best = values.mean(axis=0).argmax(axis=1)
        others = np.array([[at for at in range(len(means)) if at != one] for one in best])
        differences = np.take_along_axis(values, others[None], 2) - np.take_along_axis(
            values, best[None, :, None], 2
        )
        bounds = simultaneous(differences, range(groups), seed=start, resamples=500)
        right = bounds.lower > -within
        last = cheaper - 1 - right[:, ::-1].argmax(axis=1)
        cheapest = np.take_along_axis(others, last[:, None], 1)[:, 0]
        taken = np.where(right.any(axis=1), cheapest, best)
        found += [
            (means[taken] < means[best] - within - 1e-12).sum(),
            right.mean(axis=1).sum(),
            (means[best] < TOP).sum(),
        ]
    return found / sets


@pytest.mark.parametrize(("within", "gap"), [(0.05, 0.051), (0.09, 0.1), (0.045, 0.05)])
@pytest.mark.parametrize("together", [0.9, 0.998])
def test_a_trial_beyond_the_margin_is_seldom_taken(together, within, gap):
    wrong, _, _ = rates(100, together, gap, within=within, cheaper=5, sets=1000)
    assert wrong <= 0.05 + 2.33 * 0.0069  # 1,000 sets know 5 % to 0.69 points


def test_an_equal_cheaper_trial_qualifies_where_there_are_questions_enough():
    _, right, _ = rates(300, 0.98, 0.0, within=0.05, cheaper=5, sets=500)
    assert right > 0.5
    _, right, _ = rates(300, 0.998, 0.0, within=0.05, cheaper=5, sets=500)
    assert right > 0.9


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("groups", [30, 100, 300])
def test_choosing_by_10_000_sets(groups):
    """The error at planted gaps, within just under and well under them; the power beside it."""
    for together in (0.7, 0.98, 0.998):
        for gap, within in ((0, 0.05), (0.02, 0.019), (0.05, 0.049), (0.1, 0.05), (0.1, 0.099)):
            for cheaper in (1, 5, 20):
                many = 10_000 if cheaper < 20 else 2500
                wrong, right, misled = rates(
                    groups, together, gap, within=within, cheaper=cheaper, sets=many
                )
                print(  # noqa: T201
                    f"n={groups} correlation={together} cheaper={cheaper} gap={gap}"
                    f" within={within}: wrongly taken {wrong:.4f}, qualifies {right:.3f},"
                    f" best-on-dev isn't the best {misled:.3f}"
                )
                # 99 % lower bound of the error at most 5 %.
                assert wrong - 2.33 * np.sqrt(wrong * (1 - wrong) / many) <= 0.05


def wrongly_different(groups, sets, trials=10):
    """Share of sets in which a trial that equals the baseline is called different, by Holm."""
    rng = np.random.default_rng(groups)
    wrong = 0
    for _ in range(sets // BLOCK):
        values = scores(rng, groups, BLOCK, [0.6] * (trials + 1), 0.8)
        differences = (values[..., 1:] - values[..., :1]).reshape(groups, -1)
        found = randomisation_ps(differences, range(groups), seed=0, draws=1000)
        wrong += (holm(found.reshape(BLOCK, trials)) <= 0.05).any(axis=1).sum()
    share = wrong / sets
    print(f"n={groups}: {share:.4f} of {sets} families")  # noqa: T201
    # 99 % lower bound; and a test that never rejects would be none.
    return share - 2.33 * np.sqrt(share * (1 - share) / sets) <= 0.05 and share > 0.001


def test_trials_equal_to_the_baseline_are_seldom_called_different():
    assert wrongly_different(100, 2000)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("groups", [30, 100, 300])
def test_the_family_s_error_by_10_000_sets(groups):
    assert wrongly_different(groups, 10_000)


def wrongly_held(groups, gap, within, cheaper, sets):
    """Share of sets in which a trial beyond the margin is taken, where constraints were held on
    the very questions that lose quality: what an index misses is what it loses.

    An exact trial, and `cheaper` approximate ones that miss each question's evidence with the
    probability that makes the gap. About half of them keep the bound, by luck of the questions;
    those that don't stay in the family over which bounds are simultaneous (`results.sift`).
    """
    rng, missing, wrong = np.random.default_rng(groups), gap / TOP, 0
    for start in range(0, sets, BLOCK):
        size = min(BLOCK, sets - start)
        exact = rng.random((groups, size)) < TOP
        missed = rng.random((groups, size, cheaper)) < missing
        differences = -1.0 * (exact[..., None] & missed)
        keeps = missed.mean(axis=0) <= missing
        bounds = simultaneous(differences, range(groups), seed=start, resamples=500)
        wrong += (keeps & (bounds.lower > -within)).any(axis=1).sum()
    return wrong / sets


@pytest.mark.parametrize("cheaper", [1, 5])
def test_a_bound_on_agreement_by_the_same_questions_adds_no_error(cheaper):
    wrong = wrongly_held(100, 0.051, 0.05, cheaper, 1000)
    assert wrong <= 0.05 + 2.33 * 0.0069


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("groups", [30, 100, 300])
def test_a_bound_on_agreement_adds_no_error_by_10_000_sets(groups):
    for gap, within in ((0.02, 0.019), (0.05, 0.049), (0.1, 0.099), (0.15, 0.149)):
        for cheaper in (1, 5, 20):
            wrong = wrongly_held(groups, gap, within, cheaper, 10_000 if cheaper < 20 else 2500)
            print(f"n={groups} cheaper={cheaper} gap={gap}: {wrong:.4f}")  # noqa: T201
            assert wrong <= 0.05 + 2.33 * 0.0044


def wrongly_within(sizes, together, gap, within, cheaper, sets):
    """Share of 100 groups' sets in which a trial that is `gap` worse than the best is within the
    margin, where groups are of unequal sizes, which come in turn: the best loses nothing, and
    each cheaper trial loses some questions, beta-binomial by group with an intraclass correlation
    of `together`.
    """
    rng, wrong = np.random.default_rng(11), 0
    sizes = np.resize(sizes, 100)
    names, weight = np.repeat(np.arange(100), sizes), (1 - together) / together
    for start in range(0, sets, BLOCK // 2):
        shape = (100, min(BLOCK // 2, sets - start), cheaper)
        chance = rng.beta(gap * weight, (1 - gap) * weight, shape)
        lost = rng.binomial(sizes[:, None, None], chance) / sizes[:, None, None]
        differences = -np.repeat(lost, sizes, axis=0)
        bounds = simultaneous(differences, names, seed=start, resamples=400)
        wrong += (bounds.lower > -within).any(axis=1).sum()
    return wrong / sets


def test_groups_of_unequal_size_hide_no_loss_that_a_large_one_may_bring():
    wrong = wrongly_within([1, 1, 1, 1, 10], 0.8, 0.1005, 0.1, 5, 250)
    assert wrong <= 0.05 + 2.33 * 0.0138  # 250 sets know 5 % to 1.38 points


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("sizes", [[1, 2, 3, 5, 8], [1, 1, 1, 1, 10], [1, 2, 3, 5, 8, 20]])
def test_choosing_by_groups_of_unequal_size_by_2_000_sets(sizes):
    for together in (0.3, 0.5, 0.8):
        for gap, within in ((0.1005, 0.1), (0.051, 0.05)):
            for cheaper in (1, 5):
                wrong = wrongly_within(sizes, together, gap, within, cheaper, 2000)
                print(  # noqa: T201
                    f"sizes={sizes} correlation={together} cheaper={cheaper} gap={gap}: {wrong:.4f}"
                )
                assert wrong <= 0.05 + 2.33 * 0.0049  # 2,000 sets know 5 % to 0.49 points
