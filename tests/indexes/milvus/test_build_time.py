"""What a build's seconds hold: the build, and not a connection that is long in coming."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mox.indexes import indexes
from mox.indexes.milvus.hybrid import MilvusHybrid
from mox.indexes.milvus.specs import Hnsw
from mox.indexes.milvus.text import SparseInvertedIndex
from mox.spec import IndexSpec
from mox.testing.vectors import clustered
from mox.types import Place, Rows

VECTORS, _ = clustered(3, 1)
TEXTS = ["The copper lantern", "harbour", "a river"]
LATE_S = 0.5


@pytest.mark.parametrize(
    ("spec", "rows"),
    [
        (Hnsw(), Rows(VECTORS)),
        (SparseInvertedIndex(), Rows(texts=TEXTS)),
        (MilvusHybrid(vector=Hnsw()), Rows(VECTORS, texts=TEXTS)),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_connecting_is_no_part_of_it(
    spec: IndexSpec, rows: Rows, stub_of: Callable[[str], Any], tmp_path: Path
) -> None:
    stub = stub_of("v2.6.0")

    def late(_: Any) -> dict[str, Any]:
        time.sleep(LATE_S)
        return {}

    stub._Connect = late
    began = time.perf_counter()
    built = indexes[spec].build(spec, rows, Place("mox_late", tmp_path, stub.uri))
    took = time.perf_counter() - began
    assert took > LATE_S
    assert built.build_s < took - LATE_S
