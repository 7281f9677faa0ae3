"""Cutting a stretch of text at its most meaningful places: semchunk, with exact offsets."""

from __future__ import annotations

from typing import cast

from mox.errors import DataError
from mox.types import Document, Tokenizer

LEAST = 4
"""The smallest size that any character fits: it is at most 4 bytes, so at most 4 tokens.
Below it semchunk would go on splitting a character for ever."""


def pieces(
    document: Document, start: int, end: int, *, size: int, tokenizer: Tokenizer
) -> list[tuple[int, int]]:
    """Spans of at most `size` tokens that cover all but white space of [start, end).

    Cuts at the longest run of line ends, then of tabs and spaces, then after sentences,
    clauses and words; in a run without any, between characters.

    Raises:
        DataError: runs of white space of more lengths than semchunk can descend into.
    """
    from semchunk.semchunk import chunk

    text = document.text[start:end]
    try:
        # semchunk's own memo is kept for ever, in its module; the tokenizer has a bounded one.
        found = chunk(text, size, tokenizer.count, memoize=False, offsets=True)
    except RecursionError:
        raise DataError(
            f"document {document.id!r} [{start}, {end}) has white space of so many different"
            " lengths that semchunk cannot descend into it.",
            mend="chunk it with kind: fixed, or mend how it was parsed.",
        ) from None
    spans = cast("list[tuple[int, int]]", found[1])
    return [(start + first, start + last) for first, last in spans]
