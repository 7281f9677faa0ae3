"""Scores per question: hits looked up in the evidence that was laid over their chunk table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mox.errors import DataError
from mox.evaluation.cuts import first_hits, within_tokens
from mox.evaluation.measures import judge_of
from mox.evaluation.ours import Ours
from mox.evaluation.plugged import judge as judge_one_by_one
from mox.evaluation.plugged import show
from mox.evaluation.seen import see

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mox.evaluation.cuts import Context
    from mox.evaluation.documents import DocumentLabels, DocumentsSeen
    from mox.evaluation.labels import SpanLabels
    from mox.evaluation.measures import Measure, Unit
    from mox.evaluation.ours import Evidence
    from mox.evaluation.relevance import Relevance
    from mox.evaluation.seen import SpansSeen
    from mox.types import Hits

    Reals = NDArray[np.float64]
    Truths = NDArray[np.bool_]
    Whole = NDArray[np.int64]


@dataclass(frozen=True)
class Scores:
    """Per-question scores of one trial.

    `values`: measure → (questions,) in [0, 1]; NaN for unanswerable questions, which stay out.
    `short`: measure → share of answerable questions whose list ended before the cut although
    more hits were to be had by a larger k: their score says too little.
    `early`: measure → (questions,) which those are.
    """

    values: dict[str, Reals]
    short: dict[str, float]
    early: dict[str, Truths]


def score(
    relevance: Relevance,
    measures: Sequence[Measure],
    hits: Hits,
    *,
    tick: Callable[[], None] = lambda: None,
) -> Scores:
    """Score one trial's hits.

    Over spans `recall@5` looks at 5 chunks; over documents at 5 documents, to which the chunks
    are folded first. Over both, `recall@1000t` looks at chunks until 1,000 tokens are spent.

    Args:
        hits: (questions, k) rows of the prepared table; the first -1 ends a list.
        tick: called as work goes on, where a third party's metric may take its time.

    Raises:
        SpecError: a measure that the evidence can't give (`measures.check` says so earlier).
        DataError: hits of other questions or rows; a token budget without token ends; a third
            party's metric without the documents' texts.
        StageError: a third party's metric raised, or gave what is no value in [0, 1].
    """
    ids = _checked(relevance, hits)
    more_to_be_had = (ids[:, -1] >= 0) & (ids.shape[1] < len(relevance.texts))
    values = {str(measure): np.full(len(ids), np.nan) for measure in measures}
    ended: dict[str, Truths] = {}
    for cut, unit in dict.fromkeys((measure.cut, measure.unit) for measure in measures):
        here = [measure for measure in measures if (measure.cut, measure.unit) == (cut, unit)]
        early = np.zeros(len(ids), dtype=np.bool_)
        parts: list[_Part] = []
        if relevance.spans is not None:
            parts.append(_by_spans(relevance, relevance.spans, ids, cut, unit))
        if relevance.documents is not None:
            parts.append(_by_documents(relevance, relevance.documents, ids, cut, unit))
        for part in parts:
            early[part.where] = part.early
            for measure in here:
                judge = judge_of(measure, part.form)
                if isinstance(judge, Ours):
                    found = getattr(judge, part.form)(part.seen)
                else:
                    shown = show(relevance, part.where, part.context, hits.scores, measure)
                    found = judge_one_by_one(judge, measure, shown, tick)
                values[str(measure)][part.where] = found
        ended |= dict.fromkeys((str(measure) for measure in here), early & more_to_be_had)
    short = {name: share_of(relevance, ended[name]) for name in values}
    return Scores(values, short, ended)


def view(relevance: Relevance, measure: Measure, hits: Hits) -> SpansSeen | DocumentsSeen:
    """What our own metrics are made from, for questions whose evidence is all of one form.

    Raises:
        DataError: as `score`; or no question has evidence.
    """
    ids = _checked(relevance, hits)
    if relevance.spans is not None:
        return _by_spans(relevance, relevance.spans, ids, measure.cut, measure.unit).seen
    if relevance.documents is not None:
        return _by_documents(relevance, relevance.documents, ids, measure.cut, measure.unit).seen
    raise DataError("no question has evidence.", mend="look at an answerable question.")


def share_of(relevance: Relevance, questions: Truths) -> float:
    """Share of the answerable questions that are marked."""
    answerable = max(len(relevance.by_spans) + len(relevance.by_documents), 1)
    return float(questions.sum() / answerable)


@dataclass(frozen=True)
class _Part:
    """The questions with one form of evidence, within one cut.

    `where`: (n,) their numbers. `early`: (n,) whether a list ended before the cut.
    """

    form: Evidence
    where: Whole
    early: Truths
    see: Callable[[], SpansSeen | DocumentsSeen]
    limit: Callable[[], Context]

    @cached_property
    def seen(self) -> SpansSeen | DocumentsSeen:
        """What our own metrics are made from."""
        return self.see()

    @cached_property
    def context(self) -> Context:
        """What a reader gets to see."""
        return self.limit()


def _by_spans(relevance: Relevance, labels: SpanLabels, ids: Whole, cut: int, unit: Unit) -> _Part:
    ids, texts = ids[relevance.by_spans], relevance.texts
    if unit == "tokens":
        context, tokens = within_tokens(texts, ids, cut)
        early = tokens < cut
    else:
        context, early = first_hits(texts, ids, cut), np.full(len(ids), ids.shape[1] < cut)
    return _Part(
        "spans", relevance.by_spans, early, lambda: see(labels, texts, context), lambda: context
    )


def _by_documents(
    relevance: Relevance, labels: DocumentLabels, ids: Whole, cut: int, unit: Unit
) -> _Part:
    where, texts = relevance.by_documents, relevance.texts
    ids = ids[where]
    if unit == "tokens":
        context, tokens = within_tokens(texts, ids, cut)
        ranking = labels.ranking(context.ids)
        return _Part(
            "documents", where, tokens < cut, lambda: labels.see(ranking, None), lambda: context
        )
    ranking = labels.ranking(ids)
    return _Part(
        "documents",
        where,
        (ranking >= 0).sum(axis=1) < cut,
        lambda: labels.see(ranking, cut),
        lambda: first_hits(texts, labels.hits_of(ids, ranking[:, :cut]), ids.shape[1]),
    )


def _checked(relevance: Relevance, hits: Hits) -> Whole:
    """(questions, k) ids with everything after the first -1 set to -1; k at least 1."""
    ids = hits.ids.astype(np.int64)
    if len(ids) != len(relevance.asked):
        raise DataError(
            f"hits of {len(ids)} questions for {len(relevance.asked)} prepared ones.",
            mend="search with the very questions that were prepared.",
        )
    if ids.max(initial=-1) >= len(relevance.texts):
        raise DataError(
            f"hit {ids.max()} in a table of {len(relevance.texts)} chunks.",
            mend="prepare the chunk table that was searched.",
        )
    if ids.shape[1] == 0:
        ids = np.full((len(ids), 1), -1, dtype=np.int64)
    return np.where(np.logical_and.accumulate(ids >= 0, axis=1), ids, -1)
