"""semchunk and chonkie as they are, sizes in tokens of the experiment's tokenizer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from mox.chunking import chunkers
from mox.registry import versions
from mox.spec import Spec
from mox.types import Chunk, Document, Tokenizer
from mox_reference.tokens import cl100k


class Semchunk(Spec):
    """`semchunk(…, size)(text, offsets=True)`."""

    kind: Literal["reference-semchunk"] = "reference-semchunk"
    size: int = 200
    """Most tokens of a chunk."""


class Chonkie(Spec):
    """`chonkie.RecursiveChunker(chunk_size=size)`."""

    kind: Literal["reference-chonkie"] = "reference-chonkie"
    size: int = 200
    """Most tokens of a chunk."""


@chunkers.register(
    Semchunk, fingerprint=lambda _: versions("mox-reference", "semchunk"), size=lambda _: None
)
def by_semchunk(spec: Semchunk, document: Document, tokenizer: Tokenizer) -> Iterator[Chunk]:
    """What semchunk yields, white space included."""
    import semchunk

    _, offsets = semchunk.chunkerify(tokenizer.count, spec.size)(document.text, offsets=True)
    for start, end in offsets:
        yield Chunk(document.id, ((start, end),), document.text[start:end])


@chunkers.register(
    Chonkie, fingerprint=lambda _: versions("mox-reference", "chonkie"), size=lambda _: None
)
def by_chonkie(spec: Chonkie, document: Document, _: Tokenizer) -> Iterator[Chunk]:
    """What chonkie yields; it calls the tokenizer's `encode` and `decode`."""
    import chonkie

    for found in chonkie.RecursiveChunker(_tokenizer(), chunk_size=spec.size)(document.text):
        place = (found.start_index, found.end_index)
        yield Chunk(document.id, (place,), document.text[slice(*place)])


def _tokenizer() -> Any:
    """cl100k as chonkie wants a tokenizer: one of its own subclasses."""
    from chonkie.tokenizer import Tokenizer as Base

    class Cl100k(Base):
        def __repr__(self) -> str:
            return "cl100k"

        def encode(self, text: str) -> list[int]:
            return list(cl100k().encode(text, disallowed_special=()))

        def decode(self, tokens: Any) -> str:
            return str(cl100k().decode(list(tokens)))

        def tokenize(self, text: str) -> list[int]:
            return self.encode(text)

    return Cl100k()
