"""Vectors of the simulated embedding models: wordllama's own, so that retrieval by them is real."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from mox.errors import SpecError
from mox.simulation.models import EmbeddingModel
from mox.simulation.tokens import count
from mox.types.providers import Usage

if TYPE_CHECKING:
    from mox.types import Embedder
    from mox.types.arrays import Floats

MOST_DIMS = 256
"""Of the weights in wordllama's wheel."""


class Made(NamedTuple):
    """Vectors of some texts, (texts, dims) float32 of length 1, and what they cost."""

    vectors: Floats
    usage: Usage


def embedded(model: EmbeddingModel, texts: Sequence[str], *, dims: int | None = None) -> Made:
    """Vectors of length 1 and what they cost; `dims` are the first ones, normalised anew.

    Args:
        dims: 1 to 256; the model's own where None.

    Raises:
        SpecError: more dimensions than there are, or none.
    """
    wanted = model.dims if dims is None else dims
    if not 1 <= wanted <= MOST_DIMS:
        raise SpecError(
            f"{model.name} has no {wanted} dimensions.",
            mend=f"ask for 1 to {MOST_DIMS}.",
        )
    return Made(unit(texts, dims=wanted), Usage(input_tokens=sum(map(count, texts))))


def unit(texts: Sequence[str], *, dims: int = MOST_DIMS) -> Floats:
    """(texts, dims) float32 of length 1; a text without a known token is all zero."""
    import numpy as np

    vectors = _embedder().embed(texts)[:, :dims]
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    made: Floats = np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)
    return made


def latency_s(model: EmbeddingModel, usage: Usage) -> float:
    """When the answer is due after the request, at time scale 1."""
    return model.latency_s + model.per_token_s * usage.input_tokens


@cache
def _embedder() -> Embedder:
    from mox.embedding import embedders
    from mox.embedding.wordllama import WordLlama

    spec = WordLlama()
    loaded: Embedder = embedders[spec](spec)
    return loaded
