"""Windows of tokens, as in Chroma's TokenText, cut where a token begins."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import cache
from typing import Any, Literal

from mox.chunking import chunkers
from mox.registry import versions
from mox.spec import Spec
from mox.types import Chunk, Document, Tokenizer


class Tokens(Spec):
    """Windows of `size` tokens, every `size - overlap` tokens."""

    kind: Literal["reference-tokens"] = "reference-tokens"
    size: int = 200
    """Tokens of a window."""
    overlap: int = 0
    """Tokens that it shares with the one before it."""


@cache
def cl100k() -> Any:
    """The vocabulary that the README names."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # its way of opening its own files
        import bpe_openai
    return bpe_openai.get_encoding("cl100k_base")


@chunkers.register(Tokens, fingerprint=lambda _: versions("mox-reference"), size=lambda _: None)
def windows(spec: Tokens, document: Document, _: Tokenizer) -> Iterator[Chunk]:
    """The last window ends with the text; none begins after that."""
    text = document.text
    ids = cl100k().encode(text, disallowed_special=())
    begins = [*cl100k().decode_with_offsets(ids)[1], len(text)]
    for first in range(0, len(ids), spec.size - spec.overlap):
        last = min(first + spec.size, len(ids))
        start, end = begins[first], begins[last]
        yield Chunk(document.id, ((start, end),), text[start:end])
        if last == len(ids):
            return
