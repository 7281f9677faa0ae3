"""Gold spans laid over one chunk table, once; then every trial's hits are looked up in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mox.evaluation.arrays import ranges, sums, union_lengths
from mox.evaluation.atoms import Atoms, ChunkSpans, GoldSpans, cut, on_one_axis, overlaps

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mox.evaluation.cuts import RowTexts
    from mox.types import ChunkTable, Question

    Reals = NDArray[np.float64]
    Whole = NDArray[np.int64]


@dataclass(frozen=True)
class Holders:
    """Which gold spans hold each atom.

    `first`: (atoms + 1,) where each atom's spans begin in `span` and `own`. `own`: whether no
    earlier group of the question holds the atom as well.
    """

    first: Whole
    span: Whole
    own: NDArray[np.bool_]


@dataclass(frozen=True)
class Shows:
    """Which atoms each row of the table shows of each question.

    `keys`: (pairs,) sorted question·rows + row. `first`: (pairs + 1,) where each pair's atoms
    begin in `atom`, the same one twice where two gold spans or two spans of the chunk hold it.
    `offset`: where the atom begins in the row's returned text, ascending for each atom.
    """

    keys: Whole
    first: Whole
    atom: Whole
    offset: Whole


@dataclass(frozen=True)
class SpanLabels:
    """All that depends on chunk table and questions, and not on the hits.

    `atom_length`: (atoms,). `demand`, `ceiling`: (questions,), see `spans`.
    """

    chunks: ChunkSpans
    gold: GoldSpans
    atom_length: Whole
    holders: Holders
    shows: Shows
    demand: Reals
    ceiling: Reals

    @cached_property
    def omega(self) -> Reals:
        """(questions,) Chroma's precision_omega; see `spans.omega`."""
        return self._jaccard(touching=True)

    @cached_property
    def set_omega(self) -> Reals:
        """(questions,) the same by sets of characters."""
        return self._jaccard(touching=False)

    def _jaccard(self, *, touching: bool) -> Reals:
        shared, both = self.chunked(touching=touching)
        return shared / both

    def chunked(self, *, touching: bool) -> tuple[Reals, Reals]:
        """(questions,) characters of evidence that lie in all the chunks that have to do with it,
        and of these chunks and the evidence together.

        Args:
            touching: whether chunks that merely touch evidence have to do with it too.
        """
        gold, chunks, rows = self.gold, self.chunks, len(self.chunks.first) - 1
        span, chunk = overlaps(gold, chunks, touching=touching)
        question, row = np.divmod(np.unique(gold.asked[span] * rows + chunks.row[chunk]), rows)
        pick, piece = ranges(chunks.first[row], chunks.first[row + 1])
        taken = (question[pick], chunks.start[piece], chunks.end[piece])
        evidence = (gold.asked, gold.start, gold.end)
        both = [np.concatenate(parts) for parts in zip(taken, evidence, strict=True)]
        of_chunks, of_evidence, of_both = (
            union_lengths(owner, start, end, len(self.demand))
            for owner, start, end in (taken, evidence, both)
        )
        return of_chunks + of_evidence - of_both, of_both


def lay(table: ChunkTable, texts: RowTexts, questions: Sequence[Question]) -> SpanLabels:
    """Lay the gold spans of questions over a chunk table.

    Args:
        questions: all with evidence as spans, and at least one.

    Raises:
        DataError: a span without characters, or a group without spans.
    """
    chunks, gold = on_one_axis(table, questions)
    span, chunk = overlaps(gold, chunks)
    start = np.maximum(gold.start[span], chunks.start[chunk])
    end = np.minimum(gold.end[span], chunks.end[chunk])
    atoms = cut(gold, gold.asked[span], start, end)
    holders = _holders(gold, atoms)

    pick, atom = atoms.between(gold.asked[span], start, end)
    offset = texts.offset[chunk] - chunks.start[chunk]
    shows = _shows(
        gold.asked[span][pick] * len(table) + chunks.row[chunk][pick],
        atom,
        offset[pick] + atoms.start[atom],
    )
    held = np.repeat(np.arange(len(atoms.keys)), np.diff(holders.first))
    own = sums(holders.span, holders.own * atoms.length[held], len(gold.group))
    best = gold.best_of_group(own / gold.length)
    return SpanLabels(
        chunks, gold, atoms.length, holders, shows,
        demand=gold.sum_of_question(gold.weight),
        ceiling=gold.sum_of_question(gold.weight * best),
    )  # fmt: skip


def _holders(gold: GoldSpans, atoms: Atoms) -> Holders:
    span, atom = atoms.between(gold.asked, gold.start, gold.end)
    order = np.lexsort((span, atom))
    span, atom = span[order], atom[order]
    earliest = np.full(len(atoms.keys), len(gold.question))
    np.minimum.at(earliest, atom, gold.group[span])
    return Holders(
        first=np.searchsorted(atom, np.arange(len(atoms.keys) + 1)),
        span=span,
        own=gold.group[span] == earliest[atom],
    )


def _shows(key: Whole, atom: Whole, offset: Whole) -> Shows:
    order = np.lexsort((offset, atom, key))
    key, atom, offset = key[order], atom[order], offset[order]
    keys = np.unique(key)
    return Shows(keys, np.append(np.searchsorted(key, keys), len(key)), atom, offset)
