"""Many trials scored at once: a list that several trials give to a question is judged once.

Trials of a sweep mostly differ in few questions, so each question has far fewer different lists
than there are trials. The different lists of all questions are laid in as few layers as the
question with the most of them needs, and each layer is scored as if it were a trial: so each
value is worked out by the same code on arrays of the same shape as alone, and has the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mox.evaluation.score import Scores, score, share_of
from mox.types import Hits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mox.evaluation.measures import Measure
    from mox.evaluation.relevance import Relevance

    Whole = NDArray[np.int64]


def score_each(
    relevance: Relevance,
    measures: Sequence[Measure],
    trials: Sequence[Hits],
    *,
    tick: Callable[[], None],
) -> Iterator[Scores]:
    """What `score` gives for each trial's hits, to the bit.

    Args:
        measures: ours; a third party's may look at the scores too, which lists don't tell.
        trials: hits of the same questions, all with the same k.
        tick: called as work goes on.

    Raises:
        As `score`.
    """
    if len(trials) == 1 or not trials[0].ids.size:
        for hits in trials:
            yield score(relevance, measures, hits, tick=tick)
        return
    ids, scores = (np.stack([getattr(hits, part) for hits in trials]) for part in ("ids", "scores"))
    layer, first = layers(ids)
    found: list[Scores] = []
    questions = np.arange(ids.shape[1])
    for trial in first:
        found.append(
            score(relevance, measures, Hits(ids[trial, questions], scores[trial, questions]))
        )
        tick()
    values = {name: np.stack([one.values[name] for one in found]) for name in found[0].values}
    early = {name: np.stack([one.early[name] for one in found]) for name in found[0].early}
    for own in layer:
        ended = {name: rows[own, questions] for name, rows in early.items()}
        yield Scores(
            {name: rows[own, questions] for name, rows in values.items()},
            {name: share_of(relevance, rows) for name, rows in ended.items()},
            ended,
        )


def layers(ids: NDArray[np.int32]) -> tuple[Whole, Whole]:
    """Number each question's different lists.

    Args:
        ids: (trials, questions, k).

    Returns:
        (trials, questions) the layer that a trial's list lies in; and (layers, questions) a
        trial that has the list of that layer. Where a question has fewer lists than there are
        layers, its first one stands in.
    """
    trials, questions, k = ids.shape
    # Odd multipliers, fixed: a list as one number. Whether equal numbers are equal lists is
    # looked at below.
    odd = np.random.default_rng(0).integers(1, 2**63, k, dtype=np.uint64) * np.uint64(2)
    codes = (ids.astype(np.uint64) * (odd + np.uint64(1))).sum(axis=2, dtype=np.uint64)
    order = np.argsort(codes, axis=0, kind="stable")
    ordered = np.take_along_axis(codes, order, axis=0)
    fresh = np.ones((trials, questions), dtype=np.bool_)
    fresh[1:] = ordered[1:] != ordered[:-1]
    number = np.cumsum(fresh, axis=0) - 1
    layer = np.empty_like(number)
    np.put_along_axis(layer, order, number, axis=0)
    first = np.repeat(order[:1], int(number[-1].max()) + 1, axis=0)
    at = np.nonzero(fresh)
    first[number[at], at[1]] = order[at]
    same = ids[first[layer, np.arange(questions)], np.arange(questions)] == ids
    if not same.all():  # two lists of one number: each trial is a layer of its own
        every = np.repeat(np.arange(trials)[:, None], questions, axis=1)
        return every, every
    return layer, first
