"""How far down a hit list a measure looks: a number of hits, or a budget of tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mox.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mox.types import ChunkTable, Ints

    Whole = NDArray[np.int64]


@dataclass(frozen=True)
class TokenEnds:
    """Where each token of each row's returned text ends.

    A row's returned text is its spans' text, one after the other. `first`: (rows + 1,) where
    each row's tokens begin in `ends`. `ends`: (tokens,) code points from the start of that text.
    """

    first: Ints
    ends: Ints


@dataclass(frozen=True)
class RowTexts:
    """The returned text of each row of a chunk table: its length, and its tokens where known.

    `length`: (rows,) code points, summed over the row's spans. `offset`: (spans,) where each
    span of the table begins within its row's text. `tokens`: (rows,).
    """

    length: Whole
    offset: Whole
    ends: TokenEnds | None
    tokens: Whole | None

    def __len__(self) -> int:
        return len(self.length)


@dataclass(frozen=True)
class Context:
    """What a reader gets to see of the hits.

    `ids`: (questions, k) rows by rank, -1 where nothing is left. `kept`: (questions, k) code
    points of each hit's returned text, counted from its start; 0 where `ids` is -1.
    """

    ids: Whole
    kept: Whole


def row_texts(table: ChunkTable, ends: TokenEnds | None) -> RowTexts:
    """Measure the returned texts of a table.

    Raises:
        DataError: `ends` isn't of this table: other rows, or texts of other lengths.
    """
    sizes = table.end.astype(np.int64) - table.start
    before = np.concatenate([[0], np.cumsum(sizes)])
    first = table.first.astype(np.int64)
    length = before[first[1:]] - before[first[:-1]]
    offset = before[:-1] - np.repeat(before[first[:-1]], np.diff(first))
    if ends is None:
        return RowTexts(length, offset, None, None)
    if len(ends.first) != len(table) + 1:
        raise DataError(
            f"token ends of {len(ends.first) - 1} rows for a table of {len(table)} chunks.",
            mend="make the token ends from this very chunk table.",
        )
    tokens = ends.first[1:].astype(np.int64) - ends.first[:-1]
    told = np.zeros(len(table), dtype=np.int64)
    told[tokens > 0] = ends.ends[ends.first[1:][tokens > 0] - 1]
    if wrong := np.flatnonzero(told != length).tolist():
        raise DataError(
            f"row {wrong[0]}: its last token ends at {told[wrong[0]]}, its text at"
            f" {length[wrong[0]]}.",
            mend="tokenise the spans' text, one after the other, not the embedded text.",
        )
    return RowTexts(length, offset, ends, tokens)


def first_hits(texts: RowTexts, ids: Whole, cut: int) -> Context:
    """The first `cut` hits, whole."""
    seen = ids[:, :cut]
    return Context(seen, np.where(seen >= 0, texts.length[seen], 0))


def within_tokens(texts: RowTexts, ids: Whole, budget: int) -> tuple[Context, Whole]:
    """Hits in order until `budget` tokens are spent, the last one cut at a token's end.

    Returns:
        What is seen; and (questions,) the tokens of all hits, spent or not.

    Raises:
        DataError: the table was prepared without its tokens.
    """
    if texts.tokens is None or texts.ends is None:
        raise DataError(
            "a token budget needs the token ends of each chunk.",
            mend="give `prepare` the chunk table's TokenEnds.",
        )
    tokens = np.where(ids >= 0, texts.tokens[ids], 0)
    spent = np.cumsum(tokens, axis=1)
    left = np.clip(budget - (spent - tokens), 0, tokens)
    last = np.maximum(texts.ends.first[ids].astype(np.int64) + left - 1, 0)
    kept = np.where(left > 0, texts.ends.ends[last], 0).astype(np.int64)
    return Context(np.where(left > 0, ids, -1), kept), spent[:, -1]
