"""What answers is the index that was asked for: whatever else stands there is no answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from mox.errors import EngineError
from mox.indexes import indexes
from mox.indexes.pgvector.client import connected
from mox.indexes.pgvector.search import PgSearcher
from mox.indexes.pgvector.specs import HnswSearch, Ivfflat, PgExact, PgHnsw, PgSearch, PgSpec
from mox.testing.vectors import ROWS, clustered
from mox.types import Place, Rows, Where

pytestmark = pytest.mark.timeout(120)
BACKEND = indexes[PgExact()]
INDEX = 'mox."mox_looked_at_index"'
TABLE = 'mox."mox_looked_at"'
AGAIN = f"drop index {INDEX}; create index mox_looked_at_index on {TABLE} using"


@pytest.fixture
def place(tmp_path: Path, postgres_uri: str) -> Iterator[Place]:
    place = Place("mox_looked_at", tmp_path, postgres_uri)
    yield place
    BACKEND.drop(place)


@pytest.fixture
def done(place: Place, postgres_uri: str) -> Callable[..., None]:
    """Builds as asked, and then lets somebody change it behind our back."""

    def do(spec: PgSpec, *statements: str) -> None:
        BACKEND.build(spec, Rows(clustered(ROWS, 1)[0]), place)
        with psycopg.connect(postgres_uri, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    return do


@pytest.mark.parametrize(
    ("spec", "change", "said"),
    [
        (PgHnsw(), f"drop index {INDEX}", "no index mox_looked_at_index"),
        (PgHnsw(), f"{AGAIN} hnsw (v vector_cosine_ops) with (m = 4)", "m = 4 where 16 was asked"),
        (PgHnsw(), f"{AGAIN} hnsw (v vector_cosine_ops)", "m = None where 16 was asked"),
        (PgHnsw(), f"{AGAIN} hnsw (v vector_l2_ops) with (m = 16)", "'vector_l2_ops'"),
        (PgHnsw(), f"{AGAIN} ivfflat (v vector_cosine_ops)", "'ivfflat'"),
        (
            PgHnsw(),
            f"{AGAIN} hnsw (v vector_cosine_ops) with (m = 16, ef_construction = 64) where id < 9",
            "not over all rows",
        ),
        (
            PgHnsw(),
            f"update pg_index set indisvalid = false where indexrelid = '{INDEX}'::regclass",
            "not valid",
        ),
        (Ivfflat(lists=10), f"alter index {INDEX} set (lists = 20)", "lists = 20 where 10 was"),
        (
            PgExact(),
            f"create index on {TABLE} using hnsw (v vector_cosine_ops)",
            "1 indexes where none was asked for",
        ),
        (PgExact(column="bit"), f"alter table {TABLE} drop column b", "where column = bit was"),
    ],
)
def test_another_index_is_not_opened(
    place: Place, done: Callable[..., None], spec: PgSpec, change: str, said: str
) -> None:
    done(spec, *change.split("; "))
    with (
        pytest.raises(EngineError, match=rf"built something else: .*{said}"),
        BACKEND.open(spec, place),
    ):
        pass


def test_rows_that_were_taken_away_are_missed(place: Place, done: Callable[..., None]) -> None:
    done(PgExact(), f"delete from {TABLE} where id = 7")
    assert BACKEND.rows(place) == ROWS - 1


def test_a_search_that_would_not_be_answered_by_its_index_is_no_search(
    place: Place, done: Callable[..., None]
) -> None:
    """PostgreSQL would read all rows then, and find more than the index does."""
    done(PgHnsw())
    vectors, _ = clustered(ROWS, 1)
    with BACKEND.open(PgHnsw(), place) as searcher:
        searcher.search(vectors[:1], k=5, settings=HnswSearch())
        with connected(place) as link:
            link.do(f"drop index {INDEX}")
        other = HnswSearch(ef_search=50)
        for queries, settings in ((vectors[:1], other), (vectors[:9], HnswSearch())):
            with pytest.raises(EngineError, match=r"would search .* by \[\('Seq Scan', None\)\]"):
                searcher.search(queries, k=5, settings=settings)


@pytest.mark.parametrize("where", [None, Where("n", 1)], ids=str)
@pytest.mark.parametrize("spec", [PgExact(), PgHnsw(column="bit"), Ivfflat(lists=10)])
def test_every_configuration_is_explained_once(
    place: Place, postgres_uri: str, spec: PgSpec, where: Where | None
) -> None:
    import numpy as np

    vectors, queries = clustered(ROWS, 3)
    fields = {"n": np.arange(ROWS, dtype=np.int32) % 100}
    BACKEND.build(spec, Rows(vectors, fields=fields), place)
    settings = type(spec).Search()
    with BACKEND.open(spec, place) as searcher:
        assert isinstance(searcher, PgSearcher)
        for _ in range(2):
            searcher.search(queries, k=5, settings=settings, where=where)
            searcher.search(queries[:1], k=5, settings=settings, where=where)
        assert len(searcher._explained) == 2, "one query, and many"


def test_a_bare_search_beside_ours_finds_the_same(place: Place, postgres_uri: str) -> None:
    """By psycopg and SQL as pgvector's documentation writes it, on its own connection."""
    vectors, queries = clustered(ROWS, 20)
    BACKEND.build(PgHnsw(), Rows(vectors), place)
    with BACKEND.open(PgHnsw(), place) as searcher:
        ids, scores = searcher.search(queries, k=10, settings=HnswSearch(ef_search=60))
        each = [searcher.search(query[None], k=10, settings=HnswSearch(ef_search=60))[0][0]
                for query in queries]  # fmt: skip
    with psycopg.connect(postgres_uri) as connection:
        connection.execute(
            "select '[1]'::vector; set hnsw.ef_search = 60; set enable_seqscan = off"
        )
        for at, query in enumerate(queries):
            text = "[" + ",".join(repr(float(x)) for x in query) + "]"
            found = connection.execute(
                f"select id, 1 - (v <=> '{text}') from {TABLE} order by v <=> '{text}' limit 10"
            ).fetchall()
            assert [row for row, _ in found] == ids[at].tolist() == each[at].tolist()
            assert [score for _, score in found] == pytest.approx(scores[at].tolist(), abs=1e-6)


def test_the_settings_of_a_measurement_are_the_sessions(place: Place, postgres_uri: str) -> None:
    """No compiling, no second core: whatever the server has for others."""
    with psycopg.connect(postgres_uri, autocommit=True) as connection:
        connection.execute("alter role postgres set jit = on")
        connection.execute("alter role postgres set max_parallel_workers_per_gather = 4")
        try:
            with connected(place) as link:
                assert link.ask("show jit") == [("off",)]
                assert link.ask("show max_parallel_workers_per_gather") == [("0",)]
        finally:
            connection.execute("alter role postgres reset all")


def test_hits_of_an_exact_search_hold_no_row_without_direction_by_chance(place: Place) -> None:
    vectors, queries = clustered(40, 2)
    vectors[3] = 0
    BACKEND.build(PgExact(), Rows(vectors), place)
    with BACKEND.open(PgExact(), place) as searcher:
        ids, scores = searcher.search(queries, k=40, settings=PgSearch())
    assert ids[:, -1].tolist() == [3, 3]
    assert scores[:, -1].tolist() == [-2.0, -2.0]
