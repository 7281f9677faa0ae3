"""What pymilvus really sends for texts, recorded by a stub server, against what Milvus documents:
also for the settings that no engine here has."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymilvus.grpc_gen import common_pb2, schema_pb2

from mox.errors import EngineError
from mox.indexes import engine_fusion, indexes
from mox.indexes.milvus.hybrid import MilvusHybrid
from mox.indexes.milvus.specs import Hnsw
from mox.indexes.milvus.text import MilvusText, SparseInvertedIndex, SparseSearch, SparseWand
from mox.types import Asked, Place, Rows

TEXTS = ["The copper lantern", "", "a river"]
StubOf = Callable[[str], Any]

# Ours → the analyzer, the build parameters and the search parameters as documented.
DOCUMENTED: list[
    tuple[MilvusText, SparseSearch, dict[str, Any], dict[str, str], dict[str, Any]]
] = [
    (
        SparseInvertedIndex(),
        SparseSearch(),
        {"tokenizer": "standard", "filter": ["lowercase"]},
        {"bm25_k1": "1.2", "bm25_b": "0.75"},
        {},
    ),
    (
        SparseInvertedIndex(analyzer="english", inverted_index_algo="DAAT_WAND", bm25_k1=2),
        SparseSearch(drop_ratio_search=0.2, dim_max_score_ratio=0.9),
        {"type": "english"},
        {"bm25_k1": "2.0", "bm25_b": "0.75", "inverted_index_algo": "DAAT_WAND"},
        {"drop_ratio_search": 0.2, "dim_max_score_ratio": 0.9},
    ),
    (
        SparseWand(analyzer="chinese", bm25_b=0.5),
        SparseSearch(drop_ratio_search=0.1),
        {"type": "chinese"},
        {"bm25_k1": "1.2", "bm25_b": "0.5"},
        {"drop_ratio_search": 0.1},
    ),
]


def named(pairs: Any) -> dict[str, str]:
    return {pair.key: pair.value for pair in pairs}


def questions(request: Any) -> tuple[int, list[bytes]]:
    """The kind and the values of what is searched for."""
    (group,) = common_pb2.PlaceholderGroup.FromString(request.placeholder_group).placeholders
    return group.type, list(group.values)


@pytest.mark.parametrize("row", DOCUMENTED, ids=lambda row: f"{row[0].kind}-{row[0].analyzer}")
def test_what_is_sent_is_what_milvus_documents(
    stub_of: StubOf, tmp_path: Path, row: tuple[Any, ...]
) -> None:
    spec, settings, analyzer, built, searched = row
    stub, backend = stub_of("v3.0.0"), indexes[spec]
    place = Place("mox_recorded", tmp_path, stub.uri)
    backend.build(spec, Rows(texts=TEXTS), place)
    with backend.open(spec, place) as searcher:
        ids, scores = searcher.search_texts(["a lantern", " "], k=2, settings=settings)
    schema = schema_pb2.CollectionSchema.FromString(stub.sent("CreateCollection").schema)
    text = next(field for field in schema.fields if field.name == "text")
    sent = named(text.type_params)
    assert json.loads(sent.pop("analyzer_params")) == analyzer
    assert sent == {"max_length": "65535", "enable_analyzer": "true"}
    (function,) = schema.functions
    assert function.type == schema_pb2.FunctionType.BM25
    assert (list(function.input_field_names), list(function.output_field_names)) == (
        ["text"],
        ["sparse"],
    )
    index = stub.sent("CreateIndex")
    assert index.field_name == "sparse"
    assert named(index.extra_params) == {"index_type": spec.kind, "metric_type": "BM25", **built}
    inserted = {field.field_name: field for field in stub.sent("Insert").fields_data}
    assert set(inserted) == {"id", "text"}, "the sparse field is the function's to fill"
    assert list(inserted["text"].scalars.string_data.data) == TEXTS
    request = stub.sent("Search")
    assert named(request.search_params)["anns_field"] == "sparse"
    assert json.loads(named(request.search_params)["params"]) == searched
    assert questions(request) == (common_pb2.PlaceholderType.VarChar, [b"a lantern"])
    # A server's BM25 is a score, where Lite's is a distance; an empty question isn't asked.
    assert ids.tolist() == [[1, -1], [-1, -1]]
    assert scores[0, 0] == 0.5


@pytest.mark.parametrize(
    ("fusion", "strategy", "params"),
    [
        ({"kind": "rrf", "k": 7}, "rrf", {"k": 7}),
        (
            {"kind": "weighted", "weight": 0.25},
            "weighted",
            {"weights": [0.25, 0.75], "norm_score": True},
        ),
        (
            {"kind": "weighted", "weight": 0.25, "normalise": "none"},
            "weighted",
            {"weights": [0.25, 0.75], "norm_score": False},
        ),
    ],
)
def test_a_hybrid_search_is_one_request_of_both_sides(
    stub_of: StubOf, tmp_path: Path, fusion: Any, strategy: str, params: Any
) -> None:
    spec = MilvusHybrid(vector=Hnsw(m=8, ef_construction=40))
    stub, backend = stub_of("v2.6.0"), indexes[spec]
    place = Place("mox_recorded", tmp_path, stub.uri)
    vectors = np.eye(3, 4, dtype=np.float32)
    vectors[1] = 0
    backend.build(spec, Rows(vectors, texts=TEXTS), place)
    with backend.open(spec, place) as searcher:
        searcher.search_pairs(
            Asked(vectors[:1], ["a lantern"]),
            k=2,
            depth=9,
            fusion=engine_fusion(spec, fusion),
            settings=spec.Search(ef=20, drop_ratio_search=0.1),
        )
    inserted = {field.field_name: field for field in stub.sent("Insert").fields_data}
    assert list(inserted["directed"].scalars.int_data.data) == [1, 0, 1]
    held = np.array(inserted["vector"].vectors.float_vector.data).reshape(3, 4)
    assert (held[1] == held[0]).all(), "a stand-in, which the dense side passes over"
    request = stub.sent("HybridSearch")
    ranked = named(request.rank_params)
    assert (ranked["strategy"], ranked["limit"]) == (strategy, "2")
    assert json.loads(ranked["params"]) == params
    dense, lexical = request.requests
    for one, field in ((dense, "vector"), (lexical, "sparse")):
        sent = named(one.search_params)
        assert (sent["anns_field"], sent["topk"]) == (field, "9")
    assert dense.dsl == "directed > 0"
    assert lexical.dsl == ""
    assert json.loads(named(dense.search_params)["params"]) == {"ef": 20}
    assert json.loads(named(lexical.search_params)["params"]) == {"drop_ratio_search": 0.1}
    assert questions(lexical) == (common_pb2.PlaceholderType.VarChar, [b"a lantern"])


def test_a_question_of_one_side_is_weighed_by_that_sides_weight(
    stub_of: StubOf, tmp_path: Path
) -> None:
    spec = MilvusHybrid(vector=Hnsw())
    stub, backend = stub_of("v2.6.0"), indexes[spec]
    place = Place("mox_recorded", tmp_path, stub.uri)
    backend.build(spec, Rows(np.eye(3, 4, dtype=np.float32), texts=TEXTS), place)
    fusion = engine_fusion(spec, {"kind": "weighted", "weight": 0.25})
    blind = Asked(np.zeros((1, 4), dtype=np.float32), ["a lantern"])
    with backend.open(spec, place) as searcher:
        searcher.search_pairs(blind, k=2, depth=9, fusion=fusion, settings=spec.Search())
    request = stub.sent("HybridSearch")
    assert len(request.requests) == 1
    assert json.loads(named(request.rank_params)["params"])["weights"] == [0.75]


@pytest.mark.parametrize("holds", ["texts", "pairs"])
def test_a_build_that_the_engine_refuses_half_way_leaves_no_collection(
    stub_of: StubOf, tmp_path: Path, holds: str
) -> None:
    stub = stub_of("v2.6.0")
    refused = {"error_code": common_pb2.ErrorCode.UnexpectedError, "reason": "no", "code": 1100}
    stub._CreateIndex = lambda _: refused
    place = Place("mox_recorded", tmp_path, stub.uri)
    spec = SparseInvertedIndex() if holds == "texts" else MilvusHybrid(vector=Hnsw())
    vectors = None if holds == "texts" else np.eye(3, 4, dtype=np.float32)
    with pytest.raises(EngineError, match="refused: no"):
        indexes[spec].build(spec, Rows(vectors, texts=TEXTS), place)
    assert stub.sent("DropCollection").collection_name == place.name
    stub._schema = schema_pb2.CollectionSchema()
    with pytest.raises(EngineError, match="has mox_recorded already"):
        indexes[spec].build(spec, Rows(vectors, texts=TEXTS), place)
    drops = [name for name, _ in stub.requests if name == "DropCollection"]
    assert len(drops) == 1, "what was there before stays"
