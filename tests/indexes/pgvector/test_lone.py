"""One query after the other: what isn't checked again must still be asked as it was meant."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mox.errors import EngineError
from mox.indexes import indexes
from mox.indexes.exact import nearest, nearest_where
from mox.indexes.pgvector.search import PgSearcher
from mox.indexes.pgvector.specs import HnswSearch, PgExact, PgHnsw, PgSearch
from mox.types import Place, Rows, Where

ROWS, DIMS = 300, 16
EXACT = PgExact()
FEW = Where("n", 2)


def unit(rows: int) -> np.ndarray:
    made = np.random.default_rng(rows).normal(size=(rows, DIMS)).astype(np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


VECTORS, QUERIES = unit(ROWS), unit(5)
QUERIES[4, 0] = 0.0
QUERIES /= np.linalg.norm(QUERIES, axis=1, keepdims=True)
NUMBERS = np.arange(ROWS, dtype=np.int32) % 100


@pytest.fixture
def place(postgres_uri: str, tmp_path: Path) -> Iterator[Place]:
    found = Place("lone", tmp_path, postgres_uri)
    indexes[EXACT].drop(found)
    yield found
    indexes[EXACT].drop(found)


def built(place: Place, vectors: np.ndarray = VECTORS) -> None:
    fields = {"n": NUMBERS[: len(vectors)]}
    indexes[EXACT].build(EXACT, Rows(vectors, fields=fields), place)


def alone(searcher: PgSearcher, k: int, settings: PgSearch, where: Where | None = None):
    asked = [searcher.search(q[None], k=k, settings=settings, where=where) for q in QUERIES]
    return np.vstack([ids for ids, _ in asked]), np.vstack([scores for _, scores in asked])


def test_each_is_answered_as_by_a_product_of_matrices(place: Place) -> None:
    """The first of them is checked, the others are not; the last one's first number is 0."""
    built(place)
    settings = PgSearch()
    with indexes[EXACT].open(EXACT, place) as searcher:
        ids, scores = alone(searcher, 7, settings)
        again = alone(searcher, 7, settings)
    truth, cosines = nearest(VECTORS, QUERIES, 7)
    assert np.array_equal(ids, truth)
    assert scores == pytest.approx(cosines, abs=1e-5)
    assert np.array_equal(again[0], ids)
    assert np.array_equal(again[1], scores)
    assert (ids.dtype, scores.dtype) == (np.int32, np.float32)


def test_another_k_another_filter_and_other_settings_are_heeded(place: Place) -> None:
    built(place)
    settings = PgSearch()
    with indexes[EXACT].open(EXACT, place) as searcher:
        for k, where in ((5, None), (3, None), (3, FEW), (5, FEW), (5, None)):
            ids, _ = alone(searcher, k, settings, where)
            passing = np.ones(ROWS, dtype=bool) if where is None else where.below > NUMBERS
            truth, _ = nearest_where(VECTORS, QUERIES, k, passing)
            assert np.array_equal(ids, truth), (k, where)


def test_places_that_a_filter_leaves_empty_are_padded(place: Place) -> None:
    """Two of 100 numbers pass, three times each: 6 rows for 10 places."""
    built(place)
    with indexes[EXACT].open(EXACT, place) as searcher:
        ids, scores = alone(searcher, 10, PgSearch(), FEW)
    assert ((ids >= 0).sum(axis=1) == 6).all()
    assert np.isneginf(scores[ids < 0]).all()


def test_rows_without_direction_come_last_each_time(place: Place) -> None:
    vectors = VECTORS[:6].copy()
    vectors[2] = 0.0
    built(place, vectors)
    with indexes[EXACT].open(EXACT, place) as searcher:
        ids, scores = alone(searcher, 8, PgSearch())
    assert (ids[:, 5] == 2).all()
    assert (ids[:, 6:] == -1).all()
    assert (scores[:, 5] == -2.0).all()


def test_settings_of_a_search_in_between_do_not_stay(postgres_uri: str, tmp_path: Path) -> None:
    """ef_search is a session's: 200 candidates find what 10 miss."""
    spec = PgHnsw(m=2, ef_construction=8)
    place = Place("lone_graph", tmp_path, postgres_uri)
    vectors = unit(3000)
    indexes[spec].drop(place)
    indexes[spec].build(spec, Rows(vectors), place)
    queries = unit(20)
    narrow, wide = HnswSearch(ef_search=10), HnswSearch(ef_search=400)
    with indexes[spec].open(spec, place) as searcher:
        at_first = [searcher.search(q[None], k=10, settings=narrow)[0] for q in queries]
        between = [searcher.search(q[None], k=10, settings=wide)[0] for q in queries]
        turns = [
            (searcher.search(q[None], k=10, settings=narrow)[0],
             searcher.search(q[None], k=10, settings=wide)[0])
            for q in queries
        ]  # fmt: skip
    indexes[spec].drop(place)
    assert np.array_equal(np.vstack(at_first), np.vstack([n for n, _ in turns]))
    assert np.array_equal(np.vstack(between), np.vstack([w for _, w in turns]))
    assert not np.array_equal(np.vstack(at_first), np.vstack(between))


@pytest.mark.parametrize("row", [ROWS, -1])
def test_a_row_that_was_not_given_is_refused_each_time(place: Place, row: int) -> None:
    built(place)
    query = QUERIES[0]
    with indexes[EXACT].open(EXACT, place) as searcher:
        searcher.search(query[None], k=3, settings=(settings := PgSearch()))
        literal = "[" + ",".join(map(str, query)) + "]"
        searcher.link.do(f"insert into {searcher.link.table} values ({row}, 0, '{literal}')")
        with pytest.raises(EngineError, match="rows that it was not given"):
            searcher.search(query[None], k=3, settings=settings)
