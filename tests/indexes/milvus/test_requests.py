"""What pymilvus really sends for every type, recorded by a stub server, against what Milvus
documents: also for what no engine here has.

The names and values were taken by hand from tables of Milvus' documentation and of its engine
(knowhere, `src/index`); the pages themselves were read for the GPU types, AISAQ and DISKANN.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mox.errors import SpecError
from mox.indexes import indexes
from mox.indexes.milvus import build
from mox.indexes.milvus.client import connected
from mox.indexes.milvus.specs import (
    SPECS,
    Aisaq,
    AisaqSearch,
    AutoIndex,
    BinFlat,
    BinIvfFlat,
    CagraSearch,
    DiskAnn,
    EfSearch,
    Flat,
    GpuBruteForce,
    GpuCagra,
    GpuIvfFlat,
    GpuIvfPq,
    Hnsw,
    HnswPq,
    HnswPrq,
    HnswSq,
    IvfFlat,
    IvfPq,
    IvfRabitq,
    IvfSq8,
    MilvusSearch,
    MilvusSpec,
    MinHashLsh,
    MinHashSearch,
    NprobeSearch,
    RabitqSearch,
    RefinedEf,
    RefinedNprobe,
    RefineRatio,
    ReorderSearch,
    Scann,
    SearchList,
)
from mox.testing.vectors import clustered
from mox.types import Place, Rows, Where

ROWS, K = 300, 5
GPU = "v3.0.0-gpu"
StubOf = Callable[[str], Any]

# Ours → the metric, the build parameters and the search parameters as documented.
DOCUMENTED: list[tuple[MilvusSpec, MilvusSearch, str, dict[str, str], dict[str, Any]]] = [
    (Flat(), MilvusSearch(), "COSINE", {}, {}),
    (AutoIndex(), MilvusSearch(), "COSINE", {}, {}),
    (IvfFlat(nlist=8), NprobeSearch(nprobe=2), "COSINE", {"nlist": "8"}, {"nprobe": 2}),
    (IvfSq8(nlist=8), RefinedNprobe(nprobe=2), "COSINE", {"nlist": "8"}, {"nprobe": 2}),
    (
        IvfSq8(nlist=8, sq_type="SQ4", refine=True, refine_type="SQ8"),
        RefinedNprobe(nprobe=2, refine_k=3),
        "COSINE",
        {"nlist": "8", "sq_type": "SQ4", "refine": "true", "refine_type": "SQ8"},
        {"nprobe": 2, "refine_k": 3.0},
    ),
    (
        IvfPq(nlist=8, pq_m=4, pq_nbits=6),
        RefinedNprobe(nprobe=2),
        "COSINE",
        {"nlist": "8", "m": "4", "nbits": "6"},
        {"nprobe": 2},
    ),
    (
        IvfRabitq(nlist=8, refine=True, refine_type="SQ6"),
        RabitqSearch(nprobe=2, refine_k=2, rbq_query_bits=4),
        "COSINE",
        {"nlist": "8", "refine": "true", "refine_type": "SQ6"},
        {"nprobe": 2, "refine_k": 2.0, "rbq_query_bits": 4, "rbq_bits_query": 4},
    ),
    (
        IvfRabitq(nlist=8, rbq_bits=3),
        RabitqSearch(nprobe=2),
        "COSINE",
        {"nlist": "8", "rbq_bits": "3"},
        {"nprobe": 2, "rbq_query_bits": 0, "rbq_bits_query": 0},
    ),
    (
        Scann(nlist=8),
        ReorderSearch(nprobe=2, reorder_k=50),
        "COSINE",
        {"nlist": "8", "with_raw_data": "true"},
        {"nprobe": 2, "reorder_k": 50},
    ),
    (
        Scann(nlist=8, with_raw_data=False, sub_dim=4),
        ReorderSearch(nprobe=2),
        "COSINE",
        {"nlist": "8", "with_raw_data": "false", "sub_dim": "4"},
        {"nprobe": 2, "reorder_k": K},
    ),
    (
        Hnsw(m=8, ef_construction=40),
        EfSearch(ef=20),
        "COSINE",
        {"M": "8", "efConstruction": "40"},
        {"ef": 20},
    ),
    (
        HnswSq(m=8, ef_construction=40, sq_type="SQ4U", refine=True, refine_type="SQ4U"),
        RefinedEf(ef=20, refine_k=1.5),
        "COSINE",
        {
            "M": "8",
            "efConstruction": "40",
            "sq_type": "SQ4U",
            "refine": "true",
            "refine_type": "SQ4U",
        },
        {"ef": 20, "refine_k": 1.5},
    ),
    (
        HnswPq(m=8, ef_construction=40, pq_m=4, pq_nbits=6, refine=True, refine_type="BF16"),
        RefinedEf(ef=20),
        "COSINE",
        {
            "M": "8",
            "efConstruction": "40",
            "m": "4",
            "nbits": "6",
            "refine": "true",
            "refine_type": "BF16",
        },
        {"ef": 20},
    ),
    (
        HnswPrq(m=8, ef_construction=40, pq_m=4, nrq=3, pq_nbits=6),
        RefinedEf(ef=20),
        "COSINE",
        {"M": "8", "efConstruction": "40", "m": "4", "nrq": "3", "nbits": "6"},
        {"ef": 20},
    ),
    (DiskAnn(), SearchList(search_list=30), "COSINE", {}, {"search_list": 30}),
    (
        DiskAnn(
            max_degree=32,
            search_list_size=80,
            pq_code_budget_gb_ratio=0.2,
            search_cache_budget_gb_ratio=0.2,
        ),
        SearchList(search_list=30, beamwidth=4),
        "COSINE",
        {
            "max_degree": "32",
            "search_list_size": "80",
            "pq_code_budget_gb_ratio": "0.2",
            "search_cache_budget_gb_ratio": "0.2",
        },
        {"search_list": 30, "beamwidth": 4},
    ),
    (
        Aisaq(max_degree=32, inline_pq=16, rearrange=False, pq_read_io_engine="uring"),
        AisaqSearch(search_list=30, vectors_beamwidth=2),
        "COSINE",
        {
            "max_degree": "32",
            "search_list_size": "100",
            "inline_pq": "16",
            "pq_cache_size": "0",
            "rearrange": "false",
            "pq_read_io_engine": "uring",
            "num_entry_points": "100",
            "pq_read_page_cache_size": "5242880",
        },
        {"search_list": 30, "beamwidth": 2, "vectors_beamwidth": 2},
    ),
    # The GPU types have no cosine: of vectors of length 1 the inner product is one.
    (GpuBruteForce(), MilvusSearch(), "IP", {}, {}),
    (
        GpuIvfFlat(nlist=8, cache_dataset_on_device=True, kmeans_n_iters=5),
        NprobeSearch(nprobe=2),
        "IP",
        {"nlist": "8", "cache_dataset_on_device": "true", "kmeans_n_iters": "5"},
        {"nprobe": 2},
    ),
    (
        GpuIvfPq(nlist=8, pq_m=4, pq_nbits=5),
        RefineRatio(nprobe=2, refine_ratio=2),
        "IP",
        {"nlist": "8", "m": "4", "nbits": "5", "cache_dataset_on_device": "false"},
        {"nprobe": 2, "refine_ratio": 2.0},
    ),
    (
        GpuCagra(intermediate_graph_degree=64, graph_degree=32, build_algo="IVF_PQ"),
        CagraSearch(itopk_size=128, search_width=4, team_size=8),
        "IP",
        {
            "intermediate_graph_degree": "64",
            "graph_degree": "32",
            "build_algo": "IVF_PQ",
            "nn_descent_niter": "20",
            "cache_dataset_on_device": "false",
            "adapt_for_cpu": "false",
        },
        {
            "itopk_size": 128,
            "search_width": 4,
            "min_iterations": 0,
            "max_iterations": 0,
            "team_size": 8,
            "refine_ratio": 1.0,
        },
    ),
    (
        GpuCagra(adapt_for_cpu=True),
        CagraSearch(ef=20),
        "IP",
        {
            "intermediate_graph_degree": "128",
            "graph_degree": "64",
            "build_algo": "NN_DESCENT",
            "nn_descent_niter": "20",
            "cache_dataset_on_device": "false",
            "adapt_for_cpu": "true",
        },
        {"ef": 20},
    ),
    (BinFlat(metric="JACCARD"), MilvusSearch(), "JACCARD", {}, {}),
    (BinIvfFlat(nlist=8), NprobeSearch(nprobe=2), "HAMMING", {"nlist": "8"}, {"nprobe": 2}),
]


def named(pairs: Any) -> dict[str, str]:
    return {pair.key: pair.value for pair in pairs}


def test_every_type_is_in_the_table() -> None:
    assert {type(row[0]) for row in DOCUMENTED} | {MinHashLsh} == set(SPECS)


@pytest.mark.parametrize("row", DOCUMENTED, ids=lambda row: f"{row[0].kind}-{row[1]}")
def test_what_is_sent_is_what_milvus_documents(
    stub_of: StubOf, tmp_path: Path, row: tuple[Any, ...]
) -> None:
    spec, settings, metric, built, searched = row
    stub, backend = stub_of(GPU), indexes[spec]
    place = Place("mox_recorded", tmp_path, stub.uri)
    vectors, queries = clustered(ROWS, 3)
    backend.build(spec, Rows(vectors), place)
    with backend.open(spec, place) as searcher:
        searcher.search(queries, k=K, settings=settings)
    sent = named(stub.sent("CreateIndex").extra_params)
    assert sent == {"index_type": spec.kind, "metric_type": metric, **built}
    request = stub.sent("Search")
    assert (request.nq, named(request.search_params)["topk"]) == (3, str(K))
    assert json.loads(named(request.search_params)["params"]) == searched
    assert "metric_type" not in named(request.search_params)


def test_minhash_is_translated_though_mox_makes_no_signatures(
    stub_of: StubOf, tmp_path: Path
) -> None:
    spec = MinHashLsh(mh_lsh_band=4, mh_element_bit_width=32, with_raw_data=True)
    stub = stub_of(GPU)
    place = Place("mox_recorded", tmp_path, stub.uri)
    with connected(place) as link:
        build.index(link, spec, rows=0, patience_s=5)
    assert named(stub.sent("CreateIndex").extra_params) == {
        "index_type": "MINHASH_LSH",
        "metric_type": "MHJACCARD",
        "mh_lsh_band": "4",
        "mh_element_bit_width": "32",
        "mh_lsh_aligned_block_size": "4096",
        "mh_lsh_code_in_mem": "true",
        "mh_lsh_shared_bloom_filter": "false",
        "mh_lsh_bloom_false_positive_prob": "0.01",
        "with_raw_data": "true",
    }
    assert MinHashSearch(mh_search_with_jaccard=True, refine_k=2).engine_params(K) == {
        "mh_search_with_jaccard": True,
        "refine_k": 2,
        "mh_lsh_batch_search": False,
    }
    with pytest.raises(SpecError, match="MinHash signatures"):
        indexes[spec].build(spec, Rows(clustered(ROWS, 1)[0]), place)


def test_bits_go_out_packed_with_the_first_dimension_highest(
    stub_of: StubOf, tmp_path: Path
) -> None:
    """By hand: signs + - - - - - - - | + + 0 - - - - + are 1000 0000 and 1100 0001."""
    vectors = np.full((2, 16), -1, dtype=np.float32)
    vectors[:, [0, 8, 9, 15]] = 1
    vectors[:, 10] = 0
    stub, spec = stub_of(GPU), BinFlat()
    place = Place("mox_recorded", tmp_path, stub.uri)
    indexes[spec].build(spec, Rows(vectors), place)
    (field,) = [f for f in stub.sent("Insert").fields_data if f.field_name == "vector"]
    assert field.vectors.dim == 16
    assert field.vectors.binary_vector == bytes([0b10000000, 0b11000001] * 2)
    with indexes[spec].open(spec, place) as searcher:
        _, scores = searcher.search(vectors[:1], k=1, settings=MilvusSearch())
    assert bytes([0b10000000, 0b11000001]) in stub.sent("Search").placeholder_group
    assert scores[0, 0] == 1 - 2 * 0.5 / 16, "the stub says that half a bit differs"


def test_fields_go_out_as_whole_numbers_and_filters_as_text(
    stub_of: StubOf, tmp_path: Path
) -> None:
    stub, spec = stub_of(GPU), IvfFlat(nlist=8)
    place = Place("mox_recorded", tmp_path, stub.uri)
    vectors, queries = clustered(ROWS, 1)
    numbers = np.arange(ROWS, dtype=np.int16) % 7
    indexes[spec].build(spec, Rows(vectors, fields={"n": numbers}), place)
    (field,) = [f for f in stub.sent("Insert").fields_data if f.field_name == "n"]
    assert list(field.scalars.long_data.data) == numbers.tolist()
    with indexes[spec].open(spec, place) as searcher:
        searcher.search(queries, k=1, settings=NprobeSearch(), where=Where("n", 3))
    assert stub.sent("Search").dsl == "n < 3"


@pytest.mark.parametrize(("version", "nested"), [("milvus_lite-3.2.2", True), ("v2.4.0", False)])
def test_build_parameters_are_nested_for_lite_alone(
    stub_of: StubOf, tmp_path: Path, version: str, nested: bool
) -> None:
    """Lite reads them only from the JSON text under `params`, and ignores what stands flat."""
    stub = stub_of(version)
    with connected(Place("mox_recorded", tmp_path, stub.uri)) as link:
        build.index(link, Hnsw(m=8, ef_construction=40), rows=0, patience_s=5)
    sent = named(stub.sent("CreateIndex").extra_params)
    assert (sent["M"], sent["efConstruction"]) == ("8", "40")
    assert ("params" in sent) is nested
    if nested:
        assert json.loads(sent["params"]) == {"M": 8, "efConstruction": 40}
