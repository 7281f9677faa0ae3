"""Simulated embeddings are wordllama's, cut and normalised."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mox.embedding import embedders
from mox.embedding.wordllama import WordLlama
from mox.errors import SpecError
from mox.simulation.models import EMBEDDING_MODELS
from mox.simulation.tokens import count
from mox.simulation.vectors import embedded, latency_s, unit

SMALL, LARGE = EMBEDDING_MODELS["sim-embed-small"], EMBEDDING_MODELS["sim-embed-large"]
TEXTS = ["Herons eat fish.", "The capital of France is Paris.", "for loops over an iterator"]


def test_the_large_model_is_wordllama_itself():
    spec = WordLlama()
    np.testing.assert_allclose(
        embedded(LARGE, TEXTS).vectors, embedders[spec](spec).embed(TEXTS), atol=1e-6
    )


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 256))
def test_dims_are_honoured_and_vectors_have_length_1(dims):
    vectors = embedded(SMALL, TEXTS, dims=dims).vectors
    assert vectors.shape == (len(TEXTS), dims)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_without_dims_a_model_gives_its_own():
    assert embedded(SMALL, TEXTS).vectors.shape == (3, 128)


@pytest.mark.parametrize("dims", [0, 257])
def test_dims_that_there_are_not_are_refused(dims):
    with pytest.raises(SpecError, match=f"no {dims} dimensions"):
        embedded(SMALL, TEXTS, dims=dims)


def test_a_text_has_the_same_vector_whatever_stands_beside_it():
    texts = [*TEXTS, "a " * 300, "x", ""]
    together = unit(texts)
    for row, text in enumerate(texts):
        assert np.array_equal(unit([text])[0], together[row])


def test_usage_and_latency_count_the_tokens_of_all_texts():
    found = embedded(SMALL, TEXTS)
    assert found.usage.input_tokens == sum(map(count, TEXTS))
    expected = SMALL.latency_s + SMALL.per_token_s * found.usage.input_tokens
    assert latency_s(SMALL, found.usage) == pytest.approx(expected)
