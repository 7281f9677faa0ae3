"""What every retriever of texts and every fusion is held to, ours and third parties'.

class TestMine(RetrieverContract):
    @pytest.fixture
    def spec(self):
        return MySpec()
"""
# ruff: noqa: S101

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mox.retrieval import fusions, retrievers
from mox.retrieval.hits import ranked

if TYPE_CHECKING:
    from mox.spec import Spec
    from mox.types import Fusion, Hits, Retriever

TEXTS = (
    "Interest rates rose by half a point in autumn.",
    "The cat sat on the mat and watched the garden.",
    "Rainfall in the mountains fills the rivers below.",
    "",
    "The cat sat on the mat and watched the garden.",
    "\U0001f469\u200d\U0001f467 \u6771\u4eac\u90fd e\u0301 \x00",
)
QUERIES = ("cat mat garden", "rivers rainfall mountains", "unheardofword", "", "cat cat")


class RetrieverContract:
    """Override the fixture `spec`; the rest comes from the registry."""

    @pytest.fixture
    def spec(self) -> Spec:
        """Settings of the retriever under test."""
        raise NotImplementedError

    @pytest.fixture
    def retriever(self, spec: Spec) -> Retriever:
        """The back end."""
        return retrievers[spec]

    @pytest.fixture
    def hits(self, retriever: Retriever, spec: Spec) -> Hits:
        """All of its answers, in order; `ranked` refuses a row that is returned twice."""
        ids, scores = retriever(spec, TEXTS, QUERIES, k=len(TEXTS))
        return ranked(ids, scores, k=len(TEXTS))

    def test_each_query_has_at_most_k_rows(self, retriever: Retriever, spec: Spec) -> None:
        for k in (1, 2, len(TEXTS)):
            ids, scores = retriever(spec, TEXTS, QUERIES, k=k)
            assert ids.shape == scores.shape
            assert len(ids) == len(QUERIES)
            assert ids.shape[1] <= k
            assert ids.min() >= -1
            assert ids.max() < len(TEXTS)

    def test_a_smaller_k_gives_the_first_of_a_larger_one(
        self, retriever: Retriever, spec: Spec, hits: Hits
    ) -> None:
        for k in (1, 2):
            fewer = ranked(*retriever(spec, TEXTS, QUERIES, k=k), k=k)
            assert fewer.ids.tolist() == hits.ids[:, :k].tolist()

    def test_texts_that_hold_a_querys_words_come_first(self, hits: Hits) -> None:
        assert hits.ids[0, 0] == 1
        assert hits.ids[1, 0] == 2

    def test_equal_texts_are_a_tie(self, hits: Hits) -> None:
        assert hits.ids[0, :2].tolist() == [1, 4]
        assert hits.scores[0, 0] == hits.scores[0, 1]

    def test_a_text_without_words_is_never_found(self, hits: Hits) -> None:
        assert 3 not in hits.ids

    def test_a_query_without_words_finds_nothing(self, hits: Hits) -> None:
        assert set(hits.ids[3]) == {-1}

    def test_no_texts_and_no_queries_are_legal(self, retriever: Retriever, spec: Spec) -> None:
        ids, _ = retriever(spec, [], QUERIES, k=1)
        assert set(ids.ravel()) <= {-1}
        ids, _ = retriever(spec, TEXTS, [], k=3)
        assert len(ids) == 0
        ids, _ = retriever(spec, ["", " "], ["cat", ""], k=2)
        assert set(ids.ravel()) <= {-1}

    def test_asking_again_gives_the_same_bytes(self, retriever: Retriever, spec: Spec) -> None:
        first, second = (retriever(spec, TEXTS, QUERIES, k=3) for _ in range(2))
        assert [part.tobytes() for part in first] == [part.tobytes() for part in second]

    def test_other_queries_do_not_change_an_answer(
        self, retriever: Retriever, spec: Spec, hits: Hits
    ) -> None:
        for row, query in enumerate(QUERIES):
            ids, scores = retriever(spec, TEXTS, [query], k=len(TEXTS))
            alone = ranked(ids, scores, k=len(TEXTS))
            assert alone.ids[0].tolist() == hits.ids[row].tolist()
            assert alone.scores[0].tobytes() == hits.scores[row].tobytes()


class FusionContract:
    """Override the fixture `spec`, and `others` where the fusion has settings; the rest comes
    from the registry."""

    @pytest.fixture
    def spec(self) -> Spec:
        """Settings of the fusion under test."""
        raise NotImplementedError

    @pytest.fixture
    def others(self) -> list[Spec]:
        """Other settings of the same fusion, which a sweep would ask along with `spec`."""
        return []

    @pytest.fixture
    def fusion(self, spec: Spec) -> Fusion:
        """The back end."""
        return fusions[spec]

    @pytest.fixture
    def lists(self) -> list[Hits]:
        """Two lists of three queries: both answer, one answers, none does."""
        from dataclasses import replace

        import numpy as np

        one = ranked(
            np.array([[5, 2, 9], [4, -1, -1], [-1, -1, -1]]),
            np.array([[3.0, 2.0, 1.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]),
            k=3,
        )
        two = ranked(
            np.array([[2, 7], [-1, -1], [-1, -1]]),
            np.array([[0.5, 0.4], [0.0, 0.0], [0.0, 0.0]]),
            k=2,
        )
        return [replace(one, least=0.0), replace(two, least=0.0)]

    def test_every_row_of_any_list_is_kept_once(
        self, fusion: Fusion, spec: Spec, lists: list[Hits]
    ) -> None:
        fused = fusion(spec, lists, k=6)
        assert fused.ids.shape == fused.scores.shape == (3, 6)
        found = [sorted(row for row in query if row >= 0) for query in fused.ids.tolist()]
        assert found == [[2, 5, 7, 9], [4], []]

    def test_it_answers_in_the_one_order(
        self, fusion: Fusion, spec: Spec, lists: list[Hits]
    ) -> None:
        fused = fusion(spec, lists, k=6)
        again = ranked(fused.ids, fused.scores, k=6)
        assert fused.ids.tolist() == again.ids.tolist()

    def test_a_smaller_k_gives_the_first_of_a_larger_one(
        self, fusion: Fusion, spec: Spec, lists: list[Hits]
    ) -> None:
        few, many = fusion(spec, lists, k=2), fusion(spec, lists, k=6)
        assert few.ids.tolist() == many.ids[:, :2].tolist()

    def test_no_queries_are_legal(self, fusion: Fusion, spec: Spec, lists: list[Hits]) -> None:
        from dataclasses import replace

        none = [replace(hits, ids=hits.ids[:0], scores=hits.scores[:0]) for hits in lists]
        assert fusion(spec, none, k=2).ids.shape == (0, 2)

    def test_the_lists_are_left_as_they_were(
        self, fusion: Fusion, spec: Spec, lists: list[Hits]
    ) -> None:
        before = [(hits.ids.tobytes(), hits.scores.tobytes()) for hits in lists]
        fusion(spec, lists, k=6)
        assert [(hits.ids.tobytes(), hits.scores.tobytes()) for hits in lists] == before

    def test_other_queries_do_not_change_an_answer(
        self, fusion: Fusion, spec: Spec, lists: list[Hits]
    ) -> None:
        from dataclasses import replace

        fused = fusion(spec, lists, k=6)
        for at in range(3):
            one = slice(at, at + 1)
            alone = fusion(
                spec, [replace(h, ids=h.ids[one], scores=h.scores[one]) for h in lists], k=6
            )
            assert alone.ids.tobytes() == fused.ids[one].tobytes()
            assert alone.scores.tobytes() == fused.scores[one].tobytes()

    def test_many_at_once_are_the_same_bytes_as_one_by_one(
        self, fusion: Fusion, spec: Spec, others: list[Spec], lists: list[Hits]
    ) -> None:
        """For fusions with the trait `many`; the others are asked one by one anyway."""
        many = fusions.entry(spec.kind).traits.get("many")
        if many is None:
            return
        specs = [spec, *others, spec]
        together = list(many(specs, lists, k=4))
        assert len(together) == len(specs)
        for one, fused in zip(specs, together, strict=True):
            alone = fusion(one, lists, k=4)
            assert fused.ids.tobytes() == alone.ids.tobytes()
            assert fused.scores.tobytes() == alone.scores.tobytes()
        assert not list(many([], lists, k=4))
