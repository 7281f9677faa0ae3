"""Vectors of letter counts: silly, small and deterministic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from mox.embedding import embedders
from mox.embedding.spec import EmbedSpec
from mox.registry import versions
from mox.spec import Spec

ALPHABET = "abcdefghijklmnopqrstuvwxyz"


class Letters(Spec):
    """Counts of the 26 letters, of length 1."""

    kind: Literal["toy-letters"] = "toy-letters"


class Model:
    """A loaded model."""

    dims = len(ALPHABET)

    def embed(self, texts: Sequence[str]) -> Any:
        counts = np.array(
            [[text.lower().count(letter) for letter in ALPHABET] for text in texts],
            dtype=np.float32,
        ).reshape(-1, self.dims)
        length = np.linalg.norm(counts, axis=1, keepdims=True)
        return np.divide(counts, length, out=np.zeros_like(counts), where=length > 0)

    def tokens(self, texts: Sequence[str]) -> Any:
        return np.array([len(text.split()) for text in texts], dtype=np.int32)


@embedders.register(Letters, fingerprint=lambda _: versions("mox-toy"), reads=lambda _: None)
def load(_: Letters) -> Model:
    """Nothing to load."""
    return Model()


class Short(EmbedSpec):
    """Letter counts of the first nine words: a model with a limit."""

    kind: Literal["toy-short"] = "toy-short"


class ShortModel(Model):
    """A loaded model that reads nine words."""

    def embed(self, texts: Sequence[str]) -> Any:
        return super().embed([" ".join(text.split()[:9]) for text in texts])


@embedders.register(Short, fingerprint=lambda _: versions("mox-toy"), reads=lambda _: 9)
def load_short(_: Short) -> ShortModel:
    """Nothing to load."""
    return ShortModel()
