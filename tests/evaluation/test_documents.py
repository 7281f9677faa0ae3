"""Document metrics against trec_eval itself, by pytrec_eval and ir_measures."""

from __future__ import annotations

import math

import ir_measures
import numpy as np
import pytest
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st

from mox.types import Hits

NAMES = tuple(str(number) for number in range(14))
CUTS = (1, 3, 5, 10)
TREC = {"recall": "recall", "map": "map_cut", "ndcg": "ndcg_cut"}


def tie_order(documents, chunks):
    """Rows of (document, span) in the table's order: document id descending, then start."""
    return sorted(
        ((document, at) for document in documents for at in range(chunks[document])),
        key=lambda row: ([-ord(letter) for letter in row[0]] + [1], row[1]),
    )


def in_order(rows, values, k):
    """Hits as every search gives them: float32 score descending, then row; score > 0 only."""
    scores = np.array(values, np.float32)
    order = np.lexsort((np.broadcast_to(np.arange(len(rows)), scores.shape), -scores), axis=-1)
    best = np.take_along_axis(scores, order, axis=1)[:, :k]
    ids = np.where(best > 0, order[:, :k], -1).astype(np.int32)
    return Hits(ids, np.where(best > 0, best, -np.inf).astype(np.float32))


@st.composite
def judged(draw):
    """Documents with 1 to 3 chunks, grades of 1 to 3 questions, scores with many ties."""
    documents = draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
    chunks = {document: draw(st.integers(1, 3)) for document in documents}
    grades = st.dictionaries(st.sampled_from(NAMES), st.integers(-1, 3), min_size=1, max_size=6)
    questions = draw(st.lists(grades, min_size=1, max_size=3))
    rows = tie_order(documents, chunks)
    # 1 and 1 + 1e-9 are a tie in float32, 0 is no hit.
    score = st.sampled_from([0.0, 0.5, 1.0, 1.0 + 1e-9, 1.25])
    values = [[draw(score) for _ in rows] for _ in questions]
    return rows, questions, values


def best_by_document(rows, values):
    """A run: each document by its best chunk, unscored ones left out."""
    run = {}
    for (document, _), value in zip(rows, values, strict=True):
        if value > 0:
            run[document] = max(run.get(document, 0.0), value)
    return run


@given(case=judged())
@settings(derandomize=True, max_examples=150, deadline=None)
def test_values_are_trec_eval_s(case, table, ask, scores):
    rows, questions, values = case
    qrels = {f"q{at}": grades for at, grades in enumerate(questions)}
    run = {f"q{at}": best_by_document(rows, scored) for at, scored in enumerate(values)}
    wanted = {f"{name}.{','.join(map(str, CUTS))}" for name in TREC.values()}
    theirs = pytrec_eval.RelevanceEvaluator(qrels, {*wanted, "recip_rank"}).evaluate(run)
    names = [f"{metric}@{cut}" for metric in (*TREC, "mrr") for cut in CUTS]
    found = scores(
        " ".join(names),
        table([(document, [(at, at + 1)]) for document, at in rows]),
        [ask(**grades) for grades in questions],
        in_order(rows, values, len(rows)),
    ).values
    for at in range(len(questions)):
        # A question without hits isn't in their result: it scores 0.
        expected = theirs.get(f"q{at}", {})
        for metric, name in TREC.items():
            for cut in CUTS:
                ours = found[f"{metric}@{cut}"][at]
                assert ours == pytest.approx(expected.get(f"{name}_{cut}", 0), abs=1e-6)
        reciprocal = expected.get("recip_rank", 0)
        for cut in CUTS:
            within = reciprocal if reciprocal > 1 / (cut + 0.5) else 0
            assert found[f"mrr@{cut}"][at] == pytest.approx(within, abs=1e-6)


@given(case=judged())
@settings(derandomize=True, max_examples=60, deadline=None)
def test_values_are_ir_measures(case, table, ask, scores):
    rows, questions, values = case
    measures = {
        "ndcg@5": ir_measures.nDCG @ 5,
        "recall@5": ir_measures.R @ 5,
        "map@5": ir_measures.AP @ 5,
        # RR@5 comes from MS MARCO's script there, which breaks ties the other way.
        "mrr@1000": ir_measures.RR,
    }
    qrels = {f"q{at}": grades for at, grades in enumerate(questions)}
    run = {f"q{at}": best_by_document(rows, scored) for at, scored in enumerate(values)}
    found = scores(
        " ".join(measures),
        table([(document, [(at, at + 1)]) for document, at in rows]),
        [ask(**grades) for grades in questions],
        in_order(rows, values, len(rows)),
    ).values
    for one in ir_measures.iter_calc(list(measures.values()), qrels, run):
        name = next(name for name, measure in measures.items() if measure == one.measure)
        assert found[name][int(one.query_id[1:])] == pytest.approx(one.value, abs=1e-6), name


def test_by_hand(table, ask, hits, scores):
    # Chunks of documents c, b, b, a; grades a 2, b 1, d 1 (d has no chunk). Hits b, b, c, a fold
    # to b, c, a with gains 1, 0, 2.
    chunks = table([("c", [(0, 9)]), ("b", [(0, 9)]), ("b", [(9, 18)]), ("a", [(0, 9)])])
    found = scores(
        "recall@3 recall@2 ndcg@3 map@3 mrr@3", chunks, [ask(a=2, b=1, d=1)], hits([2, 1, 0, 3])
    ).values
    assert found["recall@3"][0] == pytest.approx(2 / 3)
    assert found["recall@2"][0] == pytest.approx(1 / 3)
    ideal = 2 + 1 / math.log2(3) + 1 / math.log2(4)
    assert found["ndcg@3"][0] == pytest.approx((1 + 2 / math.log2(4)) / ideal)
    assert found["map@3"][0] == pytest.approx((1 / 1 + 2 / 3) / 3)
    assert found["mrr@3"][0] == 1


def test_under_a_token_budget_the_ideal_is_not_cut(table, ask, hits, ends, scores):
    # Three relevant documents; the budget fits one, so nDCG is 1 / (1 + 1/log2 3 + 1/log2 4).
    chunks = table([(name, [(0, 9)]) for name in "cba"])
    found = scores(
        "ndcg@1t recall@1t map@1t", chunks, [ask(a=1, b=1, c=1)], hits([0, 1, 2]),
        ends([[9]] * 3),
    ).values  # fmt: skip
    assert found["ndcg@1t"][0] == pytest.approx(1 / (1.5 + 1 / math.log2(3)))
    assert found["recall@1t"][0] == found["map@1t"][0] == pytest.approx(1 / 3)


def test_a_question_without_relevant_documents_scores_0(table, ask, hits, scores):
    # All grades 0: trec_eval gives 0, not "unanswerable".
    found = scores(
        "ndcg@1 recall@1 map@1 mrr@1", table([("a", [(0, 9)])]), [ask(a=0), ask(a=1)],
        hits([0], [0]),
    ).values  # fmt: skip
    for values in found.values():
        assert values.tolist() == [0, 1]


def test_nothing_retrieved_scores_0(table, ask, hits, scores):
    found = scores("ndcg@5 recall@5", table([("a", [(0, 9)])]), [ask(a=1)] * 2, hits([], [0]))
    assert found.values["ndcg@5"].tolist() == found.values["recall@5"].tolist() == [0, 1]
