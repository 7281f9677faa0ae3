"""Chunk hits to documents."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mox.retrieval.fold import fold
from mox.retrieval.hits import ranked
from mox.types import ChunkTable


def table(document):
    """Chunks of the documents "9" … "0", one character each, in tie order."""
    rows = len(document)
    numbers = np.arange(rows, dtype=np.int32)
    return ChunkTable(
        documents=tuple("9876543210"),
        document=np.array(document, np.int32),
        first=np.arange(rows + 1, dtype=np.int32),
        start=numbers,
        end=numbers + 1,
        texts=("x",) * rows,
    )


def test_a_document_stands_where_its_best_chunk_stood():
    chunks = table([0, 0, 1, 2, 2])
    hits = ranked(np.array([[4, 0, 3, 1, 2]]), np.array([[0.9, 0.8, 0.7, 0.6, 0.5]]), k=6)
    documents, scores = fold(hits, chunks)
    assert documents.tolist() == [[2, 0, 1, -1, -1, -1]]
    np.testing.assert_array_equal(scores, np.float32([[0.9, 0.8, 0.5, *[-np.inf] * 3]]))


def test_equal_documents_stand_by_descending_id_as_trec_eval_has_them():
    chunks = table([0, 1, 2])  # documents "9", "8", "7"
    documents, _ = fold(ranked(np.array([[2, 0, 1]]), np.ones((1, 3)), k=3), chunks)
    assert [chunks.documents[d] for d in documents[0]] == ["9", "8", "7"]


@settings(derandomize=True, max_examples=100, deadline=None)
@given(st.data())
def test_fold_is_the_first_occurrence_of_each_document(data):
    document = sorted(data.draw(st.lists(st.integers(0, 9), min_size=1, max_size=12)))
    rows = st.lists(st.integers(0, len(document) - 1), unique=True, min_size=1, max_size=6)
    queries = data.draw(st.lists(rows, min_size=1, max_size=3))
    ids = np.full((len(queries), 6), -1)
    for line, query in zip(ids, queries, strict=True):
        line[: len(query)] = query
    hits = ranked(ids, np.tile([3.0, 3.0, 2.0, 1.0, 1.0, 0.0], (len(ids), 1)), k=6)
    documents, scores = fold(hits, table(document))
    for q in range(len(queries)):
        best = {}
        for row, value in zip(hits.ids[q].tolist(), hits.scores[q].tolist(), strict=True):
            if row >= 0:
                best.setdefault(document[row], value)
        pad = 6 - len(best)
        assert documents[q].tolist() == [*best, *[-1] * pad]
        assert scores[q].tolist() == [*best.values(), *[-np.inf] * pad]


def test_no_queries_fold_to_none():
    hits = ranked(np.empty((0, 2), int), np.empty((0, 2)), k=2)
    documents, scores = fold(hits, table([0]))
    assert documents.shape == scores.shape == (0, 2)
