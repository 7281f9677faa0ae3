"""Gold spans and chunk spans on one axis, cut into stretches that no border crosses.

A question's spans are cut wherever a span or a chunk begins or ends. The stretches between,
**atoms**, are shown by a chunk wholly or not at all, so unions of intervals become sets of
atoms, and overlaps are worked out once for a chunk table instead of once for a trial.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mox.errors import DataError
from mox.evaluation.arrays import ranges, starts, sums

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mox.types import ChunkTable, Question

    Whole = NDArray[np.int64]


@dataclass(frozen=True)
class ChunkSpans:
    """The returned spans of a table in its order, on an axis of all documents end to end.

    `start`, `end`, `row`: (spans,). `first`: (rows + 1,) where each row's spans begin.
    """

    start: Whole
    end: Whole
    row: Whole
    first: Whole


@dataclass(frozen=True)
class GoldSpans:
    """Every alternative of every group of every question, in their order, on the same axis.

    `start`, `end`, `group`: (spans,), groups numbered over all questions. `question`: (groups,)
    whose. Each question has groups, and each group spans.
    """

    start: Whole
    end: Whole
    group: Whole
    question: Whole

    @cached_property
    def length(self) -> Whole:
        """(spans,) characters."""
        return self.end - self.start

    @cached_property
    def asked(self) -> Whole:
        """(spans,) question of each span."""
        return self.question[self.group]

    @cached_property
    def weight(self) -> NDArray[np.float64]:
        """(groups,) mean length of a group's alternatives."""
        return sums(self.group, self.length, len(self.question)) / np.bincount(self.group)

    @cached_property
    def _groups(self) -> Whole:
        return starts(self.group)

    @cached_property
    def _questions(self) -> Whole:
        return starts(self.question)

    def best_of_group(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Largest value among each group's spans; (spans, …) to (groups, …)."""
        return np.maximum.reduceat(values, self._groups)

    def sum_of_question(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum over each question's groups; (groups, …) to (questions, …)."""
        return np.add.reduceat(values, self._questions)


@dataclass(frozen=True)
class Atoms:
    """Borders of each question, sorted by question and place; an atom lies between neighbours.

    `places`: all places where anything begins or ends, sorted. `keys`: (atoms,)
    question·len(places) + index into `places` of each atom's start; sorted.
    """

    places: Whole
    keys: Whole

    @property
    def start(self) -> Whole:
        """(atoms,) on the axis."""
        return self.places[self.keys % len(self.places)]

    @property
    def length(self) -> Whole:
        """(atoms,) characters; means nothing for an atom that no span holds."""
        return np.diff(self.start, append=self.start[-1:])

    def between(self, question: Whole, start: Whole, end: Whole) -> tuple[Whole, Whole]:
        """Which stretch, and which atom of it, for every atom of every stretch."""
        low, high = (
            np.searchsorted(self.keys, _keys(self.places, question, place))
            for place in (start, end)
        )
        return ranges(low, high)


def cut(gold: GoldSpans, question: Whole, start: Whole, end: Whole) -> Atoms:
    """Atoms of gold spans and of the stretches that chunks share with them."""
    places = np.unique(np.concatenate([gold.start, gold.end, start, end]))
    asked = np.concatenate([gold.asked, gold.asked, question, question])
    borders = np.concatenate([gold.start, gold.end, start, end])
    return Atoms(places, np.unique(_keys(places, asked, borders)))


def _keys(places: Whole, question: Whole, place: Whole) -> Whole:
    return question * len(places) + np.searchsorted(places, place)


def on_one_axis(table: ChunkTable, questions: Sequence[Question]) -> tuple[ChunkSpans, GoldSpans]:
    """Put chunks and gold spans on one axis; documents that only one of them has are fine.

    Raises:
        DataError: a span without characters, or a group without spans.
    """
    number = {document: i for i, document in enumerate(table.documents)}
    found: list[tuple[int, int, int, int]] = []
    owner: list[int] = []
    for asked, question in enumerate(questions):
        for spans in question.evidence.groups:
            if not spans or any(span.end <= span.start or span.start < 0 for span in spans):
                raise DataError(
                    f"question {question.id!r}: evidence without characters ({spans!r}).",
                    mend="give each group at least one span with start < end.",
                )
            for span in spans:
                document = number.setdefault(span.document, len(number))
                found.append((document, span.start, span.end, len(owner)))
            owner.append(asked)
    source, begin, finish, group = np.array(found, dtype=np.int64).reshape(-1, 4).T
    first = table.first.astype(np.int64)
    row = np.repeat(np.arange(len(table)), np.diff(first))
    chunk_document = table.document[row]
    extent = np.zeros(len(number) + 1, dtype=np.int64)
    np.maximum.at(extent, source + 1, finish)
    np.maximum.at(extent, chunk_document + 1, table.end)
    base = np.cumsum(extent + 1)  # with a gap, so that documents don't touch
    chunks = ChunkSpans(table.start + base[chunk_document], table.end + base[chunk_document],
                        row, first)  # fmt: skip
    gold = GoldSpans(begin + base[source], finish + base[source], group, np.array(owner))
    return chunks, gold


def overlaps(gold: GoldSpans, chunks: ChunkSpans, *, touching: bool = False) -> tuple[Whole, Whole]:
    """Every pair of a gold span and a chunk span that share a character; indices of both.

    Args:
        touching: pairs too where one ends just where the other begins.
    """
    reach = 1 if touching else 0
    order = np.argsort(chunks.start, kind="stable")
    start, end = chunks.start[order], chunks.end[order]
    # Sorted starts bound the candidates from above, the furthest end so far from below.
    low = np.searchsorted(np.maximum.accumulate(end), gold.start - reach, side="right")
    high = np.searchsorted(start, gold.end + reach)
    span, candidate = ranges(low, high)
    shared = end[candidate] > gold.start[span] - reach
    return span[shared], order[candidate[shared]]
