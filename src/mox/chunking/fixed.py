"""Windows over a document's tokens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field, field_validator

from mox.chunking import chunkers
from mox.chunking.overlap import below_size
from mox.registry import versions
from mox.spec import Spec
from mox.types import Chunk, Document, Tokenizer


class Fixed(Spec):
    """A chunk every so many tokens, wherever that falls."""

    kind: Literal["fixed"] = "fixed"
    size: int = Field(256, ge=1)
    """Tokens per chunk, counted in the document's token ids. A character split over two tokens
    goes whole to the earlier chunk."""
    overlap: int = Field(0, ge=0)
    """Tokens that a chunk shares with the one before it."""

    _leaves_something = field_validator("overlap")(below_size)


@chunkers.register(
    Fixed,
    fingerprint=lambda _: versions("bpe-openai", version="1"),
    size=lambda spec: spec.size,
    counts="document",
)
def fixed(spec: Fixed, document: Document, tokenizer: Tokenizer) -> Iterator[Chunk]:
    """Cut at every (size - overlap)-th token; the last window ends with the document."""
    ends = tokenizer.ends(document.text).tolist()
    for first in range(0, len(ends), spec.size - spec.overlap):
        last = min(first + spec.size, len(ends))
        start, end = ends[first - 1] if first else 0, ends[last - 1]
        if start < end:  # else the window holds only later parts of one character
            yield Chunk(document.id, ((start, end),), document.text[start:end])
        if last == len(ends):
            return
