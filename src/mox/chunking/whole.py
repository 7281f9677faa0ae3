"""The document as one chunk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from mox.chunking import chunkers
from mox.spec import Spec
from mox.types import Chunk, Document, Tokenizer


class Whole(Spec):
    """One chunk per document, however long: for corpora of short documents, and as a baseline."""

    kind: Literal["whole"] = "whole"


@chunkers.register(Whole, fingerprint=lambda _: {"version": "1"}, size=lambda _: None)
def whole(_spec: Whole, document: Document, _tokenizer: Tokenizer) -> Iterator[Chunk]:
    """The whole text, white space at its edges included."""
    if document.text:
        yield Chunk(document.id, ((0, len(document.text)),), document.text)
