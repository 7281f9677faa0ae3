"""What every index of vectors and texts together is held to, ours and third parties'.

class TestMine(PairIndexContract):
    spec = MyHybrid(vector=MyExact())
"""
# ruff: noqa: S101

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from mox.errors import EngineError, SpecError
from mox.indexes import engine_fusion, indexes
from mox.indexes.exact import nearest
from mox.registry import validate
from mox.spec import IndexSpec, SearchSettings, Spec
from mox.testing.indexes import Foreign
from mox.testing.texts import ONCE, QUERIES, TEXTS, K
from mox.testing.vectors import clustered, recall
from mox.types import Asked, Built, Hits, IndexBackend, Place, Rows

if TYPE_CHECKING:
    from mox.types import Floats, Ints

    Found = tuple[Ints, Floats]


@dataclass(frozen=True)
class PairBench:
    """A built index of vectors and texts, and what it was built from."""

    backend: IndexBackend
    spec: IndexSpec
    place: Place
    built: Built
    vectors: Floats
    asked: Asked

    def search(
        self,
        asked: Asked,
        *,
        k: int = K,
        depth: int = 50,
        fusion: Spec | None = None,
        settings: SearchSettings | None = None,
    ) -> Found:
        fusion = fusion or engine_fusion(self.spec, {"kind": "rrf"})
        with self.backend.open(self.spec, self.place) as searcher:
            found: Found = searcher.search_pairs(
                asked, k=k, depth=depth, fusion=fusion, settings=settings or self.spec.Search()
            )
        return found

    def sides(self, depth: int) -> tuple[Hits, Hits]:
        """The engine's own two lists, in its own order: what it finds for a question without
        text, and for one without direction, where fusing changes no order."""
        import numpy as np

        nothing = Asked(self.asked.vectors, [""] * len(self.asked.texts))
        blind = Asked(np.zeros_like(self.asked.vectors), self.asked.texts)
        found = [self.search(one, k=depth, depth=depth) for one in (nothing, blind)]
        return Hits(*found[0]), Hits(*found[1])

    def beside(self, name: str) -> Place:
        return Place(f"{self.place.name}_{name}", self.place.folder, self.place.uri)


class PairIndexContract:
    """Set `spec`: its index of vectors must be exact, so that what it finds is known.

    Override the fixture `uri` to point it at a server.
    """

    spec: ClassVar[IndexSpec]
    fusions: ClassVar[tuple[str, ...]] = ("rrf",)
    """Kinds of fusion that its engine has."""

    @pytest.fixture(scope="class")
    @classmethod
    def uri(cls) -> str | None:
        """The engine's address; None for the embedded one."""
        return None

    @pytest.fixture(scope="class")
    @classmethod
    def bench(
        cls, uri: str | None, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[PairBench]:
        vectors, queries = clustered(len(TEXTS), len(QUERIES))
        vectors[[ONCE, 0]] = 0
        place = Place(f"mox_test_{uuid.uuid4().hex[:12]}", tmp_path_factory.mktemp("pairs"), uri)
        backend = indexes[cls.spec]
        built = backend.build(cls.spec, Rows(vectors, texts=TEXTS), place)
        yield PairBench(backend, cls.spec, place, built, vectors, Asked(queries, QUERIES))
        backend.drop(place)

    def test_its_settings_survive_being_written_down(self) -> None:
        assert indexes.parse(self.spec.model_dump(mode="json")) == self.spec
        assert self.spec.holds == "pairs"

    def test_it_has_the_search_settings_of_both_parts(self) -> None:
        spec: Any = self.spec
        fields = {name for part in spec.parts for name in part.Search.model_fields}
        assert set(spec.Search.model_fields) == fields
        with pytest.raises(SpecError, match="no_such_setting"):
            validate(spec.Search, {"no_such_setting": 1}, name="search")

    def test_it_holds_every_row(self, bench: PairBench) -> None:
        assert bench.built.rows == bench.backend.rows(bench.place) == len(TEXTS)

    def test_without_text_it_finds_the_nearest_vectors(self, bench: PairBench) -> None:
        dense, _ = bench.sides(20)
        truth, _ = nearest(bench.vectors, bench.asked.vectors, 20)
        assert recall(dense.ids, truth) >= 0.99

    def test_its_own_two_lists_fused_by_rank_are_its_answer(self, bench: PairBench) -> None:
        """Up to ties: where two rows score the same, either may come first."""
        import numpy as np

        from mox.retrieval.rrf import Rrf, fuse

        for depth, constant in ((50, 60), (10, 1)):
            fusion = engine_fusion(bench.spec, {"kind": "rrf", "k": constant})
            ids, scores = bench.search(bench.asked, depth=depth, fusion=fusion)
            ours = fuse(Rrf(k=constant), bench.sides(depth), k=2 * depth)
            assert np.abs(scores - ours.scores[:, :K]).max() <= 1e-6
            for theirs, score, row, value in zip(ids, scores, ours.ids, ours.scores, strict=True):
                for at, found in enumerate(theirs):
                    assert found in row[np.abs(value - score[at]) <= 1e-6]

    def test_a_row_without_direction_is_found_by_its_text_alone(self, bench: PairBench) -> None:
        import numpy as np

        dense, _ = bench.sides(len(TEXTS))
        assert not np.isin(dense.ids, [ONCE, 0]).any()
        one = Asked(bench.asked.vectors[:1], ["quokka"])
        assert ONCE in bench.search(one)[0]

    def test_a_question_without_either_finds_nothing(self, bench: PairBench) -> None:
        import numpy as np

        vectors = bench.asked.vectors[:2].copy()
        vectors[0] = 0
        ids, scores = bench.search(Asked(vectors, ["", ""]))
        assert (ids[0] == -1).all()
        assert (scores[0] == -np.inf).all()
        assert (ids[1] >= 0).all()

    def test_a_question_of_unknown_words_is_answered_by_its_vector(self, bench: PairBench) -> None:
        one = Asked(bench.asked.vectors[:1], ["unheardofword"])
        dense, _ = bench.sides(K)
        assert bench.search(one)[0].tolist() == dense.ids[:1].tolist()

    def test_it_refuses_what_it_cannot_mean(self, bench: PairBench) -> None:
        import numpy as np

        with pytest.raises(SpecError, match="depth"):
            bench.search(bench.asked, k=10, depth=5)
        with pytest.raises(SpecError, match="Foreign"):
            bench.search(bench.asked, settings=Foreign())
        other = Asked(bench.asked.vectors[:, 1:], bench.asked.texts)
        with pytest.raises(SpecError, match="embed questions and chunks"):
            bench.search(other)
        vectors, place = np.ones((2, 4), dtype=np.float32), bench.beside("refused")
        for rows in (Rows(vectors), Rows(texts=("a", "b")), Rows(vectors, texts=("a",))):
            with pytest.raises(SpecError, match="text"):
                bench.backend.build(self.spec, rows, place)
        assert bench.backend.rows(place) is None

    def test_it_has_the_fusions_that_it_says_and_no_others(self) -> None:
        for kind in self.fusions:
            assert engine_fusion(self.spec, {"kind": kind}).kind == kind
        with pytest.raises(SpecError, match=rf"fuses by {' or '.join(self.fusions)}, not 'x'"):
            engine_fusion(self.spec, {"kind": "x"})

    def test_the_constant_of_rank_fusion_changes_its_order(self, bench: PairBench) -> None:
        orders = [
            bench.search(bench.asked, fusion=engine_fusion(bench.spec, {"kind": "rrf", "k": k}))[0]
            for k in (1, 1_000)
        ]
        assert (orders[0] != orders[1]).any()

    def test_what_fusion_does_not_see_it_does_not_count(self, bench: PairBench) -> None:
        shallow, deep = (bench.search(bench.asked, depth=depth)[0] for depth in (K, 100))
        assert (shallow != deep).any()

    def test_dropped_it_is_gone(self, bench: PairBench) -> None:
        place = bench.beside("drop")
        rows = Rows(bench.vectors[1:3], texts=("river", "mountain"))
        bench.backend.build(self.spec, rows, place)
        assert bench.backend.rows(place) == 2
        bench.backend.drop(place)
        assert bench.backend.rows(place) is None
        with pytest.raises(EngineError), bench.backend.open(self.spec, place):
            pass
