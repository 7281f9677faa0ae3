"""Memory: the median of what releases gave back, against a formula, within a stated tolerance."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mox.bench.memory import Resident, formula_bytes, native_bytes, resident, table
from mox.errors import EngineError
from mox.indexes import indexes
from mox.indexes.exact import Exact
from mox.spec import IndexSpec
from mox.types import Place, Rows


def test_a_formula_is_held_to_the_median_release() -> None:
    found = Resident("FLAT", 1_000, 10, 100.0, (90.0, 110.0, 300.0), 250.0)
    assert found.resident_mb == 110.0
    assert found.off == pytest.approx(-0.0909, abs=1e-4)
    assert found.holds
    assert not Resident("FLAT", 1_000, 10, 130.0, (100.0,), 250.0).holds
    assert "not within 15 %" in table([Resident("FLAT", 1_000, 10, 130.0, (100.0,), 250.0)])


def test_formulas_by_hand() -> None:
    """facts: FLAT n·d·4; HNSW n·(d·4 + 8·M + 16); IVF_SQ8 n·(d + 8) + (nlist + 2)·d·4; IVF_PQ
    n·(m + 8) + (nlist + 256)·d·4. Milvus' segments hold 40 bytes a row beside it, and a cell's
    codes waste a page, or an eighth of a small block."""
    rows, dims = 100_000, 384
    for settings, index, wasted in (
        ({"kind": "FLAT"}, 153_600_000, 0),
        ({"kind": "HNSW", "m": 16}, 100_000 * (1_536 + 128 + 16), 0),
        ({"kind": "IVF_SQ8", "nlist": 1_024}, 100_000 * 392 + 1_026 * 1_536, 1_024 * 4_096),
        ({"kind": "IVF_PQ", "nlist": 256, "pq_m": 32}, 4_000_000 + 512 * 1_536, 598_304),
    ):
        spec = indexes.parse(settings)
        assert isinstance(spec, IndexSpec)
        assert formula_bytes(spec, rows, dims) == index + 4_000_000 + wasted


def test_the_heap_of_go_is_not_counted(tmp_path: Path) -> None:
    """Two mappings of C, 300 and 20 KiB, and one of Go's heap, laid out as proc(5) says."""
    listed = tmp_path / "smaps"
    listed.write_text(
        "00400000-00452000 r-xp 00000000 08:02 173521 /bin/milvus\nRss: 400 kB\nPss: 300 kB\n"
        "c000000000-c004000000 rw-p 00000000 00:00 0\nRss: 65536 kB\nPss: 65536 kB\n"
        "7f0000000000-7f0000100000 rw-p 00000000 00:00 0\nRss: 20 kB\nPss: 20 kB\n"
    )
    assert native_bytes(listed) == 320 * 1024
    with pytest.raises(EngineError, match="the server has ended"):
        native_bytes(tmp_path / "none")


def test_what_has_no_formula_is_named() -> None:
    with pytest.raises(EngineError, match="nothing is known of the memory that exact takes"):
        formula_bytes(Exact(), 10, 10)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's view of a process")
@pytest.mark.parametrize(
    "settings",
    [
        {"kind": "FLAT"},
        {"kind": "IVF_FLAT", "nlist": 1_024},
        {"kind": "IVF_SQ8", "nlist": 1_024},
        {"kind": "IVF_PQ", "nlist": 256, "pq_m": 96, "pq_nbits": 4},
        {"kind": "SCANN", "nlist": 1_024},
        {"kind": "HNSW", "ef_construction": 100},
    ],
    ids=lambda settings: settings["kind"],
)
def test_the_formula_is_what_milvus_holds_of_100_000_vectors(
    own_milvus: Any, tmp_path: Path, settings: dict[str, Any]
) -> None:
    """At 384 dimensions, by what releases give back, in a server started anew on the data."""
    rows, dims = 100_000, 384
    draw = np.random.default_rng(0)
    centres = draw.normal(size=(200, dims))
    vectors = centres[draw.integers(0, 200, rows)] + draw.normal(size=(rows, dims))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    spec = indexes.parse(settings)
    assert isinstance(spec, IndexSpec)
    own_milvus.up()
    indexes[spec].build(spec, Rows(vectors), Place("mox_memory", tmp_path, own_milvus.uri))
    own_milvus.kill()
    own_milvus.up()
    place = Place("mox_memory", tmp_path, own_milvus.uri)
    found = resident(spec, place, vectors[:100], pid=own_milvus.pid, rows=rows)
    assert found.holds, table([found])
