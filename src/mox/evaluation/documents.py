"""Evidence as graded documents (qrels): trec_eval's values over chunk hits.

Hits of chunks become a ranking of documents: each document stands where its first chunk does,
which is its best, and the order of hits is trec_eval's already (score descending, then document
id descending). A rank cut counts documents, after folding; a token budget is spent on chunks,
before folding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mox.evaluation.arrays import first_times

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mox.types import ChunkTable, Question

    Reals = NDArray[np.float64]
    Whole = NDArray[np.int64]


@dataclass(frozen=True)
class DocumentsSeen:
    """Grades of each question's documents by rank: all that a metric is made from.

    `grades`: (questions, n) of the documents seen, 0 where unjudged, not relevant or absent.
    `ideal`: (questions, m) grades of all relevant documents, descending, padded with 0.
    `cut`: how many documents were asked for; None where a token budget was.
    """

    grades: Reals
    ideal: Reals
    cut: int | None


@dataclass(frozen=True)
class DocumentLabels:
    """Grades by document: what depends on chunk table and questions.

    `document`: (rows,) number of each row's document. `documents`: how many there are. `keys`:
    sorted question·documents + document of all relevant ones. `grades`: theirs.
    """

    document: Whole
    documents: int
    keys: Whole
    grades: Reals
    ideal: Reals

    def ranking(self, ids: Whole) -> Whole:
        """Fold (questions, k) chunk hits to documents by first occurrence.

        Returns:
            (questions, k) documents by rank, padded with -1.
        """
        found = np.where(ids >= 0, self.document[ids], -1)
        first = first_times(found) & (found >= 0)
        question, at = np.nonzero(first)
        folded = np.full_like(found, -1)
        folded[question, np.cumsum(first, axis=1)[question, at] - 1] = found[question, at]
        return folded

    def hits_of(self, ids: Whole, documents: Whole) -> Whole:
        """(questions, k) hits of any of these (questions, n) documents; -1 for others."""
        found = np.where(ids >= 0, self.document[ids], -1)
        pairs = zip(found, documents, strict=True)
        kept = [np.isin(row, best[best >= 0]) for row, best in pairs]
        return np.where(np.reshape(kept, found.shape), ids, -1)

    def see(self, ranking: Whole, cut: int | None) -> DocumentsSeen:
        """Grades of the first `cut` documents of a ranking; of all for None."""
        seen = ranking[:, :cut]
        key = np.arange(len(seen))[:, None] * self.documents + seen
        at = np.searchsorted(self.keys, key)
        known = (np.append(self.keys, -1)[at] == key) & (seen >= 0)
        return DocumentsSeen(np.where(known, np.append(self.grades, 0.0)[at], 0.0), self.ideal, cut)


def judge(table: ChunkTable, questions: Sequence[Question]) -> DocumentLabels:
    """Look up the grades of questions in a chunk table.

    Args:
        questions: all with evidence as grades. Grades under 1 are not relevant, as in trec_eval.
    """
    number = {document: i for i, document in enumerate(table.documents)}
    relevant = [
        {document: grade for document, grade in question.evidence.grades.items() if grade > 0}
        for question in questions
    ]
    keyed = sorted(
        (at * len(number) + number[document], grade)
        for at, grades in enumerate(relevant)
        for document, grade in grades.items()
        if document in number
    )
    ideal = np.zeros((len(questions), max(map(len, relevant), default=0)))
    for at, grades in enumerate(relevant):
        ideal[at, : len(grades)] = sorted(grades.values(), reverse=True)
    return DocumentLabels(
        document=table.document.astype(np.int64),
        documents=len(number),
        keys=np.array([key for key, _ in keyed], dtype=np.int64),
        grades=np.array([grade for _, grade in keyed], dtype=np.float64),
        ideal=ideal,
    )


def ndcg(seen: DocumentsSeen) -> Reals:
    """Σ grade / log₂(rank + 1) / the same of the ideal ranking (trec_eval's ndcg_cut).

    Under a rank cut the ideal is cut there too; under a token budget it isn't, since how many
    documents fit depends on the chunks.
    """
    return _share(_dcg(seen.grades), _dcg(seen.ideal[:, : seen.cut]))


def recall(seen: DocumentsSeen) -> Reals:
    """Share of the relevant documents that are seen."""
    return _share(_relevant(seen.grades), _relevant(seen.ideal))


def average_precision(seen: DocumentsSeen) -> Reals:
    """Σ precision at each relevant document seen / all relevant ones (trec_eval's map_cut)."""
    hit = seen.grades > 0
    precision = np.cumsum(hit, axis=1) / (np.arange(hit.shape[1]) + 1.0)
    return _share((precision * hit).sum(axis=1), _relevant(seen.ideal))


def mrr(seen: DocumentsSeen) -> Reals:
    """1 / rank of the first relevant document; 0 without one (trec_eval's recip_rank)."""
    ranks = np.arange(seen.grades.shape[1]) + 1.0
    return np.asarray(((seen.grades > 0) / ranks).max(axis=1))


def _dcg(grades: Reals) -> Reals:
    return np.asarray(grades @ (1.0 / np.log2(np.arange(grades.shape[1]) + 2.0)))


def _relevant(grades: Reals) -> Reals:
    return np.asarray((grades > 0).sum(axis=1), dtype=np.float64)


def _share(part: Reals, whole: Reals) -> Reals:
    """part / whole; 0 where a question has no relevant document, as trec_eval counts it."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
