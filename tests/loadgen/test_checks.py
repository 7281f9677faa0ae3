"""What of loads is refused when the plan is made, held to the engine that is there by then."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mox
from mox.errors import SpecError

LITE, SERVER = "milvus_lite-3.2.2", "v2.3.5"
SPEED = {"maximise": "recall@5", "within": 0.1, "prefer": {"minimise": "p95_ms"}}
StubOf = Callable[[str], Any]


def experiment(corpus: Path, index: dict[str, Any], **load: Any) -> dict[str, Any]:
    return {
        "name": "load",
        "corpus": {"kind": "evidence", "path": str(corpus)},
        "axes": {
            "chunk": [{"kind": "recursive", "size": 40}],
            "embed": [{"kind": "hashing", "dims": 64}],
            "index": [index],
            "search": [{"kind": "dense", "k": 5}],
            "load": [{"clients": 1, "seconds": 0.2, "rounds": 2, **load}],
        },
        "measure": ["recall@5"],
    }


def planned_at(stub: Any, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """An experiment at a server whose version is remembered from here on."""
    monkeypatch.setenv("MOX_MILVUS_URI", stub.uri)
    asked = experiment(corpus, {"kind": "HNSW"})
    mox.plan(asked)
    return asked


def test_lite_where_a_server_was_before_is_no_more_chosen_by_its_speed(
    small_corpus: Path, stub_of: StubOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub = stub_of(SERVER)
    asked = planned_at(stub, small_corpus, monkeypatch)
    stub.version = LITE
    with pytest.raises(SpecError, match="choosing by p95_ms over HNSW in Milvus Lite"):
        mox.plan({**asked, "choose": SPEED})


def test_a_server_where_lite_was_before_is_chosen_by_its_speed(
    small_corpus: Path, stub_of: StubOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub = stub_of(LITE)
    asked = planned_at(stub, small_corpus, monkeypatch)
    stub.version = SERVER
    assert mox.plan({**asked, "choose": SPEED}).trials


def test_a_filter_that_an_engine_answers_wrongly_is_refused_before_anything_is_built(
    small_corpus: Path, stub_of: StubOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub = stub_of(SERVER)
    monkeypatch.setenv("MOX_MILVUS_URI", stub.uri)
    pq = {"kind": "IVF_PQ", "pq_m": 8, "nlist": 64}
    with pytest.raises(
        SpecError, match=r"milvus 2\.3\.5 mixes up the rows of IVF_PQ under"
    ) as said:
        mox.plan(experiment(small_corpus, pq, selectivity=[1.0, 0.1]))
    assert "filter on another type" in said.value.mend
    assert mox.plan(experiment(small_corpus, pq)).trials, "without a filter it may be built"
    stub.version = "v2.4.0"
    assert mox.plan(experiment(small_corpus, pq, selectivity=0.1)).trials
