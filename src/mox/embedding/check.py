"""What is asked of every embedder's work: that it read the text, and made honest vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mox.errors import EngineError

if TYPE_CHECKING:
    from mox.types import Embedder, Floats

TOLERANCE = 1e-3
"""How far a vector's length may be from 1, or from 0: float32 sums, and half-precision models."""


def unread_share(embedder: Embedder, reads: int | None, texts: Sequence[str]) -> float:
    """Share of all texts' tokens that lie beyond what the embedder reads.

    Args:
        reads: tokens that it reads of each text, special tokens included; None: all of them.

    Returns:
        In [0, 1); 0 for no texts.
    """
    import numpy as np

    if reads is None or not texts:
        return 0.0
    counts = embedder.tokens(texts).astype(np.int64)
    total = int(counts.sum())
    return int(np.maximum(counts - reads, 0).sum()) / total if total else 0.0


def verify(vectors: Floats, n: int, dims: int, *, name: str) -> None:
    """Refuse vectors that are not (n, dims) float32, finite, each of length 1 or 0.

    Args:
        name: the embedder, for the message.

    Raises:
        EngineError: they are not; says which row.
    """
    import numpy as np

    def refuse(what: str) -> EngineError:
        return EngineError(
            f"the embedder {name!r} returned {what}.",
            mend=f"mend {name!r}: (texts, dims) float32 rows of length 1, or all zero.",
        )

    if vectors.shape != (n, dims):
        raise refuse(f"shape {vectors.shape} for {n} texts of {dims} dimensions")
    if vectors.dtype != np.float32:
        raise refuse(f"{vectors.dtype} instead of float32")
    squares = np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64)
    if not np.isfinite(squares).all():
        raise refuse(f"a vector that is not finite (row {int(np.argmin(np.isfinite(squares)))})")
    length = np.sqrt(squares)
    wrong = (np.abs(length - 1) > TOLERANCE) & (length > TOLERANCE)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise refuse(f"a vector of length {length[row]:.4g} (row {row})")
