"""A sweep on a server by URI: what it finds is Lite's. A server that is away at the start is
refused by name; one lost in mid-sweep is FAILED and never a score; back again, the same call
completes what is left, equal to a run that nothing disturbed."""

from __future__ import annotations

import shutil
import signal
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

import mox
from mox.errors import EngineError
from mox.results import Results
from mox.results.document import document

Struck = Callable[..., AbstractContextManager[None]]
pytestmark = pytest.mark.timeout(400)
BUILDS = 8
RELAY = Path(__file__).with_name("relay.py")


def experiment(corpus: Path, builds: int, kind: str = "HNSW") -> dict[str, Any]:
    """So many builds: by a setting of HNSW's, or by the chunking."""
    hnsw = {"kind": "HNSW", "m": 8, "ef_construction": list(range(20, 20 + builds))}
    sizes = 24 if kind == "HNSW" else list(range(18, 18 + builds))
    return {
        "name": "lost",
        "corpus": {"kind": "evidence", "path": str(corpus)},
        "axes": {
            "chunk": [{"kind": "fixed", "size": sizes}],
            "embed": [{"kind": "hashing", "dims": 64}],
            "index": [{"kind": "exact"}, hnsw if kind == "HNSW" else {"kind": kind}],
            "search": [{"kind": "dense", "k": 5, **({"ef": 20} if kind == "HNSW" else {})},
                       {"kind": "bm25", "k": 5}],
        },
        "measure": "recall@5",
    }  # fmt: skip


def sweep(corpus: Path, builds: int = BUILDS, kind: str = "HNSW") -> Results:
    return mox.run(experiment(corpus, builds, kind), offline=True, quiet=True)


def only_what_needed_it_failed(results: Results, needs: str = "HNSW") -> None:
    """FAILED by name, without a score, and its neighbours are FINISHED."""
    by_kind: dict[str, set[str]] = {}
    for trial in results.run.trials:
        params = results.params(trial)
        kind = params.get("index.kind", params["search.kind"])
        by_kind.setdefault(kind, set()).add(trial.status)
    assert by_kind == {
        "exact": {"FINISHED"},
        "bm25": {"FINISHED"},
        needs: {"FINISHED", "FAILED"},
    }
    shown = {trial["id"]: trial for trial in document(results)["trials"]}
    for trial in results.run.trials:
        if trial.status == "FAILED":
            assert "Milvus at http://127.0.0.1" in (trial.error or "")
            assert not results.store.has(*trial.roles["score"])
            assert shown[trial.id]["metrics"] == {}


def outcome(results: Results) -> dict[str, Any]:
    """Each trial's end: its status, what each question found, and its scores."""
    return {
        trial.id: [trial.status, results.questions(trial.id).document()]
        for trial in results.run.trials
    }


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory, corpus_writer: Callable[..., Path]) -> Path:
    return corpus_writer(tmp_path_factory.mktemp("lost") / "corpus")


@pytest.fixture(scope="module")
def undisturbed(
    corpus: Path, shared_lite_server: Any, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """What the sweep comes to on a server that stays, in a store of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOX_MILVUS_URI", shared_lite_server.uri)
        patch.setenv("MOX_HOME", str(tmp_path_factory.mktemp("undisturbed")))
        found = outcome(sweep(corpus))
    assert {status for status, _ in found.values()} == {"FINISHED"}
    return found


def test_a_server_that_is_away_is_said_within_seconds(
    corpus: Path, free: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOX_MILVUS_URI", f"http://127.0.0.1:{free}")
    began = time.monotonic()
    with pytest.raises(EngineError, match="is away or does not answer"):
        mox.plan(experiment(corpus, 1))
    assert time.monotonic() - began < 15


@pytest.mark.parametrize("data", ["kept", "lost"])
def test_killed_in_mid_sweep_and_back_again(
    struck: Struck,
    data: str,
    corpus: Path,
    start_lite: Callable[[], Any],
    monkeypatch: pytest.MonkeyPatch,
    own_state: Path,
    undisturbed: dict[str, Any],
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("MOX_WORKERS", "1")
    server = start_lite()
    monkeypatch.setenv("MOX_MILVUS_URI", server.uri)
    with struck(own_state, 2, lambda: server.send(signal.SIGKILL)):
        lost = sweep(corpus)
    only_what_needed_it_failed(lost)
    with pytest.raises(EngineError, match="is away"):  # still away: refused, nothing is scored
        sweep(corpus)
    server.process.wait(20)
    if data == "lost":
        shutil.rmtree(tmp_path / "data")
    start_lite()
    back = sweep(corpus)
    assert back.run.id == lost.run.id
    assert back.run.stages["run"] < lost.run.stages["total"]
    assert outcome(back) == undisturbed


def test_cut_off_from_a_server_that_lives_on(
    struck: Struck,
    corpus: Path,
    shared_lite_server: Any,
    start_process: Callable[..., Any],
    free: int,
    monkeypatch: pytest.MonkeyPatch,
    own_state: Path,
    undisturbed: dict[str, Any],
) -> None:
    """What was half built there is in nobody's way when the wire is mended."""
    monkeypatch.setenv("MOX_WORKERS", "1")
    monkeypatch.setenv("MOX_MILVUS_URI", f"http://127.0.0.1:{free}")
    with pytest.raises(EngineError, match=f"Milvus at http://127.0.0.1:{free} is away"):
        sweep(corpus)
    assert not list(own_state.glob("artifacts/*/*")), "refused before anything ran"
    assert not list(own_state.glob("runs/*"))
    port = shared_lite_server.uri.rpartition(":")[2]

    def connect() -> Any:
        return start_process([sys.executable, str(RELAY), str(free), port], free)

    wire = connect()
    with struck(own_state, 2, wire.kill):
        lost = sweep(corpus)
    only_what_needed_it_failed(lost)
    wire.wait(20)
    connect()
    assert outcome(sweep(corpus)) == undisturbed


@pytest.mark.slow
def test_a_real_server_killed_in_mid_sweep_and_back_again(
    struck: Struck,
    corpus_writer: Callable[..., Path],
    own_milvus: Any,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """FLAT, since HNSW's threads build another graph each time there."""
    corpus = corpus_writer(tmp_path / "corpus", documents=200, paragraphs=8)  # 1,024 rows or more
    asked = (corpus, 4, "FLAT")
    monkeypatch.setenv("MOX_WORKERS", "1")
    server = own_milvus.up()
    monkeypatch.setenv("MOX_MILVUS_URI", server.uri)
    home = tmp_path / "struck"
    monkeypatch.setenv("MOX_HOME", str(home))
    with struck(home, 2, server.kill):
        only_what_needed_it_failed(sweep(*asked), "FLAT")
    with pytest.raises(EngineError, match="is away"):
        sweep(*asked)
    server.up()
    back = outcome(sweep(*asked))
    monkeypatch.setenv("MOX_HOME", str(tmp_path / "undisturbed"))
    assert back == outcome(sweep(*asked))


def test_what_was_planned_for_another_engine_is_not_built_in_this_one(
    corpus: Path, shared_lite_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its key stands for the engine that the plan was made for, such as before `mox up milvus`."""
    made = mox.plan(experiment(corpus, 1))
    monkeypatch.setenv("MOX_MILVUS_URI", shared_lite_server.uri)
    results = mox.run(made, offline=True, quiet=True)
    [failed] = [trial for trial in results.run.trials if trial.status != "FINISHED"]
    assert results.params(failed)["index.kind"] == "HNSW"
    assert "this was planned for milvus-lite 3" in (failed.error or "")


def test_a_server_finds_what_lite_finds(
    corpus: Path, lite_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = mox.run(experiment(corpus, 1), offline=True, quiet=True)
    monkeypatch.setenv("MOX_MILVUS_URI", lite_server.uri)
    there = mox.run(experiment(corpus, 1), offline=True, quiet=True)
    assert [t.status for t in there.run.trials] == ["FINISHED"] * 3
    again = mox.load(there.run.id)
    assert again.run.stages["run"] > 0
    for ours, theirs in zip(here.finished, there.finished, strict=True):
        assert ours.id == theirs.id
        assert (here.hits(ours).ids == there.hits(theirs).ids).all()
