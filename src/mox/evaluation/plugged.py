"""Third parties' metrics: asked about one question at a time, and not believed unchecked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from mox.errors import DataError, StageError
from mox.evaluation import metrics
from mox.types import Passage, Shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mox.evaluation.cuts import Context
    from mox.evaluation.measures import Measure
    from mox.evaluation.relevance import Relevance
    from mox.types import ChunkTable, Floats, Metric

    Reals = NDArray[np.float64]
    Whole = NDArray[np.int64]


def show(
    relevance: Relevance, where: Whole, context: Context, scores: Floats, measure: Measure
) -> Iterator[Shown]:
    """What each question is shown.

    Args:
        where: (n,) numbers of the questions that `context` is of.
        context: (n, k) hits and what is kept of them; -1 may stand anywhere.
        scores: (all questions, at least k) the search's own, by rank.

    Raises:
        DataError: the relevance was prepared without the documents' texts.
    """
    if relevance.sources is None:
        raise DataError(
            f"{measure} needs the documents' texts.",
            mend="give `prepare` the `sources`: text by document id.",
        )
    for at, question in enumerate(where.tolist()):
        ranks = np.flatnonzero(context.ids[at] >= 0).tolist()
        rows, kept = context.ids[at].tolist(), context.kept[at].tolist()
        yield Shown(
            question=relevance.asked[question],
            passages=tuple(
                _passage(relevance, rows[rank], kept[rank], float(scores[question, rank]))
                for rank in ranks
            ),
            cut=measure.cut,
            unit=measure.unit,
            chunks=relevance.table,
            documents=relevance.sources,
        )


def _passage(relevance: Relevance, row: int, kept: int, score: float) -> Passage:
    assert relevance.sources is not None  # noqa: S101  `show` has looked
    table = relevance.table
    document = table.documents[table.document[row]]
    spans = tuple(_kept(table, row, kept))
    text = relevance.sources[document]
    return Passage(document, spans, "".join(text[a:b] for a, b in spans), score, row)


def _kept(table: ChunkTable, row: int, kept: int) -> Iterator[tuple[int, int]]:
    """The first `kept` characters of a row's spans."""
    for start, end in table.spans(row):
        if kept <= 0:
            return
        yield start, min(end, start + kept)
        kept -= end - start


def judge(
    metric: Metric, measure: Measure, shown: Iterator[Shown], tick: Callable[[], None]
) -> Reals:
    """(n,) a metric's values, question by question.

    Args:
        tick: called after each question: a time limit then measures standstill, not size.

    Raises:
        StageError: the metric raised, or gave what is no value in [0, 1]; names the metric, the
            question and what brought the metric.
    """
    spec = metrics.parse({"kind": measure.metric})
    values = []
    for one in shown:
        try:
            value = np.asarray(metric(spec, one))
        except Exception as error:
            said = f"raised {type(error).__name__}: {error}"
            raise _refused(measure, one, said) from error
        if value.shape:
            raise _refused(measure, one, f"gave an array of shape {value.shape}, not one number")
        if value.dtype.kind not in "biuf":
            raise _refused(measure, one, f"gave {value.item()!r}, which is no number")
        if not 0 <= value <= 1:
            raise _refused(measure, one, f"gave {value.item()}, which is not in [0, 1]")
        values.append(float(value))
        tick()
    return np.array(values, dtype=np.float64)


def _refused(measure: Measure, shown: Shown, what: str) -> StageError:
    plugin = metrics.entry(measure.metric).plugin
    return StageError(
        f"the metric of {measure} {what} (question {shown.question.id!r}).",
        mend=f"mend {measure.metric}{f' in {plugin}' if plugin else ''}, or leave {measure} out of"
        " `measure`; nothing was scored.",
    )
