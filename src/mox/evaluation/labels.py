"""Gold spans laid over one chunk table, once; then every trial's hits are looked up in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mox.evaluation.arrays import ranges, sums, union_lengths
from mox.evaluation.atoms import Atoms, ChunkSpans, GoldSpans, cut, on_one_axis, overlaps
from mox.evaluation.spans import SpansSeen

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mox.evaluation.cuts import Context, RowTexts
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

    def see(self, texts: RowTexts, context: Context) -> SpansSeen:
        """What the hits of each question show of its evidence."""
        questions, k = context.ids.shape
        hit, atom, shown = self._shown(len(texts), context)
        # Hits come in order of rank, and only the last one of a question may be cut within an
        # atom; so the first hit that shows an atom shows all that will be seen of it.
        atom, at = np.unique(atom, return_index=True)
        touches = np.zeros(questions * k, dtype=np.bool_)
        touches[hit] = True
        hit, fresh = hit[at], shown[at]
        found = sums(hit, fresh, questions * k).reshape(questions, k)
        inside, covered = self._by_span(k, atom, hit % k, fresh)
        gold = self.gold
        share = np.cumsum(covered, axis=1) / gold.length[:, None]
        groups_hit = gold.sum_of_question((gold.best_of_group(inside) > 0).astype(np.float64))
        whole = gold.best_of_group((inside >= gold.length).astype(np.float64))
        return SpansSeen(
            coverage=gold.sum_of_question(gold.best_of_group(share) * gold.weight[:, None]),
            demand=self.demand,
            ceiling=self.ceiling,
            found=np.cumsum(found, axis=1),
            touches=touches.reshape(questions, k),
            groups_hit=groups_hit / np.bincount(gold.question),
            whole=gold.sum_of_question(whole) > 0,
            context=context,
            pieces=self._pieces(texts, context),
            labels=self,
        )

    @cached_property
    def omega(self) -> Reals:
        """(questions,) Chroma's precision_omega; see `spans.omega`."""
        return self._overlap_of_all(touching=True)

    @cached_property
    def set_omega(self) -> Reals:
        """(questions,) the same by sets of characters."""
        return self._overlap_of_all(touching=False)

    def _overlap_of_all(self, *, touching: bool) -> Reals:
        """(questions,) Jaccard's index of the evidence and all chunks that have to do with it."""
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
        return (of_chunks + of_evidence - of_both) / of_both

    def _shown(self, rows: int, context: Context) -> tuple[Whole, Whole, Whole]:
        """Hits (question·k + rank) ascending, the atoms that they show, characters of these."""
        hit = np.flatnonzero(context.kept)
        key = hit // context.ids.shape[1] * rows + context.ids.ravel()[hit]
        at = np.searchsorted(self.shows.keys, key)
        known = np.append(self.shows.keys, -1)[at] == key
        at = at[known]
        pick, entry = ranges(self.shows.first[at], self.shows.first[at + 1])
        hit, atom = hit[known][pick], self.shows.atom[entry]
        left = context.kept.ravel()[hit] - self.shows.offset[entry]
        shown = np.clip(left, 0, self.atom_length[atom])
        some = shown > 0
        return hit[some], atom[some], shown[some]

    def _by_span(self, k: int, atom: Whole, rank: Whole, shown: Whole) -> tuple[Reals, Reals]:
        """(spans,) characters shown of each span; (spans, k) of its own ones, by rank."""
        pick, entry = ranges(self.holders.first[atom], self.holders.first[atom + 1])
        span, own = self.holders.span[entry], self.holders.own[entry]
        rank, shown, spans = rank[pick], shown[pick], len(self.gold.group)
        inside = sums(span, shown, spans)
        covered = sums(span[own] * k + rank[own], shown[own], spans * k)
        return inside, covered.reshape(spans, k)

    def _pieces(self, texts: RowTexts, context: Context) -> tuple[Whole, Whole, Whole]:
        """Each shown stretch of text: question, start and end on the axis."""
        hit = np.flatnonzero(context.kept)
        row = context.ids.ravel()[hit]
        pick, span = ranges(self.chunks.first[row], self.chunks.first[row + 1])
        hit = hit[pick]
        start = self.chunks.start[span]
        left = np.maximum(context.kept.ravel()[hit] - texts.offset[span], 0)
        end = np.minimum(self.chunks.end[span], start + left)
        return hit // context.ids.shape[1], start, end


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
