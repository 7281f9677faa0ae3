"""Chroma's evidence on three corpora in one pool: README of the labelled corpora, § 3 b."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mox.chunking import chunkers
from mox.chunking.cut import chunk_corpus
from mox.chunking.tokenizers import open_tokenizer
from mox.corpus import corpora
from mox.evaluation.measures import Measure
from mox.evaluation.relevance import prepare
from mox.evaluation.score import score
from mox.types import ChunkTable, Corpus, Hits, Question

CUTS = ("1", "3", "5", "10")
CHROMAS = {"recall": "recall_mean", "precision": "precision_mean", "iou": "iou_mean",
           "omega": "precision_omega_mean"}  # fmt: skip
SPANS = {"hit": "hit", "full": "hit_full", "span_recall": "span_recall", "mrr": "mrr",
         "ndcg": "ndcg", "recall": "recall_chars", "set_precision": "precision_sets",
         "set_iou": "iou_sets"}  # fmt: skip
MEASURES = (*(f"{name}@{k}" for name in {**CHROMAS, **SPANS} for k in CUTS), "set_omega@1")
MOST = 20
"""Chroma's most hits of a question where it asks for as many as touch its evidence."""


@pytest.fixture
def known(reference) -> Callable[[str], dict[str, float]]:
    """Every measure of ours that a row of the reference has; `…@omega` is its k = -1."""

    def expected(name: str) -> dict[str, float]:
        row = reference["chroma_three_corpora"][name]
        found = {f"{ours}@{k}": row["k"][k][key] for ours, key in CHROMAS.items() for k in CUTS}
        found |= {f"{ours}@{k}": row["span"][k][key] for ours, key in SPANS.items() for k in CUTS}
        found |= {
            f"{ours}@omega": row["k"]["-1"][key] for ours, key in CHROMAS.items() if ours != "omega"
        }
        return found | {"set_omega@1": row["span"]["precision_omega_sets"]}

    return expected


@pytest.fixture(scope="session")
def corpus(shared_data: Path) -> Corpus:
    spec = corpora.parse({"kind": "evidence", "path": str(shared_data / "chroma")})
    return corpora[spec](spec, shared_data)


@pytest.fixture
def chunked(corpus: Corpus, reference_chunkers: None) -> Callable[[Mapping[str, Any]], ChunkTable]:
    """The corpus' chunks by a chunker's settings."""
    tokenizer = open_tokenizer("cl100k")
    return lambda spec: chunk_corpus(chunkers.parse(spec), corpus.documents, tokenizer)


@pytest.fixture
def sizes(chunked, reference) -> Callable[..., tuple[list[float], list[float]]]:
    """Chunks, their mean and their most tokens, of a chunker and of the reference."""

    def both(spec: Mapping[str, Any], name: str) -> tuple[list[float], list[float]]:
        table, row = chunked(spec), reference["chroma_three_corpora"][name]
        tokens = [open_tokenizer("cl100k").count(text) for text in table.texts]
        ours = [len(table), float(np.mean(tokens)), max(tokens)]
        return ours, [row["n_chunks"], row["mean_tokens"], row["max_tokens"]]

    return both


@pytest.fixture
def allowed(chunked, corpus, reference) -> Callable[..., tuple[list[float], list[float]]]:
    """Ω, Ω by sets and the recall of all chunks at once: what a chunking allows, whatever is
    embedded and found; of a chunker and of the reference."""

    def both(spec: Mapping[str, Any], name: str) -> tuple[list[float], list[float]]:
        table, row = chunked(spec), reference["chroma_three_corpora"][name]
        ids = np.tile(np.arange(len(table), dtype=np.int32), (len(corpus.questions), 1))
        measures = ["omega@1", "set_omega@1", f"recall@{len(table)}"]
        found = averaged(table, corpus.questions, measures, Hits(ids, ids.astype(np.float32)))
        span = row["span"]
        omega = row["k"]["5"]["precision_omega_mean"]
        return list(found.values()), [omega, span["precision_omega_sets"], span["recall_ceiling"]]

    return both


@pytest.fixture
def minilms_means(shared_data, reference_chunkers, sweep, means) -> Callable[..., list[Any]]:
    """Sweeps chunkers with MiniLM and exact search: settings, chunks and means of each."""

    def found(specs: Sequence[Mapping[str, Any]]) -> list[Any]:
        results = sweep(
            {
                "corpus": {"kind": "evidence", "path": str(shared_data / "chroma")},
                "axes": {
                    "chunk": list(specs),
                    "embed": [{"kind": "minilm", "truncate": True}],
                    "index": [{"kind": "exact"}],
                    "search": [{"kind": "dense", "k": MOST}],
                },
                "measure": list(MEASURES),
            }
        )
        return [
            (
                trial.config["chunk"],
                results.costs[trial.id]["chunks"],
                {**values, **at_omegas_count(results, trial)},
            )
            for trial, values in means(results)
        ]

    return found


@pytest.fixture
def hold_nearly(known) -> Callable[[str, Mapping[str, float]], None]:
    """Holds means to a row whose offsets Chroma found by search: within 0.01.

    That search drops a full stop at a chunk's end, so a span that ends with one is never whole
    there: `full` has no target.
    """

    def hold(name: str, found: Mapping[str, float]) -> None:
        expected = {m: v for m, v in known(name).items() if not m.startswith("full")}
        far = {m: found[m] - v for m, v in expected.items() if abs(found[m] - v) > 0.01}
        assert far == {}, name

    return hold


def averaged(
    table: ChunkTable, questions: Sequence[Question], measures: Sequence[str], hits: Hits
) -> dict[str, float]:
    wanted = [Measure.parse(name) for name in measures]
    values = score(prepare(table, questions), wanted, hits).values
    return {name: float(values[name].mean()) for name in measures}


def at_omegas_count(results: Any, trial: Any) -> dict[str, float]:
    """Chroma's k = -1: each question gets as many hits as chunks touch its evidence, at most 20."""
    table, hits = results.chunks(trial), results.hits(trial)
    counts = np.array([touching(table, one) for one in results.questions_asked])
    beyond = np.arange(hits.k) >= np.minimum(counts, MOST)[:, None]
    cut = Hits(np.where(beyond, -1, hits.ids), np.where(beyond, -np.inf, hits.scores))
    names = [f"{name}@{MOST}" for name in ("recall", "precision", "iou")]
    found = averaged(table, results.questions_asked, names, cut)
    return {f"{name.split('@')[0]}@omega": value for name, value in found.items()}


def touching(table: ChunkTable, question: Question) -> int:
    """Chunks that share a character with evidence or begin or end where it does."""
    spans = [span for group in question.evidence.groups for span in group]
    return sum(
        any(
            table.documents[table.document[row]] == span.document
            and max(start, span.start) <= min(end, span.end)
            for start, end in table.spans(row)
            for span in spans
        )
        for row in range(len(table))
    )
