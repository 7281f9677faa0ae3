"""Context budgets in tokens, and lists that end before a cut."""

from __future__ import annotations

import numpy as np
import pytest

from mox.errors import DataError
from mox.evaluation.relevance import prepare

# Three chunks of 10 characters; tokens end after 4, 8 and 10 of them.
ROWS = [("d", [(0, 10)]), ("d", [(10, 20)]), ("d", [(20, 30)])]
TOKENS = [[4, 8, 10]] * 3


def test_the_last_hit_is_cut_at_its_token_s_end(table, ask, hits, ends, scores):
    # 5 tokens: all of chunk 0, then two tokens of chunk 1, which are [10, 18).
    question = ask([("d", 5, 25)])
    found = scores(
        "recall@5t precision@5t iou@5t hit@3t recall@6t recall@2t recall@1t",
        table(ROWS), [question], hits([0, 1, 2]), ends(TOKENS),
    ).values  # fmt: skip
    assert found["recall@5t"][0] == pytest.approx(13 / 20)  # [5, 18)
    assert found["precision@5t"][0] == pytest.approx(13 / 18)
    assert found["iou@5t"][0] == pytest.approx(13 / 25)
    assert found["recall@6t"][0] == pytest.approx(15 / 20)  # both chunks, nothing of the third
    assert found["recall@2t"][0] == pytest.approx(3 / 20)
    assert found["recall@1t"][0] == 0  # [0, 4) ends before the evidence


def test_a_rank_counts_only_while_the_budget_lasts(table, ask, hits, ends, scores):
    question = ask([("d", 25, 30)])
    found = scores(
        "mrr@8t mrr@7t mrr@6t hit@7t ndcg@9t", table(ROWS), [question], hits([0, 1, 2]),
        ends(TOKENS),
    ).values  # fmt: skip
    # 8 tokens show [20, 28) of the third; 7 show [20, 24), which the evidence doesn't reach.
    assert [found[f"mrr@{n}t"][0] for n in (8, 7, 6)] == [1 / 3, 0, 0]
    assert found["hit@7t"][0] == 0
    assert found["ndcg@9t"][0] == 0.5  # all of it at rank 3: 1 / log2(4)


def test_a_chunk_of_several_spans_is_cut_in_their_order(table, ask, hits, ends, scores):
    # It returns [50, 54) and then [0, 10), as 14 characters; 2 tokens are 8 of them.
    chunks = table([("d", [(50, 54), (0, 10)])])
    found = scores(
        "recall@2t set_precision@2t", chunks, [ask([("d", 0, 8)])], hits([0]), ends([[4, 8, 14]])
    ).values
    assert found["recall@2t"][0] == 4 / 8
    assert found["set_precision@2t"][0] == 4 / 8


def test_a_repeated_hit_fills_what_the_cut_left_out(table, ask, hits, ends, scores):
    # Chunks 0 = [0, 10) and 1 = [5, 15) overlap. 4 tokens: all of chunk 0, [5, 9) of chunk 1.
    chunks = table([("d", [(0, 10)]), ("d", [(5, 15)])])
    found = scores(
        "recall@4t precision@4t set_precision@4t ndcg@4t", chunks, [ask([("d", 6, 14)])],
        hits([0, 1]), ends(TOKENS[:2]),
    ).values  # fmt: skip
    assert found["recall@4t"][0] == 4 / 8  # [6, 10); the cut chunk adds nothing new
    assert found["precision@4t"][0] == 4 / 14
    assert found["set_precision@4t"][0] == 4 / 10
    assert found["ndcg@4t"][0] == 0.5


def test_a_budget_is_spent_on_chunks_before_they_fold_to_documents(table, ask, hits, ends, scores):
    chunks = table([("a", [(0, 10)]), ("a", [(10, 20)]), ("b", [(0, 10)])])
    asked, found = [ask(b=1)], hits([0, 1, 2])
    budget = scores("recall@6t recall@7t mrr@7t ndcg@7t", chunks, asked, found, ends(TOKENS))
    assert budget.values["recall@6t"][0] == 0  # two chunks of "a"
    assert budget.values["recall@7t"][0] == 1
    assert budget.values["mrr@7t"][0] == 0.5  # documents a, b
    rank = scores("recall@1 recall@2 mrr@2", chunks, asked, found)
    assert [rank.values[f"recall@{n}"][0] for n in (1, 2)] == [0, 1]
    assert rank.values["mrr@2"][0] == 0.5


def test_short_is_the_share_of_answerable_lists_that_a_larger_k_would_lengthen(
    table, ask, hits, ends, scores
):
    # Budget 5, 3 tokens a chunk. k = 1: one hit is 3 tokens, and two more chunks were to be had.
    # Question 2 is unanswerable: of two answerable ones, both are short.
    chunks, tokens = table(ROWS), ends(TOKENS)
    asked = [ask([("d", 0, 9)]), ask([("d", 0, 9)]), ask()]
    assert scores("recall@5t", chunks, asked, hits([0], [1], [2]), tokens).short == {
        "recall@5t": 1.0
    }
    # 3 tokens are all that was asked for.
    assert scores("recall@3t", chunks, asked, hits([0], [1], [2]), tokens).short == {
        "recall@3t": 0.0
    }
    # k = 2: 6 tokens.
    found = scores("recall@5t recall@7t", chunks, asked, hits([0, 1], [1, 2], [0, 1]), tokens)
    assert found.short == {"recall@5t": 0.0, "recall@7t": 1.0}
    # A padded list ended by itself: the search had no more to give, whatever k.
    assert scores("recall@5t", chunks, asked, hits([0], [1, 2], []), tokens).short == {
        "recall@5t": 0.0
    }


def test_short_budgets_are_told_over_documents_too(table, ask, hits, ends, scores):
    asked, tokens = [ask(d=1)], ends(TOKENS)
    found = scores("recall@3t recall@4t", table(ROWS), asked, hits([0]), tokens)
    assert found.short == {"recall@3t": 0.0, "recall@4t": 1.0}


def test_a_list_of_all_chunks_is_not_short(table, ask, hits, ends, scores):
    found = scores("recall@99t", table(ROWS), [ask([("d", 0, 9)])], hits([0, 1, 2]), ends(TOKENS))
    assert found.short == {"recall@99t": 0.0}


def test_a_rank_cut_beyond_k_is_short_too(table, ask, hits, scores):
    chunks, asked = table(ROWS), [ask([("d", 0, 9)])]
    assert scores("recall@3 recall@2", chunks, asked, hits([0, 1])).short == {
        "recall@3": 1.0,
        "recall@2": 0.0,
    }


def test_hits_that_fold_to_too_few_documents_are_short(table, ask, hits, scores):
    # Two hits are one document; recall@2 asks for two, and there are more chunks.
    chunks = table([("a", [(0, 10)]), ("a", [(10, 20)]), ("b", [(0, 10)])])
    found = scores("recall@2 recall@1", chunks, [ask(b=1), ask(a=1)], hits([0, 1], [0, 2]))
    assert found.short == {"recall@2": 0.5, "recall@1": 0.0}


def test_a_budget_without_token_ends_is_refused(table, ask, hits, scores):
    with pytest.raises(DataError, match="needs the token ends"):
        scores("recall@5t", table(ROWS), [ask([("d", 0, 9)])], hits([0]))


def test_token_ends_of_another_table_are_refused(table, ask, ends):
    with pytest.raises(DataError, match="2 rows for a table of 3"):
        prepare(table(ROWS), [ask([("d", 0, 9)])], ends=ends(TOKENS[:2]))
    with pytest.raises(DataError, match="row 1: its last token ends at 9, its text at 10"):
        prepare(table(ROWS), [ask([("d", 0, 9)])], ends=ends([[10], [9], [10]]))


def test_a_character_over_several_tokens_may_end_with_the_first(table, ask, hits, ends, scores):
    # Three tokens end at 4, 10 and 10: the character that the last two share is shown by two.
    found = scores(
        "recall@2t", table(ROWS[:1]), [ask([("d", 0, 10)])], hits([0]), ends([[4, 10, 10]])
    )
    assert found.values["recall@2t"][0] == 1


def test_scores_are_float64_by_question(table, ask, hits, ends, scores):
    found = scores("ndcg@5t", table(ROWS), [ask([("d", 0, 9)])] * 4, hits(*[[0]] * 4), ends(TOKENS))
    assert found.values["ndcg@5t"].shape == (4,)
    assert found.values["ndcg@5t"].dtype == np.float64
