"""Milvus' index types: their settings, their limits, and which engine has which."""

from mox.indexes.milvus.specs.base import MOST_HITS, MilvusSearch, MilvusSpec, RefineK
from mox.indexes.milvus.specs.binary import BinFlat, BinIvfFlat, MinHashLsh, MinHashSearch
from mox.indexes.milvus.specs.cells import (
    InvertedFile,
    IvfFlat,
    IvfPq,
    IvfRabitq,
    IvfSq8,
    NprobeSearch,
    RabitqSearch,
    RefinedNprobe,
    ReorderSearch,
    Scann,
)
from mox.indexes.milvus.specs.disk import Aisaq, AisaqSearch, DiskAnn, SearchList
from mox.indexes.milvus.specs.engines import check_engine, check_filter
from mox.indexes.milvus.specs.flat import AutoIndex, Flat
from mox.indexes.milvus.specs.gpu import (
    CagraSearch,
    GpuBruteForce,
    GpuCagra,
    GpuIvfFlat,
    GpuIvfPq,
    RefineRatio,
)
from mox.indexes.milvus.specs.graphs import EfSearch, Hnsw, HnswPq, HnswPrq, HnswSq, RefinedEf

SPECS: tuple[type[MilvusSpec], ...] = (
    Flat,
    IvfFlat,
    IvfSq8,
    IvfPq,
    IvfRabitq,
    Scann,
    Hnsw,
    HnswSq,
    HnswPq,
    HnswPrq,
    DiskAnn,
    Aisaq,
    AutoIndex,
    GpuBruteForce,
    GpuIvfFlat,
    GpuIvfPq,
    GpuCagra,
    BinFlat,
    BinIvfFlat,
    MinHashLsh,
)
"""All of dense vectors and of their signs."""

__all__ = [
    "MOST_HITS",
    "SPECS",
    "Aisaq",
    "AisaqSearch",
    "AutoIndex",
    "BinFlat",
    "BinIvfFlat",
    "CagraSearch",
    "DiskAnn",
    "EfSearch",
    "Flat",
    "GpuBruteForce",
    "GpuCagra",
    "GpuIvfFlat",
    "GpuIvfPq",
    "Hnsw",
    "HnswPq",
    "HnswPrq",
    "HnswSq",
    "InvertedFile",
    "IvfFlat",
    "IvfPq",
    "IvfRabitq",
    "IvfSq8",
    "MilvusSearch",
    "MilvusSpec",
    "MinHashLsh",
    "MinHashSearch",
    "NprobeSearch",
    "RabitqSearch",
    "RefineK",
    "RefineRatio",
    "RefinedEf",
    "RefinedNprobe",
    "ReorderSearch",
    "Scann",
    "SearchList",
    "check_engine",
    "check_filter",
]
