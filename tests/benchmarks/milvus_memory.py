"""Resident memory of Milvus 2.3.5's index types against their formulas, at 100,000 vectors.

    python tests/benchmarks/milvus_memory.py            # all of them
    python tests/benchmarks/milvus_memory.py IVF_PQ

Some three minutes a type, most of it building; a busy machine makes it longer, not wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mox.bench.memory import Resident

KINDS: dict[str, dict[str, int]] = {  # of 8 bits, IVF_PQ takes 7 minutes to learn its codes
    "FLAT": {},
    "IVF_FLAT": {"nlist": 1024},
    "IVF_SQ8": {"nlist": 1024},
    "IVF_PQ": {"nlist": 256, "pq_m": 96, "pq_nbits": 4},
    "SCANN": {"nlist": 1024},
    "HNSW": {"m": 16, "ef_construction": 100},
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("kinds", nargs="*", default=list(KINDS))
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dims", type=int, default=384)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    from mox.bench.memory import table

    found: list[Resident] = []
    for kind in asked.kinds:
        with tempfile.TemporaryDirectory(prefix="mox-memory-") as folder:
            os.environ["MOX_HOME"] = folder
            found.append(one(kind, asked.rows, asked.dims, Path(folder)))
        print(table(found[-1:]), file=sys.stderr, flush=True)
    print(json.dumps([item.document() for item in found]) if asked.json else table(found))


def one(kind: str, rows: int, dims: int, root: Path) -> Resident:
    """Build on one server, look at another on the same data."""
    import numpy as np

    from mox.bench.memory import resident
    from mox.indexes import indexes
    from mox.services.updown import down, up
    from mox.spec import IndexSpec
    from mox.types import Place, Rows

    draw = np.random.default_rng(0)
    centres = draw.normal(size=(200, dims))
    vectors = centres[draw.integers(0, 200, rows)] + draw.normal(size=(rows, dims))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    spec = indexes.parse({"kind": kind, **KINDS[kind]})
    assert isinstance(spec, IndexSpec)
    try:
        place = Place("mox_memory", root, up("milvus", root, say=print_error).uri)
        indexes[spec].build(spec, Rows(vectors), place)
        down("milvus", root)
        server = up("milvus", root, say=print_error)
        there = Place("mox_memory", root, server.uri)
        return resident(spec, there, vectors[:100], pid=server.pid, rows=rows)
    finally:
        down("milvus", root)


def print_error(said: str) -> None:
    print(said, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
