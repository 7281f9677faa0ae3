"""The lexical floor."""

from __future__ import annotations

import numpy as np
import pytest

from mox.embedding import embedders
from mox.embedding.hashing import Hashing
from mox.errors import SpecError
from mox.testing.embedding import EmbedderContract


class TestHashing(EmbedderContract):
    @pytest.fixture
    def spec(self):
        return Hashing()


def embed(*texts, **settings):
    spec = Hashing(**settings)
    return embedders[spec](spec).embed(texts)


def test_similarity_is_the_cosine_of_word_counts():
    # Counts (2, 1) and (1, 0, 1) of alpha, beta, gamma: 2 / (√5 √2). No two collide in 4,096.
    one, two = embed("alpha beta alpha", "alpha gamma", dims=4096)
    assert one @ two == pytest.approx(2 / np.sqrt(10), abs=1e-6)


def test_case_and_punctuation_and_single_letters_do_not_count():
    one, two = embed("Alpha, BETA a!", "alpha beta")
    assert one.tobytes() == two.tobytes()


def test_a_text_without_words_is_all_zero():
    assert not embed("", "!?", "a b").any()


def test_signs_alternate_so_that_collisions_cancel():
    words = [f"word{i}" for i in range(200)]
    values = np.sign(embed(*words)).sum(axis=1)
    assert {*values.tolist()} == {-1.0, 1.0}


def test_dims_are_swept():
    assert embed("alpha").shape == (1, 512)
    assert embed("alpha", dims=64).shape == (1, 64)
    with pytest.raises(SpecError, match=r"hashing\.dims = 0"):
        embedders.parse({"kind": "hashing", "dims": 0})


def test_tokens_are_the_words_that_are_hashed():
    spec = Hashing()
    assert embedders[spec](spec).tokens(["Alpha, a beta!", ""]).tolist() == [2, 0]
