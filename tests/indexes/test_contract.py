"""Our own indexes, held to the contract: exact, and the six that Milvus Lite has."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from mox.indexes.exact import Exact
from mox.indexes.milvus.specs import (
    AutoIndex,
    EfSearch,
    Flat,
    Hnsw,
    HnswSq,
    IvfFlat,
    IvfSq8,
    NprobeSearch,
    RefinedEf,
    RefinedNprobe,
)
from mox.testing.indexes import IndexContract
from mox.testing.vectors import ROWS, Setup, differing

GRAPH_WHERE = {1: 0.3, 10: 0.9, 50: 0.95, 99: 0.95}
"""Of a graph that walks on and drops what doesn't pass: of 64 candidates too few are left."""
CELLS_WHERE = {1: 0.3, 10: 0.8, 50: 0.95, 99: 0.95}
"""Of 8 cells of 32, which hold a quarter of the few that pass."""


class TestExact(IndexContract):
    spec = Exact()
    recall = 1.0
    tolerance = 1e-6


class TestFlat(IndexContract):
    spec = Flat()
    recall = 0.999
    tolerance = 1e-5


class TestHnsw(IndexContract):
    spec = Hnsw(m=16, ef_construction=100)
    widest = EfSearch(ef=ROWS + 5)
    extremes = differing(
        Hnsw(m=4), EfSearch(ef=10), m=(2, 48), ef_construction=(4, 200), ef=(10, 200)
    )
    recall_where = GRAPH_WHERE
    tolerance = 1e-5
    reaches_all = False


class TestHnswSq(IndexContract):
    spec = HnswSq(m=16, ef_construction=100)
    widest = RefinedEf(ef=ROWS + 5)
    extremes = differing(
        HnswSq(m=4), RefinedEf(ef=10), m=(2, 48), ef_construction=(4, 200), ef=(10, 200)
    )
    absent: ClassVar = {
        "sq_type": Setup(HnswSq(sq_type="SQ6"), RefinedEf()),
        "refine": Setup(HnswSq(refine=True), RefinedEf()),
        "refine_type": Setup(HnswSq(refine=True, refine_type="FP16"), RefinedEf()),
        "refine_k": Setup(HnswSq(), RefinedEf(refine_k=2)),
    }
    recall_where = GRAPH_WHERE
    reaches_all = False


class TestAutoIndex(IndexContract):
    spec = AutoIndex()
    recall_where = GRAPH_WHERE
    tolerance = 1e-5
    reaches_all = False


class TestIvfFlat(IndexContract):
    spec = IvfFlat(nlist=32)
    widest = NprobeSearch(nprobe=32)
    extremes: ClassVar = {
        **differing(IvfFlat(), NprobeSearch(nprobe=1), nlist=(4, 256)),
        **differing(IvfFlat(nlist=64), NprobeSearch(), nprobe=(1, 16)),
    }
    recall_where = CELLS_WHERE
    tolerance = 1e-5


class TestIvfSq8(IndexContract):
    spec = IvfSq8(nlist=32)
    widest = RefinedNprobe(nprobe=32)
    extremes: ClassVar = {
        **differing(IvfSq8(), RefinedNprobe(nprobe=1), nlist=(4, 256)),
        **differing(IvfSq8(nlist=64), RefinedNprobe(), nprobe=(1, 16)),
    }
    absent: ClassVar = {
        "sq_type": Setup(IvfSq8(sq_type="SQ6"), RefinedNprobe()),
        "refine": Setup(IvfSq8(refine=True), RefinedNprobe()),
        "refine_type": Setup(IvfSq8(refine=True, refine_type="FP16"), RefinedNprobe()),
        "refine_k": Setup(IvfSq8(), RefinedNprobe(refine_k=2)),
    }
    recall_where = CELLS_WHERE


class TestIvfFlatByUri(TestIvfFlat):
    """The same over the wire, from a server that reads nested parameters only."""

    @pytest.fixture(scope="class")
    @classmethod
    def uri(cls, shared_lite_server: Any) -> str:
        return str(shared_lite_server.uri)
