"""Hashed bags of words: no model at all, the lexical floor that any embedder should beat."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from mox.embedding import embedders
from mox.registry import versions
from mox.spec import Spec

if TYPE_CHECKING:
    from mox.types import Floats, Ints


class Hashing(Spec):
    """Lower-cased words of two or more characters, hashed with signs; reads all of a text."""

    kind: Literal["hashing"] = "hashing"
    dims: int = Field(512, ge=1, le=32_768)
    """Buckets that words are hashed to, as dimensions."""


def _fingerprint(_: Hashing) -> Mapping[str, str]:
    # What a word is, and its lower case, comes from Python's Unicode tables.
    return versions("scikit-learn", unicode=unicodedata.unidata_version)


@embedders.register(
    Hashing, fingerprint=_fingerprint, reads=lambda _: None, dims=lambda spec: spec.dims
)
def load(spec: Hashing) -> Hashed:
    """A stateless vectoriser; there is nothing to load."""
    import numpy as np
    from sklearn.feature_extraction.text import HashingVectorizer

    return Hashed(
        HashingVectorizer(
            n_features=spec.dims,
            lowercase=True,
            alternate_sign=True,
            norm="l2",
            dtype=np.float32,
        ),
        spec.dims,
    )


class Hashed:
    """Signed word counts per bucket, of length 1."""

    def __init__(self, vectoriser: Any, dims: int) -> None:
        self._vectoriser = vectoriser
        self.dims = dims

    def embed(self, texts: Sequence[str]) -> Floats:
        """(texts, dims) float32 vectors; all zero without words, or where words cancel out."""
        import numpy as np

        if not texts:
            return np.empty((0, self.dims), dtype=np.float32)
        made: Floats = self._vectoriser.transform(texts).toarray()
        return made

    def tokens(self, texts: Sequence[str]) -> Ints:
        """(texts,) words of each text that are hashed."""
        import numpy as np

        words = self._vectoriser.build_analyzer()
        return np.fromiter((len(words(text)) for text in texts), np.int32, len(texts))
