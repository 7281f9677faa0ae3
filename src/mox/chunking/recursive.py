"""Paragraphs, else sentences, else clauses, else words: by semchunk."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field, ValidationInfo, field_validator

from mox.chunking import chunkers
from mox.chunking.pieces import LEAST, pieces
from mox.registry import versions
from mox.spec import Spec
from mox.types import Chunk, Document, Tokenizer

if TYPE_CHECKING:
    from mox.types import Ints


class Recursive(Spec):
    """Cut at the largest structure that fits, by white space and punctuation."""

    kind: Literal["recursive"] = "recursive"
    size: int = Field(200, ge=LEAST)
    """Most tokens of a chunk. 200 of cl100k are up to some 240 word pieces, which an embedder
    that reads 256 reads whole; recall falls for those where chunks are longer."""
    overlap: int = Field(0, ge=0)
    """Most tokens of the text before that a chunk begins with; they count towards its size."""

    @field_validator("overlap")
    @classmethod
    def _leaves_a_character(cls, overlap: int, info: ValidationInfo) -> int:
        size = info.data.get("size")
        if size is not None and overlap > size - LEAST:
            raise ValueError(
                f"overlap must leave {LEAST} tokens or more of size = {size},"
                " since a character can take so many"
            )
        return overlap


@chunkers.register(
    Recursive,
    fingerprint=lambda _: versions("semchunk", "bpe-openai", version="1"),
    size=lambda spec: spec.size,
)
def recursive(spec: Recursive, document: Document, tokenizer: Tokenizer) -> Iterator[Chunk]:
    """Cut into pieces of size - overlap tokens, each led in by what stands before it.

    semchunk's own overlap cuts to pieces as small as the overlap and joins them, so that a
    small overlap loses the structure, and joins them over white space that it hasn't counted.
    """
    text = document.text
    spans = pieces(document, 0, len(text), size=spec.size - spec.overlap, tokenizer=tokenizer)
    tokens = np.concatenate(([0], tokenizer.ends(text)[:-1])) if spec.overlap else None
    for start, end in spans:
        begin = start
        if tokens is not None:
            begin = _lead_in(spec, text, (start, end), tokens, tokenizer)
        yield Chunk(document.id, ((begin, end),), text[begin:end])


def _lead_in(
    spec: Recursive, text: str, piece: tuple[int, int], tokens: Ints, tokenizer: Tokenizer
) -> int:
    """Where the chunk of a piece begins: at most `overlap` tokens before it, within `size`.

    At the beginning of a word if those tokens have one, else of a token. `tokens` says where
    each token of the text begins.
    """
    start, end = piece
    before = int(np.searchsorted(tokens, start))
    cuts: list[int] = tokens[max(0, before - spec.overlap) : before].tolist()
    words = (cut for cut in cuts if not cut or text[cut].isspace() or text[cut - 1].isspace())
    for cut in itertools.chain(words, cuts):
        begin = start - len(text[cut:start].lstrip())
        if begin < start and tokenizer.count(text[begin:end]) <= spec.size:
            return begin
    return start
