"""What hits show of evidence as spans: looked up in labels that were laid once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mox.evaluation.arrays import ranges, sums, union_lengths

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mox.evaluation.cuts import Context, RowTexts
    from mox.evaluation.labels import SpanLabels

    Reals = NDArray[np.float64]
    Whole = NDArray[np.int64]
    Truths = NDArray[np.bool_]


@dataclass(frozen=True)
class SpansSeen:
    """What the hits of each question show of its evidence: all that a metric is made from.

    Arrays with ranks are (questions, k), and column r says it of the first r + 1 hits.
    `coverage`, `demand` and `ceiling` are defined in `spans`.
    """

    coverage: Reals
    demand: Reals
    ceiling: Reals
    found: Reals
    """(questions, k) characters of any alternative in ⋃c: all of them are verbatim evidence."""
    touches: Truths
    """(questions, k) whether the hit at this very rank shows a character of any span."""
    groups_hit: Reals
    """(questions,) share of groups of which any hit shows a character."""
    whole: Truths
    """(questions,) whether any one span lies wholly in ⋃c."""
    context: Context
    pieces: tuple[Whole, Whole, Whole]
    """Each shown stretch of text: question, start and end, on one axis for all documents."""
    labels: SpanLabels
    """The evidence over the whole chunk table, hits or not."""

    @property
    def missing(self) -> Reals:
        """(questions,) evidence that no hit shows; |E \\ ⋃c| with one alternative to a group."""
        return self.ceiling - self.coverage[:, -1]

    @property
    def returned(self) -> Reals:
        """(questions,) characters shown, Σ|cⱼ|: text shown twice counts twice."""
        return np.asarray(self.context.kept.sum(axis=1), dtype=np.float64)

    @cached_property
    def distinct(self) -> Reals:
        """(questions,) |⋃c|: text shown twice counts once."""
        return union_lengths(*self.pieces, len(self.demand))


def see(labels: SpanLabels, texts: RowTexts, context: Context) -> SpansSeen:
    """What the hits of each question show of its evidence."""
    questions, k = context.ids.shape
    hit, atom, shown = _shown(labels, len(texts), context)
    # Hits come in order of rank, and only the last one of a question may be cut within an
    # atom; so the first hit that shows an atom shows all that will be seen of it.
    atom, at = np.unique(atom, return_index=True)
    touches = np.zeros(questions * k, dtype=np.bool_)
    touches[hit] = True
    hit, fresh = hit[at], shown[at]
    found = sums(hit, fresh, questions * k).reshape(questions, k)
    inside, covered = _by_span(labels, k, atom, hit % k, fresh)
    gold = labels.gold
    share = np.cumsum(covered, axis=1) / gold.length[:, None]
    groups_hit = gold.sum_of_question((gold.best_of_group(inside) > 0).astype(np.float64))
    whole = gold.best_of_group((inside >= gold.length).astype(np.float64))
    return SpansSeen(
        coverage=gold.sum_of_question(gold.best_of_group(share) * gold.weight[:, None]),
        demand=labels.demand,
        ceiling=labels.ceiling,
        found=np.cumsum(found, axis=1),
        touches=touches.reshape(questions, k),
        groups_hit=groups_hit / np.bincount(gold.question),
        whole=gold.sum_of_question(whole) > 0,
        context=context,
        pieces=_pieces(labels, texts, context),
        labels=labels,
    )


def _shown(labels: SpanLabels, rows: int, context: Context) -> tuple[Whole, Whole, Whole]:
    """Hits (question·k + rank) ascending, the atoms that they show, characters of these."""
    hit = np.flatnonzero(context.kept)
    key = hit // context.ids.shape[1] * rows + context.ids.ravel()[hit]
    at = np.searchsorted(labels.shows.keys, key)
    known = np.append(labels.shows.keys, -1)[at] == key
    at = at[known]
    pick, entry = ranges(labels.shows.first[at], labels.shows.first[at + 1])
    hit, atom = hit[known][pick], labels.shows.atom[entry]
    left = context.kept.ravel()[hit] - labels.shows.offset[entry]
    shown = np.clip(left, 0, labels.atom_length[atom])
    some = shown > 0
    return hit[some], atom[some], shown[some]


def _by_span(
    labels: SpanLabels, k: int, atom: Whole, rank: Whole, shown: Whole
) -> tuple[Reals, Reals]:
    """(spans,) characters shown of each span; (spans, k) of its own ones, by rank."""
    pick, entry = ranges(labels.holders.first[atom], labels.holders.first[atom + 1])
    span, own = labels.holders.span[entry], labels.holders.own[entry]
    rank, shown, spans = rank[pick], shown[pick], len(labels.gold.group)
    inside = sums(span, shown, spans)
    covered = sums(span[own] * k + rank[own], shown[own], spans * k)
    return inside, covered.reshape(spans, k)


def _pieces(labels: SpanLabels, texts: RowTexts, context: Context) -> tuple[Whole, Whole, Whole]:
    """Each shown stretch of text: question, start and end on the axis."""
    hit = np.flatnonzero(context.kept)
    row = context.ids.ravel()[hit]
    pick, span = ranges(labels.chunks.first[row], labels.chunks.first[row + 1])
    hit = hit[pick]
    start = labels.chunks.start[span]
    left = np.maximum(context.kept.ravel()[hit] - texts.offset[span], 0)
    end = np.minimum(labels.chunks.end[span], start + left)
    return hit // context.ids.shape[1], start, end
