"""The default embedder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mox.embedding import embedders
from mox.embedding.wordllama import BATCH, BATCH_CHARACTERS, WordLlama, _batches
from mox.errors import SpecError
from mox.testing.embedding import EmbedderContract

TEXTS = ["Cats and dogs.", "", "The mitochondrion is the powerhouse of the cell.", "a " * 900]


class TestWordLlama(EmbedderContract):
    @pytest.fixture
    def spec(self):
        return WordLlama()


class TestWordLlama64(EmbedderContract):
    @pytest.fixture
    def spec(self):
        return WordLlama(dims=64)


def embed(texts, **settings):
    spec = WordLlama(**settings)
    return embedders[spec](spec).embed(texts)


def library():
    import wordllama

    folder = Path(wordllama.__file__).parent
    return wordllama.WordLlama.load(cache_dir=folder, disable_download=True)


def test_vectors_are_the_librarys():
    filled = [text for text in TEXTS if text]
    np.testing.assert_allclose(embed(filled), library().embed(filled, norm=True), atol=1e-6)


def test_a_text_without_tokens_is_all_zero():
    assert not embed([""]).any()
    assert not embed(TEXTS)[1].any()


@pytest.mark.parametrize("dims", [64, 128])
def test_fewer_dimensions_are_the_first_ones_normalised(dims):
    whole = embed(TEXTS[:1])[0, :dims]
    np.testing.assert_allclose(embed(TEXTS[:1], dims=dims)[0], whole / np.linalg.norm(whole), 1e-5)


def test_dimensions_that_the_wheel_lacks_are_refused():
    with pytest.raises(SpecError, match=r"wordllama\.dims = 512"):
        embedders.parse({"kind": "wordllama", "dims": 512})


def test_padding_is_bounded_whatever_the_lengths():
    texts = ["x" * size for size in [5] * 200 + [60_000, 3, 900_000, 2_000, 2_000] + [1_500] * 70]
    batches = list(_batches(texts))
    assert sorted(row for batch in batches for row in batch) == list(range(len(texts)))
    for batch in batches:
        longest = max(len(texts[row]) for row in batch)
        assert len(batch) == 1 or len(batch) * longest <= BATCH_CHARACTERS
        assert len(batch) <= BATCH


def test_its_fingerprint_holds_versions_and_files():
    assert set(embedders.fingerprint(WordLlama())) == {
        "wordllama", "tokenizers", "weights", "tokenizer",
    }  # fmt: skip


QUIET = """
import logging, socket
def refuse(*_):
    raise AssertionError("the network was asked")
socket.socket.connect = refuse
from mox.embedding import embedders
spec = embedders.parse({"kind": "wordllama"})
embedders[spec](spec).embed(["hello"])
root = logging.getLogger()
print(root.handlers, root.level == logging.WARNING)
"""


def test_loading_is_quiet_and_offline_and_leaves_logging_alone():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", QUIET], capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr, done.returncode) == ("[] True\n", "", 0)
