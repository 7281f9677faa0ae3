"""The whole pipeline against trec_eval itself, where ties and empty answers decide."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import pytrec_eval

pytestmark = pytest.mark.timeout(170)

WORDS = ["river", "copper", "lantern", "winter", "violin", "saddle", "orchard", "engine"]
NAMES = ["9", "10", "100", "a", "B", "b", "é", "-1", "z9", "z10"]
CHUNK = {
    "whole": {"kind": "whole"},
    "cut": {"kind": "fixed", "size": 4},
}
TREC = {
    "ndcg@3": "ndcg_cut_3", "ndcg@10": "ndcg_cut_10", "recall@3": "recall_3",
    "recall@10": "recall_10", "map@100": "map", "mrr@100": "recip_rank",
}  # fmt: skip


@pytest.fixture
def tied(tmp_path: Path) -> Path:
    """30 documents of 10 different texts, so that most ranks are ties; graded at random.

    Of 24 questions four ask for words that no document has, and some grades are 0.
    """
    draw = random.Random(7)  # noqa: S311  no secret
    texts = [" ".join(draw.choices(WORDS, k=6)) for _ in range(10)]
    documents = {
        f"{name}{suffix}": text
        for name, text in zip(NAMES, texts, strict=True)
        for suffix in ("", "-0", "x")
    }
    questions = {f"q{at}": " ".join(draw.sample(WORDS, 2)) for at in range(20)}
    questions |= {f"none{at}": "unheardof" for at in range(4)}
    folder = tmp_path / "tied"
    (folder / "qrels").mkdir(parents=True)
    for file, rows in (("corpus", documents), ("queries", questions)):
        lines = [json.dumps({"_id": name, "text": text}) for name, text in rows.items()]
        (folder / f"{file}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    labels = [
        f"{question}\t{document}\t{draw.choice([0, 1, 1, 2])}"
        for question in questions
        for document in draw.sample(list(documents), 6)
    ]
    head = "query-id\tcorpus-id\tscore"
    (folder / "qrels" / "test.tsv").write_text("\n".join([head, *labels]), encoding="utf-8")
    return folder


@pytest.mark.parametrize("chunk", CHUNK.values(), ids=CHUNK)
def test_every_questions_values_are_trec_evals(chunk: dict[str, Any], tied, sweep):
    """Chunks fold to documents by their best score; what isn't found has no score at all."""
    results = sweep(
        {
            "corpus": {"kind": "beir", "path": str(tied)},
            "axes": {"chunk": [chunk], "search": [{"kind": "bm25", "k": 30}]},
            "measure": list(TREC),
        }
    )
    [trial] = results.finished
    rows = results.questions(trial.id).rows
    run: dict[str, dict[str, float]] = {}
    for row in rows:
        for hit in row.hits:
            of_question = run.setdefault(row.id, {})
            of_question[hit.document] = max(hit.score, of_question.get(hit.document, hit.score))
    qrels = {q.id: dict(q.evidence.grades) for q in results.questions_asked}
    names = {name.replace("_cut_", "_cut.").replace("ll_", "ll.") for name in TREC.values()}
    theirs = pytrec_eval.RelevanceEvaluator(qrels, names).evaluate(run)
    assert len(rows) == 24
    assert len(theirs) == 20  # trec_eval drops the questions that found nothing
    for row in rows:
        expected = {
            ours: theirs.get(row.id, dict.fromkeys(TREC.values(), 0.0))[name]
            for ours, name in TREC.items()
        }
        assert row.scores == pytest.approx(expected, abs=1e-9), row.id
