"""Static word vectors, averaged: the default, offline from its wheel and quick on any CPU."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from mox.embedding import embedders
from mox.embedding.files import package_folder, sha256_of
from mox.registry import versions
from mox.spec import Spec

if TYPE_CHECKING:
    from mox.types import Floats, Ints

WHEEL_DIMS = 256
"""Dimensions of the weights in the wheel; fewer are its first columns (Matryoshka)."""
BATCH = 64
BATCH_CHARACTERS = 65_536
"""Texts of a batch times the longest of them: bounds memory, since a batch is padded."""


class WordLlama(Spec):
    """Averaged static token vectors (l2_supercat); reads texts of any length."""

    kind: Literal["wordllama"] = "wordllama"
    dims: Literal[64, 128, 256] = 256
    """Dimensions. The wheel carries 256; 64 and 128 are the first of them, normalised anew."""


def _fingerprint(_: WordLlama) -> Mapping[str, str]:
    folder = package_folder("wordllama", "wordllama")
    return versions(
        "wordllama",
        "tokenizers",
        weights=sha256_of(folder / "weights" / f"l2_supercat_{WHEEL_DIMS}.safetensors"),
        tokenizer=sha256_of(folder / "tokenizers" / "l2_supercat_tokenizer_config.json"),
    )


@embedders.register(
    WordLlama, fingerprint=_fingerprint, reads=lambda _: None, dims=lambda spec: spec.dims
)
def load(spec: WordLlama) -> Averaged:
    """Load the wheel's weights; nothing is downloaded."""
    folder = package_folder("wordllama", "wordllama")
    with _root_logger_kept():
        import wordllama

    # The wheel's tokenizer is only found below a `cache_dir`, its weights below the package.
    model = wordllama.WordLlama.load(
        cache_dir=folder,
        dim=WHEEL_DIMS,
        trunc_dim=None if spec.dims == WHEEL_DIMS else spec.dims,
        disable_download=True,
    )
    return Averaged(model, spec.dims)


class Averaged:
    """A loaded model. It truncates nothing: its library switches the tokenizer's limit off."""

    def __init__(self, model: Any, dims: int) -> None:
        self._model = model
        self.dims = dims

    def embed(self, texts: Sequence[str]) -> Floats:
        """(texts, dims) float32 vectors of length 1; a text without a known token is all zero."""
        import numpy as np

        made = np.empty((len(texts), self.dims), dtype=np.float32)
        for rows in _batches(texts):
            made[rows] = self._model.embed([texts[row] for row in rows], batch_size=len(rows))
        # Not by the library's `norm=True`, which divides an empty text's zero by zero.
        length = np.linalg.norm(made, axis=1, keepdims=True)
        unit: Floats = np.divide(made, length, out=np.zeros_like(made), where=length > 0)
        return unit

    def tokens(self, texts: Sequence[str]) -> Ints:
        """(texts,) tokens of each text; this model has no special tokens."""
        import numpy as np

        # One by one: in a batch its tokenizer pads every text to the longest.
        encode = self._model.tokenizer.encode
        counts = (len(encode(text, add_special_tokens=False).ids) for text in texts)
        return np.fromiter(counts, dtype=np.int32, count=len(texts))


def _batches(texts: Sequence[str]) -> Iterator[list[int]]:
    """Rows in batches of texts of like length, so that padding costs little."""
    batch: list[int] = []
    for row in sorted(range(len(texts)), key=lambda row: len(texts[row])):
        if batch and (len(batch) == BATCH or (len(batch) + 1) * len(texts[row]) > BATCH_CHARACTERS):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


@contextmanager
def _root_logger_kept() -> Iterator[None]:
    """Undo wordllama's `logging.basicConfig(level=INFO)`, which it calls when imported."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
