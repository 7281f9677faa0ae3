"""Sizes by formula, which stand for what a server doesn't tell."""

from __future__ import annotations

from typing import Any

import pytest

from mox.indexes.milvus.specs import (
    Aisaq,
    AutoIndex,
    BinFlat,
    BinIvfFlat,
    DiskAnn,
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
    MinHashLsh,
    Scann,
)


@pytest.mark.parametrize(
    ("spec", "expected"),
    # By hand from Milvus' own formulas, for 1,000 rows of 128 dimensions (512 bytes a vector).
    [
        (Flat(), 512_000),
        (Hnsw(m=16), 1_000 * (512 + 128 + 16)),
        (HnswSq(m=16), 1_000 * (128 + 128 + 16)),
        (HnswSq(m=16, sq_type="SQ6"), 1_000 * (96 + 128 + 16)),
        (HnswSq(m=16, refine=True, refine_type="FP16"), 1_000 * (128 + 128 + 16 + 256)),
        (HnswPq(m=16, pq_m=8), 1_000 * (8 + 128 + 16) + 256 * 512),
        (HnswPrq(m=16, pq_m=8, nrq=3), 1_000 * (24 + 128 + 16) + 3 * 256 * 512),
        (IvfFlat(nlist=10), 512_000 + 5_120 + 8_000),
        (IvfSq8(nlist=10), 128_000 + 5_120 + 1_024 + 8_000),
        (IvfSq8(nlist=10, sq_type="SQ4"), 64_000 + 5_120 + 1_024 + 8_000),
        (IvfPq(nlist=10, pq_m=8), 1_000 * (8 + 8) + 5_120 + 256 * 512),
        (IvfPq(nlist=10, pq_m=8, pq_nbits=4), 1_000 * (4 + 8) + 5_120 + 16 * 512),
        (IvfRabitq(nlist=10), 1_000 * (16 + 16) + 5_120),
        (IvfRabitq(nlist=10, refine=True), 1_000 * (16 + 16) + 5_120 + 512_000),
        (Scann(nlist=10), 32_000 + 8_000 + 5_120 + 512_000),
        (Scann(nlist=10, with_raw_data=False), 32_000 + 8_000 + 5_120),
        (DiskAnn(), 115_200),
        (Aisaq(pq_cache_size=5_000), 5_000),
        (AutoIndex(), 1_000 * (512 + 144 + 16)),
        (GpuBruteForce(), 512_000),
        (GpuIvfFlat(nlist=10), 512_000 + 5_120 + 8_000),
        (GpuIvfPq(nlist=10, pq_m=8), 1_000 * (8 + 8) + 5_120),
        (GpuCagra(graph_degree=32), 1_000 * (512 + 128)),
        (BinFlat(), 16_000),
        (BinIvfFlat(nlist=10), 16_000 + 160 + 8_000),
        (MinHashLsh(mh_lsh_band=2), 32_000),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
def test_sizes_by_formula(spec: Any, expected: int) -> None:
    assert spec.formula_bytes(1_000, 128) == expected


def test_what_lies_on_the_disk_is_counted_apart() -> None:
    assert DiskAnn(max_degree=32).disk_bytes(1_000, 100) == 1_000 * (400 + 128)
    assert Aisaq(max_degree=32).disk_bytes(1_000, 100) == 1_000 * (400 + 128)
    assert Hnsw().disk_bytes(1_000, 100) == 0
