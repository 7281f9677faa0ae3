"""What PostgreSQL's full text does, and what is refused of it."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest

from mox.errors import DataError, EngineError, FieldError, SpecError
from mox.indexes import engine_fusion, indexes
from mox.indexes.pgvector.client import connected
from mox.indexes.pgvector.hybrid import PostgresHybrid
from mox.indexes.pgvector.specs import Ivfflat, PgExact, PgHnsw
from mox.indexes.pgvector.text import FtsSearch, PostgresFts
from mox.testing.texts import QUERIES, TEXTS
from mox.testing.vectors import clustered, recall
from mox.types import Asked, Place, Rows

SPEC = PostgresFts()
BACKEND = indexes[SPEC]


@pytest.fixture
def place(request: pytest.FixtureRequest, postgres_uri: str, tmp_path: Path) -> Any:
    found = Place(f"mox_{abs(hash(request.node.name)):x}", tmp_path, postgres_uri)
    yield found
    BACKEND.drop(found)


def found(
    place: Place,
    texts: Sequence[str],
    queries: Sequence[str],
    spec: PostgresFts = SPEC,
    **asked: Any,
) -> Any:
    BACKEND.drop(place)
    BACKEND.build(spec, Rows(texts=texts), place)
    with BACKEND.open(spec, place) as searcher:
        return searcher.search_texts(queries, k=len(texts), settings=FtsSearch(**asked))


def test_connecting_is_no_part_of_a_builds_seconds(place: Place) -> None:
    """A connection begins by reading which extensions there are, and somebody holds that list."""
    with psycopg.connect(place.uri or "") as holder:
        holder.execute("lock table pg_extension in access exclusive mode")
        timer = threading.Timer(0.6, holder.rollback)
        began = time.perf_counter()
        timer.start()
        built = BACKEND.build(SPEC, Rows(texts=TEXTS), place)
        took = time.perf_counter() - began
        timer.join()
    assert took > 0.5
    assert built.build_s < took - 0.5


def test_scores_are_postgresqls_own(place: Place) -> None:
    """Held to the same functions asked by hand, in the form of PostgreSQL's documentation."""
    for rank, norm in (("ts_rank", 0), ("ts_rank", 1), ("ts_rank_cd", 2), ("ts_rank_cd", 36)):
        ids, scores = found(place, TEXTS, ["river copper"], rank=rank, normalization=norm)
        with connected(place) as link:
            words = "to_tsvector('english', body), to_tsquery('english', 'river | copper')"
            hand = link.ask(
                f"select {rank}({words}, {norm}), id from {link.table}"
                " where to_tsvector('english', body) @@ to_tsquery('english', 'river | copper')"
                " order by 1 desc, 2"
            )
        assert len(hand) > 20
        assert ids[0, : len(hand)].tolist() == [row for _, row in hand]
        assert np.allclose(scores[0, : len(hand)], [score for score, _ in hand])
        assert (ids[0, len(hand) :] == -1).all()


def test_any_word_finds_what_all_words_do_not(place: Place) -> None:
    texts = ["copper lantern", "copper river", "a garden"]
    asked = ["which copper river has a lantern", "copper lantern"]
    any_, _ = found(place, texts, asked)
    all_, _ = found(place, texts, asked, words="all")
    assert [set(row) - {-1} for row in any_.tolist()] == [{0, 1}, {0, 1}]
    assert [set(row) - {-1} for row in all_.tolist()] == [set(), {0}]


def test_a_configuration_says_what_a_word_is(place: Place) -> None:
    texts, asked = ["the rivers", "river"], ["river", "the"]
    english, _ = found(place, texts, asked)
    simple, _ = found(place, texts, asked, PostgresFts(config="simple"))
    assert [sorted(row) for row in english.tolist()] == [[0, 1], [-1, -1]]
    assert [sorted(row) for row in simple.tolist()] == [[-1, 1], [-1, 0]]


def test_every_configuration_is_one_of_postgresqls(place: Place) -> None:
    from typing import get_args

    from mox.indexes.pgvector.text import Config

    with connected(place) as link:
        have = {name for (name,) in link.ask("select cfgname::text from pg_ts_config")}
    assert set(get_args(Config)) == have


def test_a_word_that_only_quotes_hold_is_no_query(place: Place) -> None:
    texts = ["o'neil's a\\b example.com/a'b?c=2&d=3", "plain"]
    asked = ["O'Neil", "a\\b", "example.com/a'b?c=2&d=3", "it's \0 nothing"]
    ids, _ = found(place, texts, asked)
    assert [row[0] for row in ids.tolist()] == [0, 0, 0, -1]


def test_a_text_with_more_words_than_a_tsvector_holds_is_refused_by_its_row(place: Place) -> None:
    # 150,000 different words of 7 letters: 1,050,000 bytes, over PostgreSQL's 1 MB.
    big = " ".join(f"w{at:06d}" for at in range(150_000))
    with pytest.raises(DataError, match=r"the text of row 1 is too large \(string is too long"):
        BACKEND.build(SPEC, Rows(texts=["small", big]), place)
    assert BACKEND.rows(place) is None
    hybrid = PostgresHybrid(vector=PgExact())
    rows = Rows(np.eye(2, dtype=np.float32), texts=["small", big])
    with pytest.raises(DataError, match="is too large"):
        indexes[hybrid].build(hybrid, rows, place)
    assert BACKEND.rows(place) is None


def test_a_nul_is_refused_by_its_row(place: Place) -> None:
    with pytest.raises(DataError, match=r"row 1 holds the character U\+0000"):
        BACKEND.build(SPEC, Rows(texts=["a", "b\0"]), place)


def test_a_database_without_lower_case_beyond_ascii_is_refused_for_such_texts(
    postgres_uri: str, tmp_path: Path
) -> None:
    import psycopg

    with psycopg.connect(postgres_uri, autocommit=True) as connection:
        connection.execute(
            "create database plain template template0 encoding 'UTF8' locale_provider libc"
            " lc_collate 'C' lc_ctype 'C'"
        )
    place = Place("mox_plain", tmp_path, postgres_uri.replace("/postgres?", "/plain?"))
    with pytest.raises(EngineError, match="knows no lower case beyond ASCII"):
        BACKEND.build(SPEC, Rows(texts=["Über"]), place)
    BACKEND.build(SPEC, Rows(texts=["River"]), place)
    with BACKEND.open(SPEC, place) as searcher:
        assert searcher.search_texts(["RIVER"], k=1, settings=FtsSearch())[0].tolist() == [[0]]
    BACKEND.drop(place)
    with psycopg.connect(postgres_uri, autocommit=True) as connection:
        connection.execute("drop database plain")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ('drop index mox."{name}_words"', "a valid GIN"),
        ('alter table mox."{name}" alter column t drop expression', "words made by"),
        ('alter table mox."{name}" drop column body cascade', "columns"),
    ],
)
def test_a_table_that_is_another_is_not_searched(place: Place, change: str, said: str) -> None:
    BACKEND.build(SPEC, Rows(texts=["river"]), place)
    with connected(place) as link:
        link.do(change.format(name=place.name))
    with pytest.raises(EngineError, match=said), BACKEND.open(SPEC, place):
        pass


def test_a_table_of_another_configuration_is_not_searched(place: Place) -> None:
    BACKEND.build(SPEC, Rows(texts=["river"]), place)
    with (
        pytest.raises(EngineError, match="words made by"),
        BACKEND.open(PostgresFts(config="simple"), place),
    ):
        pass


def test_a_plan_that_reads_all_rows_is_refused(place: Place) -> None:
    BACKEND.build(SPEC, Rows(texts=["river"] * 50), place)
    with BACKEND.open(SPEC, place) as searcher:
        searcher.link.do("set enable_bitmapscan = off; set enable_seqscan = on")
        with pytest.raises(EngineError, match="not by its index"):
            searcher.search_texts(["river"], k=5, settings=FtsSearch())


@pytest.mark.parametrize(
    "vector",
    [
        PgHnsw(m=8, ef_construction=40),
        PgHnsw(column="halfvec"),
        PgHnsw(column="bit"),
        Ivfflat(lists=4),
        PgExact(column="bit"),
    ],
    ids=lambda spec: f"{spec.kind}-{spec.column}",
)
def test_each_kind_of_vectors_is_fused_with_texts(place: Place, vector: Any) -> None:
    """Its own two lists fused by rank are its answer, and EXPLAIN names both indexes."""
    from mox.retrieval.rrf import Rrf, fuse
    from mox.types import Hits

    vectors, queries = clustered(len(TEXTS), len(QUERIES))
    spec = PostgresHybrid(vector=vector)
    backend = indexes[spec]
    built = backend.build(spec, Rows(vectors, texts=TEXTS), place)
    assert built.parameters["vector"]["kind"] == vector.kind
    assert built.bytes_are == ("formula" if vector.column == "bit" else "measured")
    rrf = engine_fusion(spec, {"kind": "rrf"})
    wide: dict[str, Any] = {"ef_search": 200} if "ef_search" in spec.Search.model_fields else {}
    wide |= {"probes": 4} if "probes" in spec.Search.model_fields else {}
    settings = spec.Search(**wide)
    with backend.open(spec, place) as searcher:
        lists = [
            Hits(*searcher.search_pairs(asked, k=30, depth=30, fusion=rrf, settings=settings))
            for asked in (
                Asked(queries, [""] * len(queries)),
                Asked(np.zeros_like(queries), QUERIES),
            )
        ]
        ids, scores = searcher.search_pairs(
            Asked(queries, QUERIES), k=10, depth=30, fusion=rrf, settings=settings
        )
    ours = fuse(Rrf(k=60), lists, k=10)
    assert np.abs(scores - ours.scores).max() <= 1e-6
    assert recall(ids, ours.ids) > 0.9, "up to ties at the last places"
    backend.drop(place)


def test_weighted_fusion_by_hand(place: Place) -> None:
    """weight · (1 + cosine) / 2 + (1 - weight) · 2 / π · arctan(rank); 0 where a side lacks it."""
    vectors = np.array([[1, 0], [0.6, 0.8], [0, 1]], dtype=np.float32)
    texts = ["copper tin copper", "tin foil", "zinc"]
    _, ranks = found(place, texts, ["copper"])
    BACKEND.drop(place)
    spec = PostgresHybrid(vector=PgExact())
    backend = indexes[spec]
    backend.build(spec, Rows(vectors, texts=texts), place)
    asked = Asked(np.array([[1, 0]], dtype=np.float32), ["copper"])
    cosine, rank = {0: 1.0, 1: 0.6, 2: 0.0}, float(ranks[0, 0])
    with backend.open(spec, place) as searcher:
        for weight, scale in ((0.3, "arctan"), (0.3, "none")):
            fusion = engine_fusion(spec, {"kind": "weighted", "weight": weight, "normalise": scale})
            ids, scores = searcher.search_pairs(
                asked, k=3, depth=3, fusion=fusion, settings=spec.Search()
            )
            for row, score in zip(ids[0].tolist(), scores[0].tolist(), strict=True):
                dense, lexical = cosine[row], rank if row == 0 else 0.0
                if scale == "arctan":
                    dense, lexical = (1 + dense) / 2, 2 / math.pi * math.atan(lexical)
                assert score == pytest.approx(weight * dense + 0.7 * lexical, abs=1e-6)


def test_a_pair_needs_an_index_that_gives_as_many_as_fusion_sees() -> None:
    spec = PostgresHybrid(vector=PgHnsw())
    with pytest.raises(SpecError, match="ef_search = 40 cannot give k = 50"):
        spec.Search(ef_search=40).on(spec, 50).check(spec, 50)
    with pytest.raises(SpecError, match="an export"):
        spec.Search(ef_search=1000, iterative="strict_order").check(spec, 20_000)


def test_parts_of_two_engines_are_no_pair() -> None:
    for settings in (
        {"vector": {"kind": "HNSW"}},
        {"vector": {"kind": "pgvector"}, "text": {"kind": "SPARSE_INVERTED_INDEX"}},
    ):
        with pytest.raises(FieldError, match="of PostgreSQL"):
            indexes.parse({"kind": "postgres_hybrid", **settings})


def test_a_build_that_is_refused_leaves_nothing(place: Place) -> None:
    spec = PostgresHybrid(vector=Ivfflat(lists=100))
    rows = Rows(np.eye(3, dtype=np.float32), texts=["a", "b", "c"])
    with pytest.raises(SpecError, match="lists = 100 cells for 3"):
        indexes[spec].build(spec, rows, place)
    assert BACKEND.rows(place) is None
