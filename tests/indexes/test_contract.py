"""Our own indexes, held to the contract: exact, and the six that Milvus Lite has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
)
from mox.testing.indexes import ROWS, IndexContract, Setup


def graphs(of: type[Hnsw | HnswSq]) -> Mapping[str, tuple[Setup, Setup]]:
    def setup(m: int, ef_construction: int, ef: int) -> Setup:
        return Setup(of(m=m, ef_construction=ef_construction), EfSearch(ef=ef))

    return {
        "m": (setup(2, 200, 10), setup(48, 200, 10)),
        "ef_construction": (setup(4, 4, 10), setup(4, 200, 10)),
        "ef": (setup(4, 200, 10), setup(4, 200, 200)),
    }


def cells(of: type[IvfFlat | IvfSq8]) -> Mapping[str, tuple[Setup, Setup]]:
    def setup(nlist: int, nprobe: int) -> Setup:
        return Setup(of(nlist=nlist), NprobeSearch(nprobe=nprobe))

    return {
        "nlist": (setup(4, 1), setup(256, 1)),
        "nprobe": (setup(64, 1), setup(64, 16)),
    }


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
    extremes = graphs(Hnsw)
    tolerance = 1e-5
    reaches_all = False


class TestHnswSq(IndexContract):
    spec = HnswSq(m=16, ef_construction=100)
    widest = EfSearch(ef=ROWS + 5)
    extremes = graphs(HnswSq)
    reaches_all = False


class TestAutoIndex(IndexContract):
    spec = AutoIndex()
    tolerance = 1e-5
    reaches_all = False


class TestIvfFlat(IndexContract):
    spec = IvfFlat(nlist=32)
    widest = NprobeSearch(nprobe=32)
    extremes = cells(IvfFlat)
    tolerance = 1e-5


class TestIvfSq8(IndexContract):
    spec = IvfSq8(nlist=32)
    widest = NprobeSearch(nprobe=32)
    extremes = cells(IvfSq8)


class TestIvfFlatByUri(TestIvfFlat):
    """The same over the wire, from a server that reads nested parameters only."""

    @pytest.fixture(scope="class")
    @classmethod
    def uri(cls, shared_lite_server: Any) -> str:
        return str(shared_lite_server.uri)
