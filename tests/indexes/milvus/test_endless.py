"""Indexes that a server takes, cannot build, and tries again for ever: ended, dropped, and said
why. On a real Milvus, 2.3.5."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

import mox
from mox.errors import EngineError
from mox.indexes.milvus.backend import MilvusBackend
from mox.indexes.milvus.client import connected
from mox.indexes.milvus.specs import DiskAnn, Hnsw, MilvusSpec, Scann
from mox.testing.vectors import ROWS, clustered
from mox.types import Place, Rows

pytestmark = pytest.mark.timeout(400)
PATIENCE_S = 8.0


class WithBoolean(Scann):
    """As pymilvus sends it when it is given Python's own `True`."""

    def engine_params(self) -> dict[str, Any]:
        return {"nlist": self.nlist, "with_raw_data": True}


def refused(spec: MilvusSpec, place: Place) -> EngineError:
    impatient = MilvusBackend(patience_s=lambda _: PATIENCE_S)
    started = time.monotonic()
    with pytest.raises(EngineError, match="still indexing") as caught:
        impatient.build(spec, Rows(clustered(ROWS, 1)[0]), place)
    assert time.monotonic() - started < PATIENCE_S + 20
    return caught.value


def collections(uri: str) -> list[str]:
    with connected(Place("", Path(), uri)) as link:
        return [str(name) for name in link.client.list_collections(timeout=5)]


def test_diskann_on_a_server_without_it_is_ended_dropped_and_its_reason_told(
    milvus_server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason is in the log, which is ours to read where `mox up` started the server."""
    monkeypatch.setenv("MOX_HOME", str(milvus_server.home))
    place = Place("mox_endless", tmp_path, milvus_server.uri)
    said = refused(DiskAnn(), place).message
    assert f"after {PATIENCE_S:.0f} s as DISKANN (0 of {ROWS} rows, InProgress, " in said
    assert "bad_function_call" in said
    assert place.name not in collections(milvus_server.uri)


def test_where_the_log_is_not_ours_the_limit_is_told(milvus_server: Any, tmp_path: Path) -> None:
    place = Place("mox_elsewhere", tmp_path, milvus_server.uri)
    assert "its API gives no reason" in refused(DiskAnn(), place).message
    assert place.name not in collections(milvus_server.uri)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        (WithBoolean(nlist=16), "type conflict in json"),
        (Hnsw.model_construct(m=1, ef_construction=100), "failed to allocate linklist"),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
def test_what_a_spec_cannot_ask_any_more_would_be_ended_too(
    milvus_server: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    spec: MilvusSpec,
    reason: str,
) -> None:
    monkeypatch.setenv("MOX_HOME", str(milvus_server.home))
    place = Place("mox_endless", tmp_path, milvus_server.uri)
    assert reason in refused(spec, place).message
    assert place.name not in collections(milvus_server.uri)


@pytest.mark.slow
def test_the_trial_fails_with_its_reason_and_the_sweep_goes_on(
    milvus_server: Any, small_corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two minutes: the whole patience of a sweep."""
    monkeypatch.setenv("MOX_MILVUS_URI", milvus_server.uri)
    results = mox.run(
        {
            "name": "endless",
            "corpus": {"kind": "evidence", "path": str(small_corpus)},
            "axes": {
                "chunk": {"kind": "recursive", "size": 40},
                "embed": {"kind": "hashing"},
                "index": [{"kind": "DISKANN"}, {"kind": "FLAT"}],
                "search": {"kind": "dense", "k": 5},
            },
            "measure": ["recall@5"],
        }
    )
    trials = results.run.trials
    outcome = {results.params(t)["index.kind"]: (t.status, t.error or "") for t in trials}
    assert outcome["FLAT"][0] == "FINISHED"
    assert outcome["DISKANN"][0] == "FAILED"
    assert "still indexing" in outcome["DISKANN"][1]
    assert len([name for name in collections(milvus_server.uri) if name.startswith("mox_")]) == 1
