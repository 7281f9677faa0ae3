"""Tokens of texts by a tokenizer of Hugging Face's `tokenizers`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mox.types import Ints

AT_ONCE = 1000
"""Texts whose tokens are in memory at once: an encoding takes some 100 bytes a token."""


def counts(tokenizer: Any, texts: Sequence[str]) -> Ints:
    """(texts,) tokens of each whole text, special tokens included.

    Args:
        tokenizer: one that neither truncates nor pads.
    """
    import numpy as np

    found = np.empty(len(texts), dtype=np.int32)
    for start in range(0, len(texts), AT_ONCE):
        some = tokenizer.encode_batch_fast(list(texts[start : start + AT_ONCE]))
        found[start : start + AT_ONCE] = [len(text) for text in some]
    return found
