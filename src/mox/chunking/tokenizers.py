"""Tokenizers by name: offline, the same ids as tiktoken's, fast enough for whole corpora."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import TYPE_CHECKING

import numpy as np

from mox.errors import SpecError
from mox.registry import nearest, versions
from mox.vocabulary import Vocabulary, vocabulary

if TYPE_CHECKING:
    from mox.types import Ints

NAMES = {"cl100k": "cl100k_base", "o200k": "o200k_base"}
"""Our names → bpe-openai's. Its p50k, r50k and gpt2 are no use: they download their tables."""

SEGMENT = 50_000
"""Characters fed to bpe-openai at once; it isn't made for 1,000,000."""

COUNTS = 1 << 15
"""Texts whose counts are remembered."""
COUNTED = 4096
"""Characters of the longest of them: so the memo stays under some 130 MB of ASCII, and is
some 15 MB in practice."""

# Neither vocabulary has a token across these: after a line's end before a letter or digit,
# and between a word and the space before the next one.
_SEAM = re.compile(r"\n(?=[^\W_])|(?<=[^\W\d_])(?= [^\W\d_])")
_SEAM_WITHIN = 5_000


class Bpe:
    """A byte-pair vocabulary of bpe-openai. Texts of special tokens are ordinary text."""

    def __init__(self, name: str, opened: Vocabulary) -> None:
        self.name = name
        self._encode = opened.encode
        self._lengths = opened.token_lengths
        self._remembered = lru_cache(COUNTS)(self._count)
        # The chunker and the check of its chunks ask for the same document in turn.
        self._last_ends = lru_cache(2)(self._ends)

    def count(self, text: str) -> int:
        """Number of tokens of a text by itself."""
        return self._count(text) if len(text) > COUNTED else self._remembered(text)

    def ends(self, text: str) -> Ints:
        """(tokens,) read-only: the code-point offset at which each token of `text` ends.

        A character split over several tokens ends with the first of them.
        """
        return self._last_ends(text)

    def _count(self, text: str) -> int:
        if len(text) <= SEGMENT:
            return len(self._encode(text))
        return sum(len(self._encode(segment)) for segment in segments(text))

    def _ends(self, text: str) -> Ints:
        ids = [np.array(self._encode(segment), dtype=np.intp) for segment in segments(text)]
        stops = np.cumsum(self._lengths[np.concatenate(ids)], dtype=np.int32)
        if not text.isascii():
            raw = np.frombuffer(text.encode(), dtype=np.uint8)
            # Characters begun so far: a byte that continues one is 10xxxxxx.
            begun = np.cumsum((raw & 0xC0) != 0x80, dtype=np.int32)
            stops = begun[stops - 1]
        stops.flags.writeable = False
        return stops


def segments(text: str, *, longest: int = SEGMENT) -> Iterator[str]:
    """Cut a text into pieces of at most `longest` characters that tokenize like the whole.

    Only a run of `_SEAM_WITHIN` characters without a seam is cut where it happens to be.
    """
    start = 0
    while len(text) - start > longest:
        limit = start + longest
        cut = limit
        for seam in _SEAM.finditer(text, max(start + 1, limit - _SEAM_WITHIN), limit):
            cut = seam.end()
        yield text[start:cut]
        start = cut
    yield text[start:]


@cache
def open_tokenizer(name: str = "cl100k") -> Bpe:
    """A tokenizer by name, opened once per process.

    Raises:
        SpecError: no such name; names the nearest.
        MissingError: its package isn't installed.
    """
    _check(name)
    return Bpe(name, vocabulary(NAMES[name]))


def fingerprint(name: str) -> dict[str, str]:
    """What counts and ends of a tokenizer depend on; answers without opening it.

    Raises:
        SpecError: no such name; names the nearest.
        MissingError: its package isn't installed.
    """
    _check(name)
    return versions("bpe-openai", tokenizer=name, tokenizer_version="1")


def _check(name: str) -> None:
    if name not in NAMES:
        raise SpecError(
            f"unknown tokenizer {name!r}{nearest(name, NAMES)}.",
            mend=f"use one of {', '.join(NAMES)}.",
        )
