"""The measured reference values of the labelled corpora's README that need no neural model.

Chunks come from the chunkers that the README names, written here after its § 3, not from ours:
this is a test of the scores. Tokens are cl100k_base's.
"""

from __future__ import annotations

import itertools
import json
import re
import warnings
from functools import cache

import bm25s
import numpy as np
import pytest
import semchunk
import Stemmer

from mox.evaluation.measures import Measure
from mox.evaluation.score import prepare, score
from mox.types import Evidence, Hits, Question, Span

TOLERANCE = 0.0005
"""The README's for BM25: near-ties may fall the other way."""

SEPARATORS = ("\n\n", "\n", ".", "?", "!", " ", "")


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def spans_of(question, grades=False):
    evidence = question["evidence"]
    groups = () if grades else tuple(
        (Span(one["document"], one["start"], one["end"]),) for one in evidence
    )  # fmt: skip
    by_document = {one["document"]: 1 for one in evidence} if grades else {}
    return Question(question["id"], question["text"], "", Evidence(groups, by_document))


@cache
def cl100k():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # its way of opening its own files
        import bpe_openai
    return bpe_openai.get_encoding("cl100k_base")


@cache
def tokens(text):
    return len(cl100k().encode(text, disallowed_special=()))


def merged(pieces, size):
    """LangChain's merge without overlap: pieces in a row while their tokens' sum fits."""
    found, current, total = [], [], 0
    for piece in pieces:
        if current and total + tokens(piece) > size:
            found.append("".join(current).strip())
            current, total = [], 0
        current.append(piece)
        total += tokens(piece)
    return [text for text in [*found, "".join(current).strip()] if text]


def recursive(text, size, separators=SEPARATORS):
    """LangChain's recursive splitter: a separator stays at the start of what follows it."""
    at = next(i for i, one in enumerate(separators) if not one or one in text)
    separator, rest = separators[at], separators[at + 1 :]
    if separator:
        first, *parts = re.split(f"({re.escape(separator)})", text)
        parts = [first, *map("".join, zip(parts[::2], parts[1::2], strict=True))]
    else:
        parts = list(text)
    found, good = [], []
    for part in filter(None, parts):
        if tokens(part) < size:
            good.append(part)
            continue
        found += merged(good, size)
        good = []
        found += recursive(part, size, rest) if rest else [part]
    return found + merged(good, size)


def by_recursion(text):
    """Spans of recursive 200, each found from the end of the one before it."""
    end = 0
    for piece in recursive(text, 200):
        start = text.index(piece, end)
        end = start + len(piece)
        yield start, end


def by_tokens(text):
    """Windows of 200 tokens, cut where these begin."""
    _, begins = cl100k().decode_with_offsets(cl100k().encode(text, disallowed_special=()))
    return list(itertools.pairwise([*begins[::200], len(text)]))


def by_semchunk(text):
    _, offsets = semchunk.chunkerify(tokens, 200)(text, offsets=True)
    return [span for span in offsets if text[slice(*span)].strip()]


def chunked(documents, cut, table):
    """All chunks in their order: the reference's ties go by it."""
    rows = [(d["id"], [span]) for d in documents for span in cut(d["text"])]
    return table(rows, [d["id"] for d in documents])


def best(values, k):
    """The k best of each row, ties by row, what scores 0 left out."""
    order = np.argsort(-values, axis=1, kind="stable")[:, :k]
    scores = np.take_along_axis(values, order, axis=1).astype(np.float32)
    return Hits(
        np.where(scores > 0, order, -1).astype(np.int32), np.where(scores > 0, scores, -np.inf)
    )


def means(relevance, names, found):
    values = score(relevance, [Measure.parse(name) for name in names], found).values
    return {name: float(values[name].mean()) for name in names}


@pytest.mark.parametrize(
    ("cut", "row", "chunks"),
    [
        (by_recursion, "X_recursive200_exactoffsets", 309),
        (by_tokens, "X_tokentext200_exactoffsets", 226),
        (by_semchunk, "X_semchunk_200", 303),
    ],
)
def test_chroma_s_recall_ceilings(cut, row, chunks, shared_data, table):
    """The recall of all chunks at once: README § 3 b, last column."""
    documents = lines(shared_data / "chroma" / "documents.jsonl")
    questions = [spans_of(one) for one in lines(shared_data / "chroma" / "questions.jsonl")]
    reference = json.loads((shared_data / "data_reference.json").read_text())
    expected = reference["chroma_three_corpora"][row]["span"]["recall_ceiling"]
    everything = chunked(documents, cut, table)
    assert len(everything) == chunks
    ids = np.tile(np.arange(chunks, dtype=np.int32), (len(questions), 1))
    found = means(
        prepare(everything, questions), [f"recall@{chunks}"], Hits(ids, ids.astype(np.float32))
    )
    assert found[f"recall@{chunks}"] == pytest.approx(expected, abs=1e-9)


@pytest.fixture(scope="module")
def xquad(shared_data):
    documents = lines(shared_data / "xquad_en" / "documents.jsonl")
    questions = lines(shared_data / "xquad_en" / "questions.jsonl")
    reference = json.loads((shared_data / "data_reference.json").read_text())
    return documents, questions, reference["xquad_en_recursive200"]["bm25"]


def by_bm25(chunks, documents, questions, k):
    """README § 3: k1 1.5, b 0.75, English stop words and stemmer."""
    texts = {document["id"]: document["text"] for document in documents}
    returned = [
        texts[chunks.documents[chunks.document[row]]][slice(*chunks.spans(row)[0])]
        for row in range(len(chunks))
    ]
    cut = {"stopwords": "en", "stemmer": Stemmer.Stemmer("english"), "show_progress": False}
    index = bm25s.BM25(method="lucene", k1=1.5, b=0.75)
    index.index(bm25s.tokenize(returned, **cut), show_progress=False)
    asked = bm25s.tokenize([one["text"] for one in questions], return_ids=False, **cut)
    return best(np.stack([index.get_scores(words) for words in asked]), k)


def test_xquad_s_span_metrics_by_bm25(xquad, table):
    """README § 3 c, first row; ties by the order of the documents."""
    documents, questions, reference = xquad
    chunks = chunked(documents, by_recursion, table)
    assert len(chunks) == 298
    names = {"hit": "hit", "hit_full": "full", "span_recall": "span_recall", "mrr": "mrr",
             "ndcg": "ndcg", "recall_chars": "recall", "precision_sets": "set_precision",
             "iou_sets": "set_iou"}  # fmt: skip
    cuts = ("1", "3", "5", "10")
    found = means(
        prepare(chunks, [spans_of(one) for one in questions]),
        [f"{name}@{cut}" for name in names.values() for cut in cuts],
        by_bm25(chunks, documents, questions, 10),
    )
    for cut in cuts:
        for theirs, ours in names.items():
            expected = reference["span"][cut][theirs]
            assert found[f"{ours}@{cut}"] == pytest.approx(expected, abs=TOLERANCE), (ours, cut)


def test_xquad_s_document_metrics_by_bm25(xquad, table):
    """README § 3 c, its doc columns: the first 50 chunks, folded; ties by document descending."""
    documents, questions, reference = xquad
    backwards = sorted(documents, key=lambda document: document["id"], reverse=True)
    chunks = chunked(backwards, by_recursion, table)
    found = means(
        prepare(chunks, [spans_of(one, grades=True) for one in questions]),
        ["ndcg@10", "recall@5", "map@10", "mrr@50"],
        by_bm25(chunks, documents, questions, 50),
    )
    names = {"ndcg@10": "ndcg_cut_10", "recall@5": "recall_5", "map@10": "map_cut_10",
             "mrr@50": "recip_rank"}  # fmt: skip
    for ours, theirs in names.items():
        assert found[ours] == pytest.approx(reference["doc"][theirs], abs=TOLERANCE), ours
