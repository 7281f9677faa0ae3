"""Splitting by group and taking some questions."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mox.corpus.split import apply_split, limit
from mox.errors import DataError, SpecError
from mox.types import Corpus, Evidence, Question


def corpus(sizes: list[int], splits: list[str | None] = [None]) -> Corpus:  # noqa: B006
    """A corpus with groups of these sizes, mixed; `splits` in turn."""
    pairs = sorted((at, group) for group, size in enumerate(sizes) for at in range(size))
    return Corpus("c", (), tuple(
        Question(f"{group}-{at}", "?", f"group {group}", Evidence(), splits[n % len(splits)])
        for n, (at, group) in enumerate(pairs)
    ))  # fmt: skip


def splits_of(split: Corpus) -> dict[str, set[str | None]]:
    found: dict[str, set[str | None]] = {}
    for question in split.questions:
        found.setdefault(question.group, set()).add(question.split)
    return found


sizes = st.lists(st.integers(1, 30), min_size=1, max_size=30)


@given(sizes, st.floats(0, 1), st.integers(0, 2**32))
@settings(derandomize=True, max_examples=200, deadline=None)
def test_groups_stay_whole_and_shares_are_kept_to_half_a_group(sizes, share, seed):
    split = apply_split(corpus(sizes), test=share, seed=seed)
    assert all(len(found) == 1 for found in splits_of(split).values())
    test = sum(question.split == "test" for question in split.questions)
    assert abs(test - share * sum(sizes)) <= max(sizes) / 2 + 1e-6


@given(sizes, st.integers(0, 9), st.randoms(use_true_random=False))
@settings(derandomize=True, max_examples=50, deadline=None)
def test_the_order_of_questions_does_not_move_a_group(sizes, seed, random):
    whole = corpus(sizes)
    turned = list(whole.questions)
    random.shuffle(turned)
    assert splits_of(apply_split(whole, test=0.5, seed=seed)) == splits_of(
        apply_split(Corpus("c", (), tuple(turned)), test=0.5, seed=seed)
    )


def test_questions_keep_their_order_and_all_else():
    whole = corpus([2, 3])
    split = apply_split(whole, test=0.5, seed=0)
    assert [(q.id, q.group) for q in split.questions] == [(q.id, q.group) for q in whole.questions]


def test_another_seed_splits_otherwise():
    found = {
        str(splits_of(apply_split(corpus([3] * 10), test=0.5, seed=seed))) for seed in range(5)
    }
    assert len(found) > 1


@pytest.mark.parametrize(("share", "split"), [(0.0, "dev"), (1.0, "test")])
def test_all_can_go_to_one_split(share, split):
    found = apply_split(corpus([1, 5, 2]), test=share, seed=0)
    assert {question.split for question in found.questions} == {split}


def test_a_single_group_is_to_choose_on():
    found = apply_split(corpus([7]), test=0.5, seed=0)
    assert {question.split for question in found.questions} == {"dev"}


def test_a_corpus_that_brings_a_split_keeps_it():
    brought = corpus([4, 4], ["dev", "test"])
    assert apply_split(brought, test=1.0, seed=0) is brought


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_is_between_0_and_1(share):
    with pytest.raises(SpecError, match="a share of"):
        apply_split(corpus([1]), test=share, seed=0)


def test_the_hash_seed_of_python_moves_nothing():
    code = """if True:
        from mox.corpus.split import apply_split
        from mox.types import Corpus, Evidence, Question
        questions = tuple(Question(str(n), "?", f"g{n % 40}", Evidence()) for n in range(200))
        split = apply_split(Corpus("c", (), questions), test=0.5, seed=3)
        print([question.split for question in split.questions])
    """
    said = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True, text=True, check=True, timeout=60,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(said) == 1


def test_a_limit_takes_the_first_of_one_split():
    whole = corpus([4, 4], ["dev", "test"])
    ids = [question.id for question in whole.questions]
    assert [q.id for q in limit(whole).questions] == ids
    assert [q.id for q in limit(whole, 3).questions] == ids[:3]
    assert [q.id for q in limit(whole, None, "test").questions] == ids[1::2]
    assert [q.id for q in limit(whole, 2, "test").questions] == [ids[1], ids[3]]
    assert Counter(q.split for q in limit(whole, 99, "dev").questions) == {"dev": 4}


def test_a_limit_that_leaves_nothing_is_refused():
    with pytest.raises(SpecError, match="a limit of 0 questions"):
        limit(corpus([1]), 0)
    with pytest.raises(SpecError, match="no split 'train'"):
        limit(corpus([1]), 1, "train")
    with pytest.raises(DataError, match="c: no question is in dev"):
        limit(corpus([1]), 1, "dev")
