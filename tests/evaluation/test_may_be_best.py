"""Who may be the truly best, by tests of each trial against the best here."""

from __future__ import annotations

import numpy as np
import pytest

from mox.evaluation.statistics import may_be_best


def lost(*counts, groups=40):
    """Trials that lose so many of the groups, each its own ones, and tie in all others."""
    found = np.zeros((groups, len(counts)))
    first = 0
    for trial, count in enumerate(counts):
        found[first : first + count, trial] = -1
        first += count
    return found


def test_a_trial_is_out_where_its_p_is_small_after_correction_for_all_that_score_otherwise():
    # Lost in n groups and won in none: p = 2/2^n. 6: 0.031; 7: 0.0156; 8: 0.0078.
    def out(*counts):
        return (~may_be_best(lost(*counts), range(40), seed=0)).tolist()

    assert out(6) == [True]
    assert out(5) == [False]
    assert out(6, 1) == [False, False], "0.031 of two is 0.062"
    assert out(7, 1) == [True, False]
    assert out(8, 1, 2, 3, 4) == [True, False, False, False, False]
    # Four that score alike are one: still two others.
    same = np.hstack([lost(7, 1), lost(7, 1)[:, [1, 1, 1]]])
    assert may_be_best(same, range(40), seed=0).tolist() == [False, True, True, True, True]


def test_the_unit_of_being_best_is_the_group():
    # 24 questions lost, of 4 groups: p = 2/2^4.
    differences = np.repeat(lost(4, groups=30), 6, axis=0)
    assert may_be_best(differences, np.repeat(range(30), 6), seed=0).all()
    assert not may_be_best(differences, range(180), seed=0).any()


@pytest.mark.parametrize("size", [1, 10], ids=["even", "uneven"])
def test_the_truly_best_is_seldom_out(size):
    """Ten trials whose true means are equal, so that any is truly best: how often is the first out?

    In 30 groups; uneven: each fifth has ten questions of one outcome, all others one.
    """
    rng, sets, out = np.random.default_rng(5), 1000, 0
    counts = np.where(np.arange(30) % 5 == 4, size, 1)
    groups = np.repeat(range(30), counts)
    for at in range(sets):
        hard = rng.random((30, 1))
        found = (0.7 * hard + 0.3 * rng.random((30, 10)) < 0.5).astype(float)[groups]
        best = int(found.mean(axis=0).argmax())
        if best:
            others = np.delete(found - found[:, [best]], best, axis=1)
            out += not may_be_best(others, groups, draws=1000, seed=at)[0]
    # Were it 5 %, over 67 of 1,000 would be out in 1 % of such runs.
    assert out <= 67


@pytest.mark.parametrize(("groups", "trials"), [(30, 2), (100, 2), (100, 10), (300, 10)])
def test_the_truly_best_is_seldom_out_where_it_wins_seldom_and_by_much(groups, trials):
    """The first finds alone what 3 % of the questions need, and ranks each other one a little
    lower in 60 % of cases: its true mean is higher by 0.03 − 0.97 · 0.6 · 0.05 = 0.0009."""
    rng, sets, out = np.random.default_rng(groups), 400, 0
    for at in range(sets):
        small = np.where(rng.random((groups, trials - 1)) < 0.6, 0.05, 0.0)
        others = np.where(rng.random((groups, 1)) < 0.03, -1.0, small)
        scores = np.hstack([np.zeros((groups, 1)), others])
        best = int(scores.mean(axis=0).argmax())
        if best:
            less = np.delete(scores - scores[:, [best]], best, axis=1)
            out += not may_be_best(less, np.arange(groups), draws=500, seed=at)[0]
    # Were it 5 %, over 32 of 400 would be out in 0.5 % of such runs.
    assert out <= 32
