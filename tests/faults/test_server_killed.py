"""The server of `mox up milvus` killed in mid-build: what needed it is FAILED with the reason, the
rest goes on, and what is left behind is found."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import mox
from mox import api
from mox.errors import EngineError

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def experiment(corpus: Path) -> dict[str, Any]:
    return {
        "name": "killed",
        "corpus": {"kind": "evidence", "path": str(corpus)},
        "axes": {
            "chunk": [{"kind": "fixed", "size": [20, 22, 24]}],
            "embed": [{"kind": "hashing", "dims": 64}],
            "index": [{"kind": "exact"}, {"kind": "FLAT"}],
            "search": [{"kind": "dense", "k": 5}, {"kind": "bm25", "k": 5}],
        },
        "measure": "recall@5",
    }


def collections(uri: str) -> set[str]:
    from pymilvus import MilvusClient

    client = MilvusClient(uri, timeout=10, dedicated=True)
    try:
        return set(client.list_collections(timeout=5))
    finally:
        client.close()


@contextmanager
def killed_in_mid_build(server: Any, home: Path) -> Iterator[None]:
    """Once one build is stored, and the next has its collection on the server."""

    def wait() -> None:
        until = time.monotonic() + 300
        while time.monotonic() < until:
            stored = {path.name[:20] for path in home.glob("artifacts/build/[!.]*")}
            begun = {name.rsplit("_", 1)[-1] for name in collections(server.uri)}
            if stored and begun - stored:
                break
            time.sleep(0.05)
        server.kill()

    killer = threading.Thread(target=wait)
    killer.start()
    try:
        yield
    finally:
        killer.join(320)


def test_killed_in_mid_build(
    own_milvus: Any, corpus_writer: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = own_milvus.home
    corpus = corpus_writer(home.parent / "corpus-killed", documents=60)
    monkeypatch.setenv("MOX_HOME", str(home))
    monkeypatch.setenv("MOX_WORKERS", "1")
    server = own_milvus.up()
    asked = experiment(corpus)
    with killed_in_mid_build(server, home):
        lost = mox.run(asked, offline=True, quiet=True)
    ends: dict[str, set[str]] = {"exact": set(), "FLAT": set(), "bm25": set()}
    for trial in lost.run.trials:
        params = lost.params(trial)
        ends[params.get("index.kind", params["search.kind"])].add(trial.status)
        if trial.status == "FAILED":
            assert f"Milvus at {server.uri} is away" in (trial.error or "")
            assert "`mox up milvus` started it here, and it has ended" in (trial.error or "")
            assert not lost.store.has(*trial.roles["score"])
    assert ends["exact"] == ends["bm25"] == {"FINISHED"}
    assert "FAILED" in ends["FLAT"]
    with pytest.raises(EngineError, match="has gone since"):
        mox.run(asked, offline=True, quiet=True)
    assert not list(home.glob("services/indexes/*.db")), "Milvus Lite never took its place"

    back = own_milvus.up()
    stored = {path.name[:20] for path in home.glob("artifacts/build/[!.]*")}
    kept = collections(back.uri)
    assert {name.rsplit("_", 1)[-1] for name in kept} > stored, "kept, and one half built"
    half = {name for name in kept if name.rsplit("_", 1)[-1] not in stored}
    swept = api.gc(forget=[lost.run.id])
    assert swept.whole
    assert collections(back.uri) == set(), "nothing is left behind"
    assert half <= {orphan.name for orphan in swept.found.orphans}

    again = mox.run(asked, offline=True, quiet=True)
    assert {trial.status for trial in again.run.trials} == {"FINISHED"}
    assert again.run.id == lost.run.id
