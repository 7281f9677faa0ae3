"""From 512 to 128 tokens no gold span is lost: whatever a chunk overlaps is relevant in both.

A rival mapped labels to new chunks by their end points only, and lost 97 of 166. Here the truth
is interval overlap by brute force, and what is tested is the relevance that scores are made of.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mox.chunking import chunkers
from mox.chunking.cut import chunk_corpus
from mox.chunking.tokenizers import open_tokenizer
from mox.corpus import corpora
from mox.evaluation.cuts import first_hits, row_texts
from mox.evaluation.relevance import prepare
from mox.evaluation.seen import see
from mox.types import ChunkTable, Document, Evidence, Question, Span

CHUNKERS = ("fixed", "recursive", "sentences", "headings")
SCIFACT_DOCUMENTS = 150


@dataclass(frozen=True)
class Labelled:
    documents: tuple[Document, ...]
    spans: tuple[Span, ...]


@pytest.fixture(scope="module")
def chroma(shared_data: Path) -> Labelled:
    """All gold spans of Chroma's corpora."""
    spec = corpora.parse({"kind": "evidence", "path": "chroma"})
    corpus = corpora[spec](spec, shared_data)
    found = {s for q in corpus.questions for group in q.evidence.groups for s in group}
    return Labelled(corpus.documents, tuple(sorted(found, key=str)))


@pytest.fixture(scope="module")
def scifact(shared_data: Path) -> Labelled:
    """Sentences of SciFact's relevant abstracts: its own labels are whole documents.

    Twenty abstracts to a document, since one alone is shorter than 512 tokens.
    """
    spec = corpora.parse({"kind": "beir", "path": "scifact"})
    corpus = corpora[spec](spec, shared_data)
    relevant = {name for q in corpus.questions for name in q.evidence.grades}
    texts = [d.text for d in corpus.documents if d.id in relevant][:SCIFACT_DOCUMENTS]
    documents = tuple(
        Document(id=f"volume-{at:03d}", text="\n\n".join(texts[at : at + 20]), sha256="")
        for at in range(0, len(texts), 20)
    )
    spans = tuple(
        Span(d.id, *match.span())
        for d in documents
        for match in re.finditer(r"[^.\s][^.]*\.", d.text)
    )
    return Labelled(documents, spans)


def truth(table: ChunkTable, spans: tuple[Span, ...]) -> NDArray[np.bool_]:
    """(spans, rows) whether they share a character: every pair, by the definition."""
    names = np.array([table.documents.index(span.document) for span in spans])
    start, end = np.array([[s.start, s.end] for s in spans]).T
    row = np.repeat(np.arange(len(table)), np.diff(table.first))
    shares = (
        (names[:, None] == table.document[row][None])
        & (table.start[None] < end[:, None])
        & (table.end[None] > start[:, None])
    )
    found = np.zeros((len(spans), len(table)), dtype=np.bool_)
    np.logical_or.at(found, (slice(None), row), shares)
    return found


def relevance(table: ChunkTable, spans: tuple[Span, ...]) -> NDArray[np.bool_]:
    """(spans, rows) whether a row, as the only hit, is relevant to a question about the span."""
    questions = [Question("q", "?", "g", Evidence(groups=((s,),))) for s in spans]
    labels = prepare(table, questions).spans
    assert labels is not None
    texts = row_texts(table, None)
    every = np.tile(np.arange(len(table)), (len(spans), 1))
    return see(labels, texts, first_hits(texts, every, len(table))).touches


def cut(labelled: Labelled, kind: str, size: int) -> ChunkTable:
    spec = chunkers.parse({"kind": kind, "size": size})
    return chunk_corpus(spec, labelled.documents, open_tokenizer("cl100k"))


@pytest.mark.parametrize("kind", CHUNKERS)
@pytest.mark.parametrize("corpus", ["chroma", "scifact"])
def test_from_512_to_128_tokens_no_overlapping_span_is_lost(
    corpus: str, kind: str, request: pytest.FixtureRequest
) -> None:
    labelled: Labelled = request.getfixturevalue(corpus)
    large, small = (cut(labelled, kind, size) for size in (512, 128))
    assert len(small) > 2.5 * len(large), "they are really cut anew"
    of_large, of_small = (truth(table, labelled.spans) for table in (large, small))
    assert (relevance(large, labelled.spans) == of_large).all()
    assert (relevance(small, labelled.spans) == of_small).all()
    assert (of_large.any(axis=1) == of_small.any(axis=1)).all()
    assert of_small.any(axis=1).all(), "a chunking of the whole text overlaps every span"
    assert len(labelled.spans) > 300


def table_of(rows: list[list[tuple[int, int]]]) -> ChunkTable:
    spans = [span for row in rows for span in row]
    return ChunkTable(
        documents=("d",),
        document=np.zeros(len(rows), np.int32),
        first=np.cumsum([0, *map(len, rows)]).astype(np.int32),
        start=np.array([s for s, _ in spans], np.int32),
        end=np.array([e for _, e in spans], np.int32),
        texts=("",) * len(rows),
    )


LENGTH = 40


@st.composite
def coverings(draw: Any) -> list[list[tuple[int, int]]]:
    """A chunking that covers 0 to 40: windows with overlap, some of two spans."""
    cuts = sorted({0, LENGTH, *draw(st.lists(st.integers(1, LENGTH - 1), max_size=8))})
    rows = []
    for start, end in itertools.pairwise(cuts):
        lead = max(0, start - draw(st.integers(0, 6)))
        middle = draw(st.integers(lead, end))
        parts = [(lead, middle), (middle, end)]
        rows.append([part for part in parts if part[0] < part[1]])
    return rows


SPANS = st.lists(
    st.tuples(st.integers(0, LENGTH - 1), st.integers(1, 12)), min_size=1, max_size=6
).map(lambda found: tuple(Span("d", s, min(s + n, LENGTH)) for s, n in found))


@settings(derandomize=True, max_examples=200, deadline=None)
@given(coverings(), coverings(), SPANS)
def test_any_two_chunkings_of_a_text_find_the_same_spans(
    one: list[list[tuple[int, int]]],
    other: list[list[tuple[int, int]]],
    spans: tuple[Span, ...],
) -> None:
    tables = [table_of(rows) for rows in (one, other)]
    for table in tables:
        assert (relevance(table, spans) == truth(table, spans)).all()
        assert relevance(table, spans).any(axis=1).all()
