"""What a filtered search of an index is held to: a part of `IndexContract`."""
# ruff: noqa: S101

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import pytest

from mox.errors import SpecError
from mox.indexes.exact import nearest_where
from mox.spec import IndexSpec, SearchSettings
from mox.testing.vectors import DIMS, ROWS, Bench, K, recall
from mox.types import Rows, Where

if TYPE_CHECKING:
    from mox.types import Floats, Ints

    Found = tuple[Ints, Floats]


class FilterContract:
    """Tests over a `Bench`, the fixture `bench`; see `IndexContract` for what stands here."""

    spec: ClassVar[IndexSpec]
    settings: ClassVar[SearchSettings | None]
    widest: ClassVar[SearchSettings | None]
    reaches_all: ClassVar[bool]
    recall_where: ClassVar[Mapping[int, float]] = {1: 0.9, 10: 0.9, 50: 0.9, 99: 0.9}
    """The same where only so many percent of the rows pass a filter."""
    filters: ClassVar[bool] = True
    """Whether it takes `Rows.fields` and answers `Where`."""

    @pytest.fixture(scope="class")
    @classmethod
    def filtered(cls, bench: Bench) -> Iterator[Bench]:
        """The same rows with a field: 0 to 99 in turn, so that `n < 10` lets a tenth pass."""
        import numpy as np

        if not cls.filters:
            pytest.skip("it says that it takes no filters")
        place = bench.beside("filtered")
        fields = {"n": np.arange(ROWS, dtype=np.int32) % 100}
        built = bench.backend.build(cls.spec, Rows(bench.vectors, fields=fields), place)
        yield replace(bench, place=place, built=built)
        bench.backend.drop(place)

    def test_a_filter_lets_only_what_passes_be_found(self, filtered: Bench) -> None:
        import numpy as np

        settings = self.settings or type(self.spec).Search()
        with filtered.backend.open(self.spec, filtered.place) as searcher:
            for below in (1, 10, 50, 99):
                passing = np.arange(ROWS) % 100 < below
                where = Where("n", below)
                ids, _ = searcher.search(filtered.queries, k=K, settings=settings, where=where)
                assert passing[ids[ids >= 0]].all()
                truth, _ = nearest_where(filtered.vectors, filtered.queries, K, passing)
                assert recall(ids, truth) >= self.recall_where[below], f"n < {below}"

    def test_what_has_no_direction_passes_a_filter_or_not_like_the_rest(
        self, filtered: Bench
    ) -> None:
        import numpy as np

        nothing = np.zeros((1, DIMS), dtype=np.float32)
        widest = self.widest or type(self.spec).Search()
        k, where = ROWS // 100 + 5, Where("n", 1)
        with filtered.backend.open(self.spec, filtered.place) as searcher:
            ids, _ = searcher.search(filtered.queries[:3], k=k, settings=widest, where=where)
            none, scores = searcher.search(nothing, k=3, settings=widest, where=where)
        for row in ids:
            found = row[row >= 0].tolist()
            assert not self.reaches_all or (len(found) == ROWS // 100 and found[-2:] == [0, 700])
            assert all(at % 100 == 0 for at in found)
        assert none.tolist() == [[100, 200, 300]], "row 0 has no direction itself"
        assert scores.tolist() == [[0.0, 0.0, 0.0]]

    def test_it_refuses_a_filter_by_what_it_has_not(self, bench: Bench) -> None:
        settings = self.settings or type(self.spec).Search()
        with (
            bench.backend.open(self.spec, bench.place) as searcher,
            pytest.raises(SpecError, match="not 'm'"),
        ):
            searcher.search(bench.queries, k=K, settings=settings, where=Where("m", 1))

    def test_it_refuses_fields_that_it_cannot_hold(self, bench: Bench) -> None:
        import numpy as np

        place = bench.beside("fields")
        for name, length in {"a b": ROWS, "n": 3}.items():
            rows = Rows(bench.vectors, fields={name: np.zeros(length, dtype=np.int32)})
            with pytest.raises(SpecError, match=r"give .* whole numbers under a plain name"):
                bench.backend.build(self.spec, rows, place)
