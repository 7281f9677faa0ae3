"""What Milvus does with texts, and which engine has which of its settings."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mox
from mox.errors import DataError, EngineError, FieldError, SpecError
from mox.indexes import engine_fusion, indexes
from mox.indexes.milvus import lite, text_build
from mox.indexes.milvus.client import connected
from mox.indexes.milvus.hybrid import MilvusHybrid
from mox.indexes.milvus.specs import Flat, Hnsw
from mox.indexes.milvus.text import (
    MilvusText,
    SparseInvertedIndex,
    SparseSearch,
    SparseWand,
    check_engine,
    check_search,
    stop_words,
)
from mox.retrieval.bm25 import Bm25
from mox.retrieval.bm25 import search as bm25_search
from mox.testing.texts import QUERIES, TEXTS
from mox.testing.vectors import clustered
from mox.types import Asked, Place, Rows

LITE = {"engine": "milvus-lite", "version": "3.2.2"}


def server(version: str) -> dict[str, str]:
    return {"engine": "milvus", "version": version}


def found(spec: Any, texts: Any, queries: Any, folder: Path, k: int = 10) -> Any:
    """Ids and scores of a fresh build."""
    backend, place = indexes[spec], Place("mox_test_texts", folder)
    backend.build(spec, Rows(texts=texts), place)
    with backend.open(spec, place) as searcher:
        answer = searcher.search_texts(queries, k=k, settings=spec.Search())
    backend.drop(place)
    return answer


def test_scores_are_those_of_bm25(tmp_path: Path) -> None:
    """Held to bm25s, an implementation by others: `robertson` is the same sum but for a positive
    idf, and `lucene` the same but for the factor k1 + 1, which changes no order."""
    for k1, b in ((1.2, 0.75), (0.5, 0.2)):
        theirs = bm25_search(
            Bm25(k1=k1, b=b, stemmer=None, stopwords=None), TEXTS, QUERIES, k=len(TEXTS)
        )
        ids, scores = found(
            SparseInvertedIndex(bm25_k1=k1, bm25_b=b), TEXTS, QUERIES, tmp_path, k=len(TEXTS)
        )
        for row, score, their_row, their_score in zip(ids, scores, *theirs, strict=True):
            held = dict(zip(their_row.tolist(), their_score.tolist(), strict=True))
            for at, value in zip(row.tolist(), score.tolist(), strict=True):
                assert at == -1 or value == pytest.approx((k1 + 1) * held[at], rel=1e-4)


def test_a_score_by_hand(tmp_path: Path) -> None:
    # Two texts, one with `copper` twice of its 3 words; mean length 2.5.
    # idf = ln(1 + (2 - 1 + 0.5) / (1 + 0.5)) = ln 2; k1 = 2, b = 1.
    # 2 · (2 + 1) / (2 + 2 · 3 / 2.5) = 6 / 4.4.
    spec = SparseInvertedIndex(bm25_k1=2, bm25_b=1)
    ids, scores = found(spec, ["copper tin copper", "tin foil"], ["Copper"], tmp_path, k=2)
    assert ids.tolist() == [[0, -1]]
    assert scores[0, 0] == pytest.approx(math.log(2) * 6 / 4.4, rel=1e-6)


def test_stop_words_are_those_of_our_own_bm25(tmp_path: Path) -> None:
    texts = ["the river and the sea", "a sea"]
    assert {"the", "and", "a"} <= set(stop_words("english"))
    ids, _ = found(SparseInvertedIndex(stopwords="english"), texts, ["the a and", "sea"], tmp_path)
    assert (ids[0] == -1).all()
    assert sorted(ids[1, :2].tolist()) == [0, 1]


@pytest.mark.parametrize("name", ["german", "french", "english_plus"])
def test_each_list_of_stop_words_is_there(name: Any) -> None:
    assert len(stop_words(name)) > 50


def test_the_formula_counts_each_different_word_of_each_text() -> None:
    texts = ["The river, the sea", "", "Sea!"]
    # the, river, sea; nothing; sea: 4 pairs of a number and a weight, 4 bytes each.
    assert SparseInvertedIndex().formula_bytes(texts) == 8 * 4
    assert SparseInvertedIndex(stopwords="english").formula_bytes(texts) == 8 * 3
    counted = sum(len(Counter(text.split())) for text in QUERIES)
    assert SparseInvertedIndex().formula_bytes(QUERIES) == 8 * counted


@pytest.mark.parametrize(
    ("spec", "engine", "said"),
    [
        (SparseInvertedIndex(), server("2.3.5-lite"), r"needs Milvus ≥ 2\.5 .* is milvus 2\.3\.5"),
        (SparseInvertedIndex(), server("2.4.9"), r"needs Milvus ≥ 2\.5"),
        (
            SparseInvertedIndex(inverted_index_algo="DAAT_WAND"),
            server("2.5.3"),
            r"needs Milvus ≥ 2\.5\.4",
        ),
        (SparseInvertedIndex(inverted_index_algo="SINDI"), server("2.6.1"), r"needs Milvus ≥ 3\.0"),
        (SparseInvertedIndex(inverted_index_algo="DAAT_WAND"), LITE, r"only TAAT_NAIVE"),
        (SparseInvertedIndex(analyzer="english"), LITE, r"no analyzer english, only standard"),
        (SparseInvertedIndex(bm25_k1=0), LITE, r"refuses bm25_k1 = 0"),
        (SparseWand(), LITE, r"(?s)SPARSE_WAND.*use SPARSE_INVERTED_INDEX"),
        (SparseWand(), server("2.3.5"), r"needs Milvus ≥ 2\.5"),
    ],
)
def test_what_an_engine_lacks_is_refused_by_name(
    spec: MilvusText, engine: dict[str, str], said: str
) -> None:
    with pytest.raises(SpecError, match=said):
        check_engine(spec, engine)


def test_what_an_engine_has_passes() -> None:
    check_engine(SparseInvertedIndex(inverted_index_algo="TAAT_NAIVE"), LITE)
    check_engine(SparseInvertedIndex(analyzer="english"), server("2.5.0"))
    check_engine(SparseInvertedIndex(inverted_index_algo="DAAT_WAND"), server("2.5.4"))
    check_engine(SparseWand(), server("2.6.3"))
    check_search(SparseInvertedIndex(), SparseSearch(), LITE)
    check_search(SparseInvertedIndex(), SparseSearch(drop_ratio_search=0.2), server("2.5.0"))
    check_search(SparseInvertedIndex(), SparseSearch(dim_max_score_ratio=1), server("2.6.0"))


def test_search_settings_that_an_engine_lacks_are_refused_by_name() -> None:
    for settings in (SparseSearch(drop_ratio_search=0.2), SparseSearch(dim_max_score_ratio=1)):
        with pytest.raises(SpecError, match=r"milvus-lite 3\.2\.2 has no (drop|dim)_"):
            check_search(SparseInvertedIndex(), settings, LITE)
    with pytest.raises(SpecError, match="no dim_max_score_ratio"):
        check_search(SparseInvertedIndex(), SparseSearch(dim_max_score_ratio=1), server("2.5.9"))


@pytest.mark.parametrize("name", ["TAAT_NAIVE", "DAAT_WAND"])
def test_lite_itself_has_but_one_algorithm(tmp_path: Path, name: Any) -> None:
    """What our refusals stand on."""
    spec, place = SparseInvertedIndex(inverted_index_algo=name), Place("mox_test_a", tmp_path)
    with connected(place) as link:
        text_build.create(link, spec, None)
        text_build.insert(link, ["river"])
        if name == "TAAT_NAIVE":
            text_build.index_texts(link, spec, 1)
            text_build.check_described(link, spec)
        else:
            with pytest.raises(Exception, match="unsupported sparse algorithm"):
                text_build.index_texts(link, spec, 1)


def test_lite_itself_has_no_english_analyzer(tmp_path: Path) -> None:
    place = Place("mox_test_b", tmp_path)
    with (
        pytest.raises(EngineError, match="unknown tokenizer type: 'english'"),
        connected(place) as link,
    ):
        text_build.create(link, SparseInvertedIndex(analyzer="english"), None)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (SparseInvertedIndex(bm25_k1=2), r"bm25_k1 = 1\.2, not 2"),
        (SparseInvertedIndex(bm25_b=0.5), r"bm25_b = 0\.75, not 0\.5"),
        (SparseInvertedIndex(stopwords="english"), "the analyzer"),
        (SparseInvertedIndex(inverted_index_algo="TAAT_NAIVE"), "inverted_index_algo = None"),
    ],
)
def test_a_collection_that_is_another_is_not_searched(
    tmp_path: Path, asked: SparseInvertedIndex, said: str
) -> None:
    spec, place = SparseInvertedIndex(), Place("mox_test_c", tmp_path)
    backend = indexes[spec]
    backend.build(spec, Rows(texts=["river"]), place)
    with pytest.raises(EngineError, match=said), backend.open(asked, place):
        pass


def test_a_collection_whose_sparse_field_no_function_fills_is_not_searched(tmp_path: Path) -> None:
    """So Milvus 2.3.5 makes it of the same request."""
    from pymilvus import DataType, MilvusClient

    spec, place = SparseInvertedIndex(), Place("mox_test_d", tmp_path)
    with connected(place) as link:
        schema = MilvusClient.create_schema(auto_id=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("text", DataType.VARCHAR, max_length=100)
        schema.add_field("sparse", DataType.SPARSE_FLOAT_VECTOR)
        link.client.create_collection(link.name, schema=schema)
    with pytest.raises(EngineError, match="the functions"), indexes[spec].open(spec, place):
        pass


def test_stop_words_belong_to_the_standard_analyzer() -> None:
    with pytest.raises(FieldError, match="the english analyzer has stop words of its own"):
        indexes.parse(
            {"kind": "SPARSE_INVERTED_INDEX", "analyzer": "english", "stopwords": "english"}
        )


def test_more_hits_than_milvus_gives_are_refused(tmp_path: Path) -> None:
    SparseSearch().check(SparseInvertedIndex(), 16_384)
    with pytest.raises(SpecError, match="16385 is more than Milvus gives"):
        SparseSearch().check(SparseInvertedIndex(), 16_385)
    hybrid = MilvusHybrid(vector=Flat())
    with pytest.raises(SpecError, match="16385 is more than Milvus gives"):
        hybrid.Search().check(hybrid, 16_385)


def test_the_vectors_part_must_find_as_many_as_fusion_sees() -> None:
    hybrid = MilvusHybrid(vector=Hnsw())
    assert "ef" in hybrid.Search.model_fields
    hybrid.Search(ef=50).check(hybrid, 50)
    with pytest.raises(SpecError, match="ef = 49 cannot fill k = 50"):
        hybrid.Search(ef=49).check(hybrid, 50)


@pytest.mark.parametrize(
    ("settings", "field", "said"),
    [
        ({}, "vector", "needs the field 'vector'"),
        ({"vector": {"kind": "HNSW", "m": 1}}, "vector.m", "greater than or equal to 2"),
        ({"vector": {"kind": "HNSX"}}, "vector", "did you mean 'HNSW'"),
        ({"vector": {"kind": "exact"}}, "vector", "exact is not an index of vectors of Milvus"),
        ({"vector": 3}, "vector", "3 is no index"),
        (
            {"vector": {"kind": "HNSW"}, "text": {"kind": "SPARSE_INVERTED_INDEX", "bm25_k": 1}},
            "text.bm25_k",
            "did you mean 'bm25_k1'",
        ),
        ({"vector": {"kind": "HNSW"}, "text": {"kind": "HNSW"}}, "text", "not an index of texts"),
    ],
)
def test_a_part_that_cannot_be_meant_is_named(settings: Any, field: str, said: str) -> None:
    with pytest.raises(FieldError, match=said) as caught:
        indexes.parse({"kind": "milvus_hybrid", **settings})
    assert caught.value.field == field


def test_milvus_spellings_are_accepted_within_a_part() -> None:
    spec = indexes.parse({"kind": "milvus_hybrid", "vector": {"kind": "HNSW", "M": 24}})
    assert spec.vector.m == 24  # type: ignore[attr-defined]


def test_a_hybrid_collection_is_verified_part_by_part(tmp_path: Path) -> None:
    """The index file of the vectors is read, so that a build parameter that never arrived shows."""
    vectors, _ = clustered(len(TEXTS), 1)
    spec, place = MilvusHybrid(vector=Hnsw(m=4, ef_construction=20)), Place("mox_test_e", tmp_path)
    built = indexes[spec].build(spec, Rows(vectors, texts=TEXTS), place)
    assert built.parameters["vector"] == {"kind": "HNSW", "m": 4, "ef_construction": 20}
    assert lite.read_index(lite.index_files(place)[0])["M"] == 4
    for other in (
        MilvusHybrid(vector=Hnsw(m=8, ef_construction=20)),
        MilvusHybrid(vector=spec.vector, text=SparseInvertedIndex(bm25_k1=2)),
    ):
        with pytest.raises(EngineError, match="built something else"):
            indexes[other].open(other, place).__enter__()


def test_ef_reaches_the_dense_side(tmp_path: Path) -> None:
    vectors, queries = clustered(2_000, 50)
    texts = ["x"] * len(vectors)
    spec = MilvusHybrid(vector=Hnsw(m=2, ef_construction=8))
    backend, place = indexes[spec], Place("mox_test_f", tmp_path)
    backend.build(spec, Rows(vectors, texts=texts), place)
    rrf = engine_fusion(spec, {"kind": "rrf"})
    answers = []
    with backend.open(spec, place) as searcher:
        for ef in (10, 500):
            asked = Asked(queries, [""] * len(queries))
            settings = spec.Search(ef=ef)
            answers.append(
                searcher.search_pairs(asked, k=10, depth=10, fusion=rrf, settings=settings)[0]
            )
    assert (answers[0] != answers[1]).mean() > 0.1


def test_weighted_fusion_by_hand(tmp_path: Path) -> None:
    """weight · (1 + cosine) / 2 + (1 - weight) · 2 / π · arctan(BM25); 0 where a side lacks it."""
    vectors = np.array([[1, 0], [0.6, 0.8], [0, 1]], dtype=np.float32)
    texts = ["copper tin copper", "tin foil", "zinc"]
    spec = MilvusHybrid(vector=Flat())
    backend, place = indexes[spec], Place("mox_test_g", tmp_path)
    backend.build(spec, Rows(vectors, texts=texts), place)
    _, bm25 = found(spec.text, texts, ["copper"], tmp_path, k=1)
    asked = Asked(np.array([[1, 0]], dtype=np.float32), ["copper"])
    cosine = {0: 1.0, 1: 0.6, 2: 0.0}
    with backend.open(spec, place) as searcher:
        for weight, scale in ((0.3, "arctan"), (0.9, "arctan"), (0.3, "none")):
            fusion = engine_fusion(spec, {"kind": "weighted", "weight": weight, "normalise": scale})
            ids, scores = searcher.search_pairs(
                asked, k=3, depth=3, fusion=fusion, settings=spec.Search()
            )
            for row, score in zip(ids[0].tolist(), scores[0].tolist(), strict=True):
                dense, lexical = cosine[row], float(bm25[0, 0]) if row == 0 else None
                if scale == "arctan":
                    dense = (1 + dense) / 2
                    lexical = None if lexical is None else 2 / math.pi * math.atan(lexical)
                hand = weight * dense + (1 - weight) * (lexical or 0)
                assert score == pytest.approx(hand, abs=1e-5), (weight, scale, row)


def test_no_vector_with_a_direction_is_refused(tmp_path: Path) -> None:
    spec, place = MilvusHybrid(vector=Flat()), Place("mox_test_h", tmp_path)
    rows = Rows(np.zeros((2, 3), dtype=np.float32), texts=["a", "b"])
    with pytest.raises(EngineError, match="none of the 2 vectors"):
        indexes[spec].build(spec, rows, place)


def test_a_surrogate_is_no_text(tmp_path: Path) -> None:
    spec, place = SparseInvertedIndex(), Place("mox_test_i", tmp_path)
    with pytest.raises(DataError, match="row 1 is no Unicode text"):
        indexes[spec].build(spec, Rows(texts=["a", "\ud800"]), place)


@pytest.mark.slow
def test_milvus_2_3_5_is_refused_when_the_plan_is_made(
    small_corpus: Path, milvus_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOX_MILVUS_URI", milvus_server.uri)
    experiment = {
        "name": "texts",
        "corpus": {"kind": "evidence", "path": str(small_corpus)},
        "axes": {
            "chunk": [{"kind": "recursive", "size": 24}],
            "index": [{"kind": "SPARSE_INVERTED_INDEX"}],
            "search": [{"kind": "full_text", "k": 5}],
        },
        "measure": ["recall@5"],
    }
    with pytest.raises(SpecError, match=r"needs Milvus ≥ 2\.5 .* milvus 2\.3\.5"):
        mox.plan(experiment)
