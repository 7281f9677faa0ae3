"""Evidence as spans: how much of it the hits show, whatever the chunking.

Notation. A question's evidence is *all of* its groups, each *any of* its spans (alternatives).
|·| counts characters; ⋃c is what the hits show, as a set of characters.

- A character that an earlier group of the same question has claimed isn't counted again: `own`
  of an alternative is what no earlier group holds. Where groups don't overlap it is the span.
- `covered` of a group is the largest |own ∩ ⋃c| / |alternative| over its alternatives.
- `weight` of a group is the mean length of its alternatives, whichever of them is found: if
  the weight moved with the alternative, more hits could mean less recall.
- coverage = Σ weight·covered over groups; demand = Σ weight; ceiling = the coverage of the whole
  corpus, which is under the demand only where groups overlap.

So coverage never falls as hits are added. With one alternative to a group, coverage is
|E ∩ ⋃c|, the demand Σ|eᵢ| and the ceiling |E|: Chroma's own numbers (shared/data/README § 2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mox.evaluation.seen import SpansSeen

    Reals = NDArray[np.float64]


def recall(seen: SpansSeen) -> Reals:
    """coverage / demand; Chroma's recall."""
    return seen.coverage[:, -1] / seen.demand


def precision(seen: SpansSeen) -> Reals:
    """Evidence shown / characters returned, repeats counted; 0 where nothing is returned.

    Chroma's precision: |E ∩ ⋃c| / Σ|cⱼ|.
    """
    return _share(seen.found[:, -1], seen.returned)


def iou(seen: SpansSeen) -> Reals:
    """Evidence shown / (characters returned, repeats counted, + evidence missing).

    Chroma's IoU: |E ∩ ⋃c| / (Σ|cⱼ| + |E \\ ⋃c|).
    """
    return _share(seen.found[:, -1], seen.returned + seen.missing)


def set_precision(seen: SpansSeen) -> Reals:
    """Evidence shown / distinct characters returned."""
    return _share(seen.found[:, -1], seen.distinct)


def set_iou(seen: SpansSeen) -> Reals:
    """Evidence shown / (distinct characters returned + evidence missing): Jaccard's index."""
    return _share(seen.found[:, -1], seen.distinct + seen.missing)


def omega(seen: SpansSeen) -> Reals:
    """What the chunking allows, whatever is retrieved and at any cut: |E ∩ ⋃T| / |⋃T ∪ E|.

    T: all chunks that share a character with evidence **or merely touch it**, as Chroma's
    precision_omega has it; a chunk that ends where evidence begins counts with its whole length.
    """
    return seen.labels.omega


def set_omega(seen: SpansSeen) -> Reals:
    """The same with T: the chunks that share a character with evidence."""
    return seen.labels.set_omega


def hit(seen: SpansSeen) -> Reals:
    """1 where any hit shows a character of any span."""
    return np.asarray(seen.touches.any(axis=1), dtype=np.float64)


def full(seen: SpansSeen) -> Reals:
    """1 where some span is shown whole; neighbouring chunks may complete it."""
    return np.asarray(seen.whole, dtype=np.float64)


def span_recall(seen: SpansSeen) -> Reals:
    """Share of groups of which any hit shows a character."""
    return seen.groups_hit


def mrr(seen: SpansSeen) -> Reals:
    """1 / rank of the first hit that shows a character of any span; 0 without one."""
    ranks = np.arange(seen.touches.shape[1]) + 1.0
    return np.asarray((seen.touches / ranks).max(axis=1))


def ndcg(seen: SpansSeen) -> Reals:
    """Σ gainᵢ / log₂(i + 1), gainᵢ = what hit i adds to coverage / ceiling; the ideal is 1.

    The ideal, all evidence at rank 1, doesn't depend on the chunks, and a chunk that shows
    known evidence again gains nothing: neither chunk size nor overlap moves the scale.
    """
    gain = np.diff(seen.coverage, axis=1, prepend=0.0) / seen.ceiling[:, None]
    return np.asarray(gain @ (1.0 / np.log2(np.arange(gain.shape[1]) + 2.0)), dtype=np.float64)


def _share(part: Reals, whole: Reals) -> Reals:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
