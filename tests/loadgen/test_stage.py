"""The axis `load` and its stage: what it multiplies, what is measured, what fails and what goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import mox

EXPERIMENT: dict[str, Any] = {
    "name": "load",
    "axes": {
        "chunk": [{"kind": "recursive", "size": 40}],
        "embed": [{"kind": "hashing", "dims": 64}],
        "index": [{"kind": "exact"}, {"kind": "HNSW", "m": 2, "ef_construction": 10}],
        "search": [{"kind": "dense", "k": 5, "ef": [5, 60]}],
        "load": [{"clients": [1, 2], "seconds": 0.2, "rounds": 2}],
    },
    "measure": ["recall@5"],
}


def experiment(corpus: Path, **axes: Any) -> dict[str, Any]:
    return {
        **EXPERIMENT,
        "corpus": {"kind": "evidence", "path": str(corpus)},
        "axes": {**EXPERIMENT["axes"], **axes},
    }


def clients() -> list[psutil.Process]:
    return [
        one
        for one in psutil.process_iter(["cmdline"])
        if "mox.loadgen.client" in (one.info["cmdline"] or [])
    ]


@pytest.fixture(scope="module")
def ran(small_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[mox.Results]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOX_HOME", str(tmp_path_factory.mktemp("state")))
        yield mox.run(experiment(small_corpus), offline=True, quiet=True)
