"""Chunk tables, questions and hits by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from mox.evaluation.cuts import TokenEnds
from mox.evaluation.measures import Measure
from mox.evaluation.relevance import prepare
from mox.evaluation.score import Scores, score
from mox.types import ChunkTable, Evidence, Hits, Question, Span

Row = tuple[str, Sequence[tuple[int, int]]]


def make_table(rows: Sequence[Row], documents: Sequence[str] = ()) -> ChunkTable:
    """A chunk table of (document, spans), rows as they are given."""
    names = tuple(dict.fromkeys([*documents, *(document for document, _ in rows)]))
    spans = [span for _, row in rows for span in row]
    return ChunkTable(
        documents=names,
        document=np.array([names.index(document) for document, _ in rows], np.int32),
        first=np.cumsum([0, *(len(row) for _, row in rows)]).astype(np.int32),
        start=np.array([start for start, _ in spans], np.int32),
        end=np.array([end for _, end in spans], np.int32),
        texts=("",) * len(rows),
    )


def make_question(*groups: Sequence[tuple[str, int, int]], **grades: int) -> Question:
    """A question with groups of alternatives, or with grades by document."""
    spans = tuple(tuple(Span(*span) for span in group) for group in groups)
    return Question("q", "?", "g", Evidence(groups=spans, grades=grades))


def make_hits(*lists: Sequence[int]) -> Hits:
    """Hits by rank, padded with -1 to the longest list; scores are their descending ranks."""
    k = max(len(ids) for ids in lists)
    ids = np.array([[*row, *[-1] * (k - len(row))] for row in lists], np.int32)
    scores = np.where(ids >= 0, -np.arange(k, dtype=np.float32), -np.inf).astype(np.float32)
    return Hits(ids, scores)


def make_ends(rows: Sequence[Sequence[int]]) -> TokenEnds:
    """Token ends of each row's text."""
    first = np.cumsum([0, *map(len, rows)]).astype(np.int32)
    return TokenEnds(first, np.array([end for row in rows for end in row], np.int32))


def scored(
    measures: str, table: ChunkTable, questions: Sequence[Question], hits: Hits,
    ends: TokenEnds | None = None,
) -> Scores:  # fmt: skip
    """Scores of measures that are written with spaces between them."""
    wanted = [Measure.parse(name) for name in measures.split()]
    return score(prepare(table, questions, ends=ends), wanted, hits)


@pytest.fixture(scope="session")
def table() -> Callable[..., ChunkTable]:
    return make_table


@pytest.fixture(scope="session")
def ask() -> Callable[..., Question]:
    return make_question


@pytest.fixture(scope="session")
def hits() -> Callable[..., Hits]:
    return make_hits


@pytest.fixture(scope="session")
def ends() -> Callable[..., TokenEnds]:
    return make_ends


@pytest.fixture(scope="session")
def scores() -> Callable[..., Scores]:
    return scored
