"""Whole sentences, as many as fit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
from pydantic import Field, field_validator

from mox.chunking import chunkers
from mox.chunking.boundaries import sentence_spans
from mox.chunking.overlap import below_size
from mox.chunking.pieces import LEAST, pieces
from mox.registry import versions
from mox.spec import Spec
from mox.types import Chunk, Document, Tokenizer

EDGES = 4
"""Tokens by which a stretch may have fewer by itself than within its document, where a word is
other tokens at its edges. In 20,000 chunks of SciFact it was one at most, and that three times."""


class Sentences(Spec):
    """Whole sentences, packed up to the size; one over the size is cut like `recursive`."""

    kind: Literal["sentences"] = "sentences"
    size: int = Field(200, ge=LEAST)
    """Most tokens of a chunk. 200 of cl100k are up to some 240 word pieces, which an embedder
    that reads 256 reads whole."""
    overlap: int = Field(0, ge=0)
    """Most tokens of the sentences before that a chunk repeats; they count towards its size.
    In tokens, as everywhere, so that one sweep can ask it of several chunkers; but sentences are
    repeated whole, so fewer tokens than a sentence has (some 30 in English prose) repeat none."""

    _leaves_something = field_validator("overlap")(below_size)


@chunkers.register(
    Sentences,
    fingerprint=lambda _: versions("nupunkt", "semchunk", "bpe-openai", version="1"),
    size=lambda spec: spec.size,
)
def sentences(spec: Sentences, document: Document, tokenizer: Tokenizer) -> Iterator[Chunk]:
    """Fill each chunk with the next sentences until one doesn't fit.

    The parts of a sentence over the size are packed like sentences. What an overlap repeats
    gives way, from the front, where the next sentence wouldn't fit beside it.
    """
    pack = _Pack(document, spec.size, tokenizer)
    first, new = 0, 0  # the chunk's first unit, and its first that no chunk had before
    while new < len(pack.units):
        last = pack.reach(first, new)
        if last < new and first < new:
            first += 1
        elif last < new:
            pack.cut(new)
        else:
            start, end = pack.units[first][0], pack.units[last][1]
            yield Chunk(document.id, ((start, end),), document.text[start:end])
            first, new = pack.lead(first, last, spec.overlap), last + 1


class _Pack:
    """A document's sentences, or parts of them, and what of them fits together.

    `units`: their spans, in order.
    """

    def __init__(self, document: Document, size: int, tokenizer: Tokenizer) -> None:
        self._document = document
        self._size = size
        self._tokenizer = tokenizer
        self.units = sentence_spans(document.text)
        self._count_up()
        # Those that are long by far at once, since each `cut` counts up all units again.
        long = np.flatnonzero(self._up_to - self._before > size // 2).tolist()
        for unit in reversed(long):
            if not self.fits(unit, unit):
                self.units[unit : unit + 1] = self._parts(unit)
        self._count_up()

    def cut(self, unit: int) -> None:
        """Put the parts of a unit in its place, none over the size."""
        self.units[unit : unit + 1] = self._parts(unit)
        self._count_up()

    def fits(self, first: int, last: int) -> bool:
        return self._tokens(first, last) <= self._size

    def reach(self, first: int, new: int) -> int:
        """The last unit up to which all from `first` on fit; below `new` where that doesn't."""
        most = self._before[first] + self._size + EDGES
        last = max(int(np.searchsorted(self._up_to, most, side="right")) - 1, new)
        while last >= new and not self.fits(first, last):
            last -= 1
        return last

    def lead(self, first: int, last: int, overlap: int) -> int:
        """The first of the units behind `first` that have `overlap` tokens at most up to `last`."""
        begin = last + 1
        while overlap and begin - 1 > first and self._tokens(begin - 1, last) <= overlap:
            begin -= 1
        return begin

    def _count_up(self) -> None:
        """How many of the document's tokens end up to each unit's start, and up to its end.

        Their differences guess how many tokens a stretch has by itself: what is taken is counted.
        """
        ends = self._tokenizer.ends(self._document.text)
        bounds = np.array(self.units, dtype=np.int32).reshape(-1, 2)
        self._before = np.searchsorted(ends, bounds[:, 0], side="right")
        self._up_to = np.searchsorted(ends, bounds[:, 1], side="right")

    def _parts(self, unit: int) -> list[tuple[int, int]]:
        start, end = self.units[unit]
        return pieces(self._document, start, end, size=self._size, tokenizer=self._tokenizer)

    def _tokens(self, first: int, last: int) -> int:
        """Of the text from one unit to another, both included, and all between them."""
        return self._tokenizer.count(
            self._document.text[self.units[first][0] : self.units[last][1]]
        )
