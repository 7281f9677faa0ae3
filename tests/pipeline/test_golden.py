"""What stages make of a fixed input: when a digest moves, so must the stage's version."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mox
from mox.pipeline.stages import MEASURED, VERSIONS

GOLDEN = {
    ("chunk", 1): "f95a4cf0d2027533",
    ("embed", 1): "de06a8545f3e8107",
    ("exact", 1): "e89195a5e42cea8c",
    ("fuse", 2): "c57638e209e27f21",
    ("lexical", 1): "30c6febb16161a9c",
    ("queries", 1): "4836251215d5cff1",
    ("questions", 1): "bcb0f73086ff5de4",
    ("score", 1): "f4566c6099944730",
    ("search", 1): "c602492c256430d5",
    ("tokens", 1): "eea02294902f3cce",
}


def digest(kind: str, arrays: dict[str, Any]) -> str:
    """Of all arrays; floats rounded, since BLAS differs in the last bits between machines."""
    state = hashlib.sha256(kind.encode())
    for name in sorted(arrays):
        array = arrays[name]
        if array.dtype.kind == "f":
            array = np.round(np.nan_to_num(array.astype(np.float64), neginf=-9.0), 4) + 0.0
        state.update(name.encode() + str(array.shape).encode() + array.tobytes())
    return state.hexdigest()[:16]


@pytest.mark.timeout(120)
def test_a_stages_output_moves_only_with_its_version(small_corpus: Path) -> None:
    results = mox.run(
        {
            "name": "golden",
            "corpus": {"kind": "evidence", "path": str(small_corpus)},
            "axes": {
                "chunk": [{"kind": "recursive", "size": 24}],
                "embed": [{"kind": "hashing", "dims": 64}],
                "index": [{"kind": "exact"}, {"kind": "HNSW", "m": 4}],
                "search": [{"kind": "dense", "k": 5, "ef": 16}, {"kind": "hybrid", "k": 5}],
            },
            "measure": ["recall@5", "ndcg@60t", "mrr@5", "iou@60t"],
        },
        offline=True,
        quiet=True,
    )
    store = results.store
    found: dict[tuple[str, int], list[str]] = {}
    for kind, key in store.held():
        if kind in ("documents", "build"):
            continue  # the one holds the folder's name, the other lives in the engine
        made = digest(kind, store.read(kind, key).arrays)
        found.setdefault((kind, VERSIONS[kind]), []).append(made)
    combined = {
        stage: hashlib.sha256("".join(sorted(parts)).encode()).hexdigest()[:16]
        for stage, parts in found.items()
    }
    # `mox bench growth` has the two stages of larger collections; tests/bench looks at them.
    elsewhere = {"documents", "build", "rehearse", "grow", *MEASURED}
    assert {kind for kind, _ in combined} == set(VERSIONS) - elsewhere
    assert combined == GOLDEN
