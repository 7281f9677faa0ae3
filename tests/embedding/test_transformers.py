"""Any model of sentence-transformers on this machine."""

from __future__ import annotations

import json
import socket

import numpy as np
import pytest

from mox.embedding import embedders, minilm
from mox.embedding.transformers import SentenceTransformers, folder_of, reads
from mox.errors import EngineError, MissingError


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


class TestByItsFolder:
    pytestmark = pytest.mark.minilm

    def test_the_wheels_model_gives_the_same_vectors_as_ctranslate2s(self):
        # Of one token, of several, past the 256 that the model reads, and of none.
        texts = ["hello", "", "Two sentences. And a ½ – of it!", "apple pie " * 300]
        spec = SentenceTransformers(model=str(minilm.folder()))
        made = embedders[spec](spec).embed(texts)
        ours = embedders[minilm.MiniLm()](minilm.MiniLm()).embed(texts)
        np.testing.assert_allclose(ours, made, atol=1e-6)

    def test_loading_prints_nothing(self, capfd):
        spec = SentenceTransformers(model=str(minilm.folder()))
        embedders[spec](spec)
        assert capfd.readouterr() == ("", "")

    def test_a_model_that_reads_otherwise_than_its_files_say_is_refused(self, tmp_path):
        origin = minilm.folder()
        for file in origin.iterdir():
            (tmp_path / file.name).symlink_to(file)
        own = tmp_path / "sentence_bert_config.json"
        own.unlink()
        own.write_text('{"max_seq_length": 256, "tokenizer_args": {"model_max_length": 64}}')
        spec = SentenceTransformers(model=str(tmp_path))
        with pytest.raises(EngineError, match="reads 64 tokens, its files say 256"):
            embedders[spec](spec)
