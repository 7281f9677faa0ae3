"""Evidence of all questions over one chunk table: made once, read by every trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mox.evaluation.cuts import row_texts
from mox.evaluation.documents import judge
from mox.evaluation.labels import lay

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mox.evaluation.cuts import RowTexts, TokenEnds
    from mox.evaluation.documents import DocumentLabels
    from mox.evaluation.labels import SpanLabels
    from mox.types import ChunkTable, Question

    Whole = NDArray[np.int64]


@dataclass(frozen=True)
class Relevance:
    """Evidence of all questions over one chunk table. Made once, read by every trial.

    `by_spans`, `by_documents`: indices of the questions with either form of evidence. `sources`:
    text of each document by id, for third parties' metrics alone.
    """

    table: ChunkTable
    asked: tuple[Question, ...]
    texts: RowTexts
    by_spans: Whole
    spans: SpanLabels | None
    by_documents: Whole
    documents: DocumentLabels | None
    sources: Mapping[str, str] | None


def prepare(
    table: ChunkTable,
    questions: Sequence[Question],
    *,
    ends: TokenEnds | None = None,
    sources: Mapping[str, str] | None = None,
) -> Relevance:
    """Lay the evidence of questions over a chunk table.

    Args:
        ends: the tokens of each row's returned text; measures of tokens need them.
        sources: text of each document by id; third parties' metrics need them.

    Raises:
        DataError: evidence without characters, or token ends of another table.
    """
    texts = row_texts(table, ends)
    by_spans = [i for i, question in enumerate(questions) if question.evidence.groups]
    by_documents = [
        i
        for i, question in enumerate(questions)
        if question.evidence.grades and not question.evidence.groups
    ]
    return Relevance(
        table=table,
        asked=tuple(questions),
        texts=texts,
        by_spans=np.array(by_spans, dtype=np.int64),
        spans=lay(table, texts, [questions[i] for i in by_spans]) if by_spans else None,
        by_documents=np.array(by_documents, dtype=np.int64),
        documents=judge(table, [questions[i] for i in by_documents]) if by_documents else None,
        sources=sources,
    )
