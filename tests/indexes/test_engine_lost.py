"""A sweep on a server by URI: what it finds is Lite's, and a server lost in mid-sweep is FAILED."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import mox
from mox.errors import EngineError

pytestmark = pytest.mark.timeout(170)


def experiment(corpus: Path, builds: int) -> dict[str, Any]:
    return {
        "name": "lost",
        "corpus": {"kind": "evidence", "path": str(corpus)},
        "axes": {
            "chunk": [{"kind": "fixed", "size": 24}],
            "embed": [{"kind": "hashing", "dims": 64}],
            "index": [
                {"kind": "exact"},
                {"kind": "HNSW", "m": 8, "ef_construction": list(range(20, 20 + builds))},
            ],
            "search": [{"kind": "dense", "k": 5, "ef": 20}, {"kind": "bm25", "k": 5}],
        },
        "measure": "recall@5",
    }


def test_a_server_that_is_away_is_said_within_seconds(
    small_corpus: Path, free: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOX_MILVUS_URI", f"http://127.0.0.1:{free}")
    began = time.monotonic()
    with pytest.raises(EngineError, match="is away or does not answer"):
        mox.plan(experiment(small_corpus, 1))
    assert time.monotonic() - began < 15


def test_lost_in_mid_sweep_is_failed_and_never_scored(
    small_corpus: Path, lite_server: Any, monkeypatch: pytest.MonkeyPatch, own_state: Path
) -> None:
    monkeypatch.setenv("MOX_MILVUS_URI", lite_server.uri)
    monkeypatch.setenv("MOX_WORKERS", "1")

    def strike() -> None:
        until = time.monotonic() + 90
        while time.monotonic() < until and len(list(own_state.glob("artifacts/build/*"))) < 2:
            time.sleep(0.02)
        lite_server.send(signal.SIGKILL)

    striker = threading.Thread(target=strike)
    striker.start()
    results = mox.run(experiment(small_corpus, 12), offline=True, quiet=True)
    striker.join()
    by_kind: dict[str, set[str]] = {}
    for trial in results.run.trials:
        params = results.params(trial)
        kind = params.get("index.kind", params["search.kind"])
        by_kind.setdefault(kind, set()).add(trial.status)
    assert by_kind["exact"] == by_kind["bm25"] == {"FINISHED"}, "its neighbours go on"
    assert by_kind["HNSW"] == {"FINISHED", "FAILED"}
    for trial in results.run.trials:
        if trial.status == "FAILED":
            assert trial.error
            assert "Milvus" in trial.error
            assert not results.store.has(*trial.roles["score"])


def test_a_server_finds_what_lite_finds(
    small_corpus: Path, lite_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = mox.run(experiment(small_corpus, 1), offline=True, quiet=True)
    monkeypatch.setenv("MOX_MILVUS_URI", lite_server.uri)
    there = mox.run(experiment(small_corpus, 1), offline=True, quiet=True)
    assert [t.status for t in there.run.trials] == ["FINISHED"] * 3
    again = mox.load(there.run.id)
    assert again.run.stages["run"] > 0
    for ours, theirs in zip(here.finished, there.finished, strict=True):
        assert ours.id == theirs.id
        assert (here.hits(ours).ids == there.hits(theirs).ids).all()
