"""Span metrics by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

# A document of 100 characters in chunks of 20; chunk 5 repeats half of 1 and 2 (30 to 50).
CHUNKS = [("d", [(at, at + 20)]) for at in range(0, 100, 20)] + [("d", [(30, 50)])]


def one(scores, table, question, hits, measures, **more):
    found = scores(measures, table, [question], hits, **more)
    return [float(found.values[name][0]) for name in measures.split()]


@pytest.fixture
def chunks(table):
    return table(CHUNKS)


def test_chroma_s_metrics_by_hand(chunks, ask, hits, scores):
    # Evidence [10, 25) and [45, 50): 15 + 5 = 20 characters.
    # Hits 0 = [0, 20) and 4 = [80, 100): they show 10 of the 20, in 40 characters.
    question = ask([("d", 10, 25)], [("d", 45, 50)])
    found = one(scores, chunks, question, hits([0, 4]), "recall@2 precision@2 iou@2")
    # recall 10/20; precision 10/40; IoU 10 / (40 + the 10 that are missing).
    assert found == pytest.approx([0.5, 0.25, 0.2], abs=1e-15)


def test_text_that_is_shown_twice_counts_twice_in_chroma_s_denominators_only(
    chunks, ask, hits, scores
):
    # Hits 1 = [20, 40) and 5 = [30, 50): 40 characters, 30 of them distinct.
    # Evidence [35, 45): all of it is shown, the first 5 characters twice.
    found = one(
        scores, chunks, ask([("d", 35, 45)]), hits([1, 5]),
        "recall@2 precision@2 set_precision@2 iou@2 set_iou@2",
    )  # fmt: skip
    assert found == pytest.approx([1, 10 / 40, 10 / 30, 10 / 40, 10 / 30], abs=1e-15)


def test_the_set_forms_count_what_is_missing(chunks, ask, hits, scores):
    # Hits 1 and 5 show [20, 50); evidence [45, 60) is shown to 5 of 15: Jaccard 5 / (30 + 10).
    found = one(scores, chunks, ask([("d", 45, 60)]), hits([1, 5]), "set_iou@2 iou@2")
    assert found == pytest.approx([5 / 40, 5 / 50], abs=1e-15)


def test_distinct_characters_are_told_apart_by_document(table, ask, hits, scores):
    # The same offsets in two documents are 20 characters, not 10.
    chunks = table([("a", [(0, 10)]), ("b", [(0, 10)])])
    found = one(scores, chunks, ask([("a", 0, 10)]), hits([0, 1]), "set_precision@2 set_iou@2")
    assert found == pytest.approx([0.5, 0.5], abs=1e-15)


def test_touching_is_not_hitting(chunks, ask, hits, scores):
    # [20, 40) ends where the evidence begins.
    found = one(scores, chunks, ask([("d", 40, 45)]), hits([1, 2]), "hit@1 hit@2 mrr@2")
    assert found == [0, 1, 0.5]


def test_another_document_s_chunk_never_hits(table, ask, hits, scores):
    chunks = table([("a", [(0, 50)]), ("b", [(0, 50)])])
    found = one(scores, chunks, ask([("b", 10, 20)]), hits([0, 1]), "hit@1 recall@1 mrr@2")
    assert found == [0, 0, 0.5]


def test_mrr_takes_the_first_hit_and_gives_0_without_one(chunks, ask, hits, scores):
    question = ask([("d", 5, 10)], [("d", 90, 95)])
    assert one(scores, chunks, question, hits([2, 3, 4, 0]), "mrr@4 mrr@2") == [1 / 3, 0]


def test_full_needs_one_span_whole_and_neighbours_may_complete_it(chunks, ask, hits, scores):
    # [35, 45) crosses chunks 1 and 2; [90, 95) isn't retrieved.
    question = ask([("d", 35, 45)], [("d", 90, 95)])
    assert one(scores, chunks, question, hits([1, 2]), "full@1 full@2 hit@1") == [0, 1, 1]


def test_span_recall_counts_spans_and_not_characters(chunks, ask, hits, scores):
    # Three spans; chunk 0 shows one character of the first, all of the second, none of the third.
    question = ask([("d", 19, 39)], [("d", 0, 5)], [("d", 60, 61)])
    assert one(scores, chunks, question, hits([0]), "span_recall@1") == pytest.approx([2 / 3])


def test_ndcg_s_gain_is_the_share_of_evidence_first_shown(chunks, ask, hits, scores):
    # 20 characters of evidence: [10, 25) and [45, 50). Hits by rank:
    # 3 shows none, 0 shows 10 of them, 5 = [30, 50) shows 5, 2 = [40, 60) the same 5 again,
    # 1 = [20, 40) the last 5: gains 0, 1/2, 1/4, 0, 1/4.
    question = ask([("d", 10, 25)], [("d", 45, 50)])
    expected = 0.5 / math.log2(3) + 0.25 / math.log2(4) + 0.25 / math.log2(6)
    found = one(scores, chunks, question, hits([3, 0, 5, 2, 1]), "ndcg@5 ndcg@3")
    assert found == pytest.approx([expected, 0.5 / math.log2(3) + 0.125], abs=1e-15)


def test_ndcg_doesn_t_depend_on_chunk_size_or_overlap(table, ask, hits, scores):
    # The evidence lies in the first hit, whatever the chunk: 1 for 20 characters, for 100, and
    # with an overlapping copy at rank 2, which gains nothing.
    question = ask([("d", 42, 55)])
    small, large = table(CHUNKS), table([("d", [(0, 100)])])
    twice = table([("d", [(40, 60)]), ("d", [(41, 61)])])
    assert one(scores, small, question, hits([2, 3]), "ndcg@5") == [1]
    assert one(scores, large, question, hits([0]), "ndcg@5") == [1]
    assert one(scores, twice, question, hits([0, 1]), "ndcg@5") == [1]


def test_any_alternative_is_enough(table, ask, hits, scores):
    # The same sentence stands in "a" and "b"; one chunk of either has all of it.
    chunks = table([("a", [(0, 40)]), ("b", [(100, 140)]), ("c", [(0, 40)])])
    question = ask([("a", 10, 30), ("b", 110, 130)])
    measures = "recall@2 ndcg@2 hit@2 full@2 span_recall@2"
    for found in ([0, 2], [1, 2]):
        assert one(scores, chunks, question, hits(found), measures) == [1, 1, 1, 1, 1]
    # Both places are verbatim evidence, so both count in precision: 40 of 80 characters.
    assert one(scores, chunks, question, hits([0, 1]), "precision@2 iou@2 ndcg@2") == [0.5, 0.5, 1]


def test_parts_of_different_alternatives_don_t_add_up(table, ask, hits, scores):
    # 12 of 20 characters of one place, 8 of 20 of the other: the better place counts, 12/20.
    chunks = table([("a", [(0, 22)]), ("b", [(122, 140)])])
    question = ask([("a", 10, 30), ("b", 110, 130)])
    found = one(scores, chunks, question, hits([0, 1]), "recall@2 full@2 ndcg@2")
    assert found == pytest.approx([12 / 20, 0, 12 / 20], abs=1e-15)


def test_a_group_weighs_its_alternatives_mean_length(table, ask, hits, scores):
    # Group 1: places of 10 and 30 characters weigh 20; the longer one is shown by half.
    # Group 2: 20 characters, not shown. recall = 20 · 0.5 / (20 + 20).
    chunks = table([("b", [(0, 15)]), ("c", [(0, 20)])])
    question = ask([("a", 0, 10), ("b", 0, 30)], [("c", 0, 20)])
    assert one(scores, chunks, question, hits([0]), "recall@1") == [0.25]


def test_overlapping_evidence_counts_each_character_once(table, ask, hits, scores):
    # Spans [0, 20) and [10, 30): Chroma's denominator is 40, its numerator the union of 30.
    # nDCG's ideal is the union, so it still reaches 1.
    chunks = table([("d", [(0, 30)])])
    question = ask([("d", 0, 20)], [("d", 10, 30)])
    measures = "recall@1 precision@1 iou@1 ndcg@1 span_recall@1 full@1"
    assert one(scores, chunks, question, hits([0]), measures) == [0.75, 1, 1, 1, 1, 1]


def test_chunks_of_several_spans_are_the_sum_of_these(table, ask, hits, scores):
    # A chunk that returns [0, 10) and [50, 60): evidence [5, 8) and [55, 70), 18 characters, of
    # which it shows 3 + 5 in 20; what lies between its spans isn't returned.
    chunks = table([("d", [(0, 10), (50, 60)])])
    question = ask([("d", 5, 8)], [("d", 55, 70)])
    found = one(scores, chunks, question, hits([0]), "recall@1 precision@1 iou@1")
    assert found == pytest.approx([8 / 18, 8 / 20, 8 / 30], abs=1e-15)
    assert one(scores, chunks, ask([("d", 20, 30)]), hits([0]), "hit@1") == [0]


def test_evidence_in_a_document_without_chunks_is_never_shown(table, ask, hits, scores):
    chunks = table([("a", [(0, 10)])], documents=["a", "b"])
    for document in ("b", "unheard of"):
        question = ask([(document, 0, 10)])
        assert one(scores, chunks, question, hits([0]), "recall@1 iou@1 ndcg@1") == [0, 0, 0]


def test_evidence_beyond_all_chunks_doesn_t_spill_into_the_next_document(table, ask, hits, scores):
    # "a" is chunked to 10 only; evidence reaches to 40. All documents lie on one axis inside.
    chunks = table([("a", [(0, 10)]), ("b", [(0, 30)])])
    found = one(scores, chunks, ask([("a", 0, 40)]), hits([1, 0]), "recall@1 recall@2")
    assert found == [0, 0.25]


def test_nothing_retrieved_scores_0_and_stays_in(chunks, ask, hits, scores):
    measures = "recall@5 precision@5 iou@5 set_precision@5 set_iou@5 hit@5 mrr@5 ndcg@5 full@5"
    found = scores(measures, chunks, [ask([("d", 0, 5)])] * 2, hits([], [0]))
    for name in measures.split():
        assert found.values[name][0] == 0, name
        assert found.values[name][1] > 0, name


def test_questions_don_t_mix(table, ask, hits, scores):
    # Three questions, one with two groups, about the same places: each gets what it gets alone.
    chunks = table(CHUNKS)
    questions = [ask([("d", 0, 30)]), ask([("d", 25, 35)], [("d", 80, 95)]), ask([("d", 35, 41)])]
    lists = [[0, 5, 1], [1, 4, 0], [5, 2, 1]]
    names = "recall@2 set_iou@3 ndcg@3 span_recall@2"
    together = scores(names, chunks, questions, hits(*lists))
    for at, (question, ids) in enumerate(zip(questions, lists, strict=True)):
        alone = one(scores, chunks, question, hits(ids), names)
        assert [float(together.values[name][at]) for name in names.split()] == alone
    assert all(values.dtype == np.float64 for values in together.values.values())


def test_omega_is_the_overlap_of_all_chunks_that_touch_evidence(scores, table, ask, hits):
    # Evidence [10, 20) of 10 characters. [0, 10) touches it, [15, 25) shares 5, [25, 30) neither.
    rows = [("d", [(0, 10)]), ("d", [(15, 25)]), ("d", [(25, 30)]), ("e", [(10, 20)])]
    found = scores("omega@1 set_omega@1 omega@9", table(rows), [ask([("d", 10, 20)])], hits([2]))
    # |E ∩ ⋃T| = 5; touching: |E ∪ [0, 10) ∪ [15, 25)| = 25, by sets |E ∪ [15, 25)| = 15.
    assert found.values["omega@1"].tolist() == [5 / 25]
    assert found.values["set_omega@1"].tolist() == [5 / 15]
    assert found.values["omega@9"].tolist() == [5 / 25]  # whatever is found, at any cut


def test_omega_takes_a_chunk_with_all_its_spans_and_overlaps_once(scores, table, ask, hits):
    # Both chunks hit [0, 10); together they are [0, 14) and [50, 56): 20 characters.
    rows = [("d", [(0, 8), (50, 56)]), ("d", [(4, 14)])]
    found = scores("omega@1", table(rows), [ask([("d", 0, 10)])], hits([0]))
    assert found.values["omega@1"].tolist() == [10 / 20]


def test_documents_end_to_end_do_not_touch(scores, table, ask, hits):
    # d ends where e would begin if they were one text.
    rows = [("d", [(0, 10)]), ("e", [(0, 10)])]
    found = scores("omega@1", table(rows), [ask([("e", 0, 10)])], hits([0]))
    assert found.values["omega@1"].tolist() == [1]


def test_evidence_that_no_chunk_holds_has_an_omega_of_0(scores, table, ask, hits):
    found = scores("omega@1", table([("d", [(0, 5)])]), [ask([("d", 7, 9)])], hits([0]))
    assert found.values["omega@1"].tolist() == [0]
