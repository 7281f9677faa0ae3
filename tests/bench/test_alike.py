"""Two stores' answers beside each other: by id, by recall, and with a margin that can be kept."""

from __future__ import annotations

import numpy as np
import pytest

from mox.bench.alike import alike
from mox.errors import DataError
from mox.indexes.exact import nearest
from mox.types import Hits

DRAW = np.random.default_rng(0)
VECTORS = DRAW.normal(size=(500, 16)).astype(np.float32)
VECTORS /= np.linalg.norm(VECTORS, axis=1, keepdims=True)
QUERIES = DRAW.normal(size=(400, 16)).astype(np.float32)
QUERIES /= np.linalg.norm(QUERIES, axis=1, keepdims=True)
TRUTH = Hits(*nearest(VECTORS, QUERIES, 10))


def losing(share: float, seed: int = 0) -> Hits:
    """The truth, with its last hit replaced by a far row in a share of questions."""
    ids = TRUTH.ids.copy()
    lost = np.random.default_rng(seed).uniform(size=len(ids)) < share
    ids[lost, -1] = nearest(VECTORS, -QUERIES, 1)[0][lost, 0]
    return Hits(ids, TRUTH.scores)


def test_two_exact_answers_are_the_same_and_equivalent() -> None:
    found = alike(VECTORS, QUERIES, (TRUTH, TRUTH), TRUTH)
    assert found.recall == (1.0, 1.0)
    assert found.overlap == found.same == 1.0
    assert found.equivalent
    # No loss in 400 questions: an unseen one may still befall some 3.7 of 400 (ln(0.025)/400).
    assert found.difference[0] == 0.0
    assert 0.005 < found.difference[2] < 0.015


def test_equal_rows_may_change_places() -> None:
    vectors = VECTORS.copy()
    vectors[1] = vectors[0]
    asked = vectors[:1]
    truth = Hits(*nearest(vectors, asked, 10))
    assert truth.ids[0, :2].tolist() == [0, 1]
    swapped = truth.ids.copy()
    swapped[0, :2] = [1, 0]
    found = alike(vectors, asked, (truth, Hits(swapped, truth.scores)), truth)
    assert found.same == 1.0


def test_a_share_of_losses_is_counted_by_hand() -> None:
    half = losing(0.5)
    lost = (half.ids != TRUTH.ids).any(axis=1).mean()
    found = alike(VECTORS, QUERIES, (TRUTH, half), TRUTH)
    assert found.recall == (1.0, pytest.approx(1 - lost / 10))
    assert found.overlap == pytest.approx(1 - lost / 10)
    assert found.same == pytest.approx(1 - lost)
    assert found.difference[0] == pytest.approx(-lost / 10)
    assert not found.equivalent, "5 points of recall are no tie"


@pytest.mark.parametrize("turned", [False, True])
def test_a_mean_within_the_margin_is_not_enough(turned: bool) -> None:
    """18 % of questions lose one hit of ten: 1.8 points on average, and surely no more than 2?"""
    pair = (losing(0.18), TRUTH) if turned else (TRUTH, losing(0.18))
    found = alike(VECTORS, QUERIES, pair, TRUTH)
    assert abs(found.difference[0]) < found.margin
    assert not found.equivalent


def test_few_questions_prove_nothing() -> None:
    few = Hits(TRUTH.ids[:20], TRUTH.scores[:20])
    found = alike(VECTORS, QUERIES[:20], (few, few), few)
    assert found.same == 1.0
    assert not found.equivalent, "20 questions can't show 2 points"


def test_documents_of_many_questions_hide_no_likeness() -> None:
    """Two graphs that lose one hit of ten in 5 % of questions each, other ones: what they differ by
    has nothing to do with documents, so one of 40 questions that wasn't seen is no whole document
    lost. Of 400 questions a loss that none showed may befall 3.7: 0.9 points."""
    sizes = [40, 30, 20, 20, 15, 15, 10, 10, 10, 10, *[5] * 20, *[4] * 20, *[2] * 20]
    documents = [f"d{at}" for at, size in enumerate(sizes) for _ in range(size)]
    pair = (losing(0.05, seed=1), losing(0.05, seed=2))
    found = alike(VECTORS, QUERIES, pair, TRUTH, groups=documents)
    assert found.same < 0.95
    assert found.equivalent


def test_padding_is_no_hit() -> None:
    short = TRUTH.ids.copy()
    short[:, 5:] = -1
    found = alike(VECTORS, QUERIES, (TRUTH, Hits(short, TRUTH.scores)), TRUTH)
    assert found.recall[1] == 0.5
    assert found.same == 0.0


def test_no_questions_are_refused() -> None:
    none = Hits(TRUTH.ids[:0], TRUTH.scores[:0])
    with pytest.raises(DataError, match="no questions"):
        alike(VECTORS, QUERIES[:0], (none, none), none)
