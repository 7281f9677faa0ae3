"""What every index is held to, ours and third parties'.

class TestMine(IndexContract):
    spec = MySpec()
    extremes = differing(MySpec(), MySearch(), links=(2, 48), effort=(10, 200))
"""
# ruff: noqa: S101

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar

import pytest

from mox.errors import EngineError, MoxError, SpecError
from mox.indexes import indexes
from mox.indexes.exact import nearest, nearest_where
from mox.registry import validate
from mox.spec import IndexSpec, SearchSettings
from mox.testing.filters import FilterContract
from mox.testing.vectors import BLANK, DIMS, QUERIES, ROWS, Bench, K, Setup, clustered, recall
from mox.types import Place, Rows

if TYPE_CHECKING:
    from mox.types import Floats, Ints

    Found = tuple[Ints, Floats]


class Foreign(SearchSettings):
    """Settings of no index at all."""


class IndexContract(FilterContract):
    """Set `spec`, and whichever of the other attributes does not fit.

    What the tests look at is built once for a class. To point them at a server, override the
    fixture `uri`, as a class method with the same scope.
    """

    spec: ClassVar[IndexSpec]
    """The build that most tests look at."""
    settings: ClassVar[SearchSettings | None] = None
    """What their searches set, able to reach `recall`; the defaults where None."""
    widest: ClassVar[SearchSettings | None] = None
    """What finds as much as can be found, for a k above all rows; the defaults where None."""
    extremes: ClassVar[Mapping[str, tuple[Setup, Setup]]] = {}
    """Each field of the Spec and of its Search → two set-ups that differ in it alone."""
    absent: ClassVar[Mapping[str, Setup]] = {}
    """Each field that its engine hasn't got, instead → a set-up that the plan must refuse."""
    repeatable: ClassVar[bool] = False
    """Whether two builds of one set-up answer alike, so that a setting may show by other hits
    where recall stays."""
    recall: ClassVar[float] = 0.9
    """Share of the 10 exact neighbours that `settings` must find, of 2,000 vectors."""
    tolerance: ClassVar[float] = 0.02
    """How far a score may be from the cosine; less where vectors are not rounded."""
    bits: ClassVar[int] = 8
    """Fewest bits that it may take for a dimension."""
    reaches_all: ClassVar[bool] = True
    """Whether `widest` finds every row; a graph may have rows that nothing links to."""

    @pytest.fixture(scope="class")
    @classmethod
    def uri(cls) -> str | None:
        """The engine's address; None for the embedded one."""
        return None

    @staticmethod
    def expected_scores(hits: Floats, queries: Floats) -> Floats:
        """What hits should score: the cosine, unless it ranks by something else.

        Args:
            hits: (queries, k, dims) unit vectors.
            queries: (queries, dims) unit vectors.

        Returns:
            (queries, k).
        """
        import numpy as np

        scores: Floats = np.einsum("qkd,qd->qk", hits, queries)
        return scores

    @pytest.fixture(scope="class")
    @classmethod
    def bench(cls, uri: str | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
        vectors, queries = clustered(ROWS, QUERIES)
        vectors[list(BLANK)] = 0
        place = Place(f"mox_test_{uuid.uuid4().hex[:12]}", tmp_path_factory.mktemp("index"), uri)
        backend = indexes[cls.spec]
        built = backend.build(cls.spec, Rows(vectors), place)
        yield Bench(backend, cls.spec, place, vectors, queries, built)
        backend.drop(place)

    @pytest.fixture(scope="class")
    @classmethod
    def found(cls, bench: Bench) -> Found:
        """What `settings` finds."""
        return bench.search(cls.settings or type(cls.spec).Search())

    @pytest.fixture(scope="class")
    @classmethod
    def everything(cls, bench: Bench) -> Found:
        """What `widest` finds for more places than there are rows, of 5 queries."""
        return bench.search(cls.widest or type(cls.spec).Search(), k=ROWS + 5, first=5)

    def test_its_settings_survive_being_written_down(self) -> None:
        assert indexes.parse(self.spec.model_dump(mode="json")) == self.spec
        assert all(isinstance(v, str) for v in indexes.fingerprint(self.spec).values())

    def test_unknown_settings_are_refused(self) -> None:
        with pytest.raises(SpecError, match="no_such_setting"):
            indexes.parse({**self.spec.model_dump(), "no_such_setting": 1})
        with pytest.raises(SpecError, match="no_such_setting"):
            validate(type(self.spec).Search, {"no_such_setting": 1}, name="search")

    def test_its_engine_has_it(self, uri: str | None) -> None:
        backend = indexes[self.spec]
        engine = backend.engine(uri)
        assert engine["engine"]
        assert engine["version"]
        backend.check(self.spec, engine)

    def test_it_holds_every_row(self, bench: Bench) -> None:
        assert bench.built.rows == ROWS
        assert bench.backend.rows(bench.place) == ROWS

    def test_it_was_built_as_asked(self, bench: Bench) -> None:
        asked = self.spec.model_dump(exclude={"kind"})
        assert {name: bench.built.parameters[name] for name in asked} == asked

    def test_its_size_is_that_of_the_vectors_or_some_rounding_of_them(self, bench: Bench) -> None:
        assert bench.built.bytes_are in ("measured", "formula")
        least = (ROWS - len(BLANK)) * DIMS * self.bits // 8
        assert least <= bench.built.index_bytes <= 20 * ROWS * DIMS

    def test_it_finds_what_exact_search_finds(self, bench: Bench, found: Found) -> None:
        truth, _ = nearest(bench.vectors, bench.queries, K)
        assert recall(found[0], truth) >= type(self).recall

    def test_scores_are_as_expected_best_first(self, bench: Bench, found: Found) -> None:
        import numpy as np

        ids, scores = found
        assert (ids >= 0).all()
        assert (np.diff(scores, axis=1) <= 0).all()
        expected = self.expected_scores(bench.vectors[ids], bench.queries)
        assert np.abs(scores - expected).max() <= self.tolerance

    def test_no_row_is_found_twice(self, everything: Found) -> None:
        for ids in everything[0]:
            kept = ids[ids >= 0]
            assert len(set(kept.tolist())) == len(kept)

    def test_places_past_the_last_row_are_padded(self, everything: Found) -> None:
        import numpy as np

        ids, scores = everything
        assert ids.shape == scores.shape == (5, ROWS + 5)
        empty = ids == -1
        assert (empty == (scores == -np.inf)).all()
        assert (empty[:, 1:] >= empty[:, :-1]).all(), "nothing comes after padding"
        counts = np.count_nonzero(~empty, axis=1)
        assert (counts <= ROWS).all()
        assert not self.reaches_all or (counts == ROWS).all()

    def test_rows_without_direction_come_last(self, everything: Found) -> None:
        import numpy as np

        ids, scores = everything
        blank = np.isin(ids, BLANK)
        assert (scores[blank] < -1).all(), "below every cosine"
        assert not self.reaches_all or blank.any(axis=1).all()
        for row in ids[blank.any(axis=1)]:
            assert tuple(row[row >= 0][-len(BLANK) :]) == BLANK

    def test_to_a_query_without_direction_all_rows_are_equally_near(self, bench: Bench) -> None:
        import numpy as np

        nothing = np.zeros((1, DIMS), dtype=np.float32)
        settings = self.settings or type(self.spec).Search()
        with bench.backend.open(self.spec, bench.place) as searcher:
            ids, scores = searcher.search(nothing, k=3, settings=settings)
        assert ids.tolist() == [[1, 2, 3]], "row 0 has no direction itself"
        assert scores.tolist() == [[0.0, 0.0, 0.0]]

    def test_opened_again_it_finds_the_same(self, bench: Bench, found: Found) -> None:
        ids, scores = bench.search(self.settings or type(self.spec).Search())
        assert (ids == found[0]).all()
        assert (scores == found[1]).all()

    def test_it_refuses_searches_that_it_cannot_mean(self, bench: Bench) -> None:
        settings = self.settings or type(self.spec).Search()
        with bench.backend.open(self.spec, bench.place) as searcher:
            with pytest.raises(SpecError, match="Foreign"):
                searcher.search(bench.queries, k=K, settings=Foreign())
            with pytest.raises(SpecError, match="dimensions"):
                searcher.search(bench.queries[:, 1:], k=K, settings=settings)

    def test_it_refuses_to_hold_nothing(self, bench: Bench) -> None:
        with pytest.raises(MoxError, match="vectors"):
            bench.backend.build(self.spec, Rows(), bench.beside("none"))
        assert bench.backend.rows(bench.beside("none")) is None

    def test_dropped_it_is_gone(self, bench: Bench) -> None:
        backend, place = bench.backend, bench.beside("drop")
        backend.drop(place)
        assert backend.rows(place) is None
        with pytest.raises(EngineError), backend.open(self.spec, place):
            pass
        backend.build(self.spec, Rows(bench.vectors), place)
        assert backend.rows(place) == ROWS
        backend.drop(place)
        assert backend.rows(place) is None

    def test_every_setting_has_its_extremes(self) -> None:
        fields = {*type(self.spec).model_fields, *type(self.spec).Search.model_fields} - {"kind"}
        assert {*self.extremes, *self.absent} == fields

    def test_what_its_engine_lacks_is_refused_when_the_plan_is_made(self, uri: str | None) -> None:
        backend = indexes[self.spec]
        engine = backend.engine(uri)

        def plan(setup: Setup) -> None:
            setup.settings.check(setup.spec, K)
            backend.check(setup.spec, engine)

        for name, setup in self.absent.items():
            with pytest.raises(SpecError, match=name):
                plan(setup)

    def test_two_extremes_of_each_setting_answer_differently(self, bench: Bench) -> None:
        """A setting that an engine ignores makes two rows of a sweep one.

        Two builds of one set-up may differ by a neighbour or two; a setting that arrives moves
        the recall of `clustered` by 8 points or more in faiss itself.
        """
        import numpy as np

        backend = bench.backend
        numbers = np.arange(ROWS, dtype=np.int32) % 100
        fields = {"n": numbers} if self.filters else {}
        places: dict[IndexSpec, Place] = {}
        for name, pair in self.extremes.items():
            shares, answers = [], []
            for setup in pair:
                if setup.spec not in places:
                    places[setup.spec] = bench.beside(f"x{len(places)}")
                    rows = Rows(bench.vectors, fields=fields)
                    backend.build(setup.spec, rows, places[setup.spec])
                where = setup.where
                with backend.open(setup.spec, places[setup.spec]) as searcher:
                    ids, _ = searcher.search(
                        bench.queries, k=K, settings=setup.settings, where=where
                    )
                passing = numbers < (where.below if where else 100)
                truth, _ = nearest_where(bench.vectors, bench.queries, K, passing)
                shares.append(recall(ids, truth))
                answers.append(ids)
            moved = abs(shares[0] - shares[1]) >= 0.03
            other = self.repeatable and recall(*answers) <= 0.8
            assert moved or other, f"{name} changes nothing: recall {shares}"
        for place in places.values():
            backend.drop(place)
