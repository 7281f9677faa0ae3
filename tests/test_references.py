"""Published and trec_eval's values, through the whole pipeline: loader, chunker, search, scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import mox

pytestmark = pytest.mark.timeout(170)


def means(settings: dict[str, Any]) -> dict[str, float]:
    results = mox.run(settings, offline=True, quiet=True)
    [trial] = results.run.trials
    assert trial.status == "FINISHED", trial.error
    return {name: i.mean for name, i in results.summary[trial.id]["all"].items()}


def test_bm25_on_scifact_has_trec_evals_values(shared_data: Path) -> None:
    """README of the labelled corpora, § 3 a: BM25 k1 = 1.5, b = 0.75, test split."""
    found = means(
        {
            "corpus": {"kind": "beir", "path": str(shared_data / "scifact")},
            "questions": {"split": "test"},
            "axes": {"chunk": [{"kind": "whole"}], "search": [{"kind": "bm25", "k": 1000}]},
            "measure": ["ndcg@10", "recall@5", "recall@10", "recall@100", "map@1000", "mrr@1000"],
        }
    )
    expected = {
        "ndcg@10": 0.68630, "recall@5": 0.73622, "recall@10": 0.81867, "recall@100": 0.91267,
        "map@1000": 0.64418, "mrr@1000": 0.65304,
    }  # fmt: skip
    assert found == pytest.approx(expected, abs=0.0005)


def test_bm25_on_xquad_has_the_reference_values(shared_data: Path) -> None:
    """The same, § 3 c: chunks of 200 tokens of cl100k, whose recursive splitter is another; a
    paragraph seldom has more than one chunk, so 1 question in 200 may differ."""
    found = means(
        {
            "corpus": {"kind": "evidence", "path": str(shared_data / "xquad_en")},
            "axes": {
                "chunk": [{"kind": "recursive", "size": 200}],
                "search": [{"kind": "bm25", "k": 10}],
            },
            "measure": ["hit@1", "hit@5", "recall@5", "mrr@10", "ndcg@5"],
        }
    )
    expected = {
        "hit@1": 0.9160, "hit@5": 0.9807, "recall@5": 0.9807, "mrr@10": 0.9443, "ndcg@5": 0.9527,
    }  # fmt: skip
    assert found == pytest.approx(expected, abs=0.005)


def test_paraphrases_are_out_of_bm25s_easy_reach() -> None:
    """Questions without the document's own words must not be answered by its words alone."""
    results = mox.run(
        {
            "corpus": {"kind": "card", "name": "python-reference"},
            "axes": {
                "chunk": [{"kind": "recursive", "size": 400}],
                "search": [{"kind": "bm25", "k": 20}],
            },
            "measure": "recall@1000t",
        },
        offline=True,
        quiet=True,
    )
    rows = results.questions(results.finished[0].id).rows
    scores = [row.scores["recall@1000t"] for row in rows if row.kind == "paraphrase"]
    assert len(scores) >= 40
    assert sum(scores) / len(scores) < 0.95
