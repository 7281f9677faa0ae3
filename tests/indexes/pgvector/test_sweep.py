"""Whole sweeps with PostgreSQL in them: beside Milvus Lite, killed in the midst, and collected.

Two of them are slow, by hand with -m slow; what they rest on is tested in tests/services.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import psycopg
import pytest

import mox
from mox import api
from mox.errors import EngineError
from mox.indexes.held import in_postgres
from mox.pipeline.store import Store
from mox.results import Results
from mox.results.document import document
from mox.services import postgres

Struck = Callable[..., AbstractContextManager[None]]
pytestmark = pytest.mark.timeout(170)


def experiment(corpus: Path, index: list[dict[str, Any]], sizes: Any = 24) -> dict[str, Any]:
    return {
        "name": "pg",
        "corpus": {"kind": "evidence", "path": str(corpus)},
        "axes": {
            "chunk": [{"kind": "fixed", "size": sizes}],
            "embed": [{"kind": "hashing", "dims": 64}],
            "index": index,
            "search": [{"kind": "dense", "k": 5}, {"kind": "bm25", "k": 5}],
        },
        "measure": "recall@5",
    }


def sweep(corpus: Path, *index: dict[str, Any], sizes: Any = 24) -> Results:
    return mox.run(experiment(corpus, list(index), sizes), offline=True, quiet=True)


def embedded(home: Path) -> Path:
    return home / "services" / "indexes" / "postgres"


@pytest.fixture
def home(own_state: Path, postgres_copy: Callable[[Path], None]) -> Iterator[Path]:
    """A state folder whose embedded server has run before; ended with the test."""
    postgres_copy(embedded(own_state))
    yield own_state
    postgres.stop(embedded(own_state))


def tables(home: Path, uri: str | None = None) -> list[str]:
    prefix = f"mox_{Store(home).id}_"
    return [one.name for one in in_postgres(home / "services" / "indexes", uri, prefix)]


def outcome(results: Results) -> dict[str, Any]:
    return {
        trial.id: [trial.status, results.questions(trial.id).document()]
        for trial in results.run.trials
    }


def test_beside_exact_search_and_milvus_lite_it_finds_the_same(
    small_corpus: Path, home: Path
) -> None:
    ours = [{"kind": "pgvector"}, {"kind": "pgvector_hnsw"}]
    every = [{"kind": "exact"}, {"kind": "HNSW"}, *ours, {"kind": "pgvector_ivfflat", "lists": 1}]
    results = sweep(small_corpus, *every)
    trials = {
        results.params(trial).get("index.kind", "bm25"): trial for trial in results.run.trials
    }
    assert {trial.status for trial in trials.values()} == {"FINISHED"}
    shown = {one["id"]: one for one in document(results)["trials"]}
    for kind in ("pgvector", "pgvector_hnsw", "pgvector_ivfflat"):
        assert shown[trials[kind].id]["engine"] == postgres.engine()
        costs = shown[trials[kind].id]["costs"]
        assert costs["recall_of_exact@5"] == 1.0, kind
        assert costs["index_mb_is"] == "measured"
        assert 0 < costs["build_s"] < 60
        found, truth = results.hits(trials[kind]), results.hits(trials["exact"])
        assert abs(found.scores - truth.scores).max() < 1e-6, "the same cosines in each place"
    assert shown[trials["exact"].id]["engine"] is None, "it is no engine's"
    assert shown[trials["HNSW"].id]["engine"]["engine"] == "milvus-lite"
    postgres.stop(embedded(home))
    again = sweep(small_corpus, *every)
    assert again.run.stages["run"] == 0
    assert postgres.running(embedded(home)) is None, "hits that are stored open no engine"


def test_a_server_that_is_killed_and_stays_away_fails_what_needs_it_and_nothing_else(
    struck: Struck,
    small_corpus: Path,
    own_state: Path,
    postgres_copy: Callable[[Path], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A server by URI, which nobody starts again until the sweep is over."""
    monkeypatch.setenv("MOX_WORKERS", "1")
    folder = tmp_path / "server" / "postgres"
    postgres_copy(folder)
    sizes = list(range(18, 22))
    with postgres.serving(folder) as uri:
        monkeypatch.setenv("MOX_POSTGRES_URI", uri)
        pid = int((folder / "data" / "postmaster.pid").read_text().splitlines()[0])
        with struck(own_state, 2, lambda: os.kill(pid, signal.SIGKILL)):
            lost = sweep(small_corpus, {"kind": "exact"}, {"kind": "pgvector"}, sizes=sizes)
    by_kind: dict[str, set[str]] = {}
    for trial in lost.run.trials:
        kind = lost.params(trial).get("index.kind", "bm25")
        by_kind.setdefault(kind, set()).add(trial.status)
        if trial.status == "FAILED":
            assert "PostgreSQL at postgresql://" in (trial.error or "")
            assert "is away or does not answer" in (trial.error or "")
    assert by_kind == {
        "exact": {"FINISHED"},
        "bm25": {"FINISHED"},
        "pgvector": {"FINISHED", "FAILED"},
    }
    with pytest.raises(EngineError, match="is away or does not answer"):
        sweep(small_corpus, {"kind": "exact"}, {"kind": "pgvector"}, sizes=sizes)
    with postgres.serving(folder) as again:
        assert again == uri
        back = sweep(small_corpus, {"kind": "exact"}, {"kind": "pgvector"}, sizes=sizes)
        assert back.run.id == lost.run.id
        assert {trial.status for trial in back.run.trials} == {"FINISHED"}
        found = outcome(back)
        monkeypatch.setenv("MOX_HOME", str(tmp_path / "undisturbed"))
        assert found == outcome(
            sweep(small_corpus, {"kind": "exact"}, {"kind": "pgvector"}, sizes=sizes)
        )
    postgres.stop(folder)


@pytest.mark.slow
def test_the_embedded_server_killed_in_mid_sweep_is_there_again_for_the_next_stage(
    struck: Struck, small_corpus: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOX_WORKERS", "1")
    asked = [{"kind": "pgvector"}]

    def strike() -> None:
        pid = (embedded(home) / "data" / "postmaster.pid").read_text().splitlines()[0]
        os.kill(int(pid), signal.SIGKILL)

    sizes = list(range(18, 22))
    with struck(home, 2, strike):
        first = sweep(small_corpus, *asked, sizes=sizes)
    failed = [trial for trial in first.run.trials if trial.status == "FAILED"]
    assert len(failed) <= 1, [trial.error for trial in failed]
    assert all("the embedded PostgreSQL in" in (trial.error or "") for trial in failed)
    assert {t.status for t in sweep(small_corpus, *asked, sizes=sizes).run.trials} == {"FINISHED"}


@pytest.mark.slow
def test_a_sweep_that_is_killed_leaves_no_server(
    small_corpus: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of its processes with -9; the server outlives them by its idle time at most."""
    script = (
        "import mox\n"
        "from mox.services import postgres\n"
        f"mox.run({experiment(small_corpus, [{'kind': 'pgvector'}], list(range(12, 32)))!r},"
        " offline=True, quiet=True)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], start_new_session=True)
    until = time.monotonic() + 60
    while len(list(home.glob("artifacts/build/*"))) < 2:
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.02)
    assert postgres.running(embedded(home)) is not None
    process.kill()  # and its workers die with it
    process.wait(20)
    until = time.monotonic() + postgres.IDLE_S + 20
    while postgres.running(embedded(home)) is not None:
        assert time.monotonic() < until
        time.sleep(0.2)


@pytest.mark.parametrize("where", ["embedded", "server"])
def test_gc_drops_the_tables_of_what_nothing_keeps_and_no_others(
    small_corpus: Path,
    home: Path,
    postgres_uri: str,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
) -> None:
    uri = postgres_uri if where == "server" else None
    if uri:
        monkeypatch.setenv("MOX_POSTGRES_URI", uri)
    first = sweep(small_corpus, {"kind": "pgvector"})
    second = sweep(small_corpus, {"kind": "pgvector_hnsw"})
    assert len(tables(home, uri)) == 2
    orphan = f"mox_{Store(home).id}_{'0' * 20}"
    with postgres.serving(embedded(home)) as own, psycopg.connect(uri or own) as connection:
        connection.execute(f"create table mox.{orphan} (id int4)")
        connection.execute(
            "create table if not exists mox.mox_other1_0 (id int4)"
        )  # another store's
        connection.execute("create table public.mine (id int4)")
    dry = api.gc(dry_run=True, forget=[first.run.id])
    assert [one.name for one in dry.found.orphans] == [orphan]
    assert len(tables(home, uri)) == 3
    swept = api.gc(forget=[first.run.id])
    assert swept.whole, swept.text()
    [kept] = tables(home, uri)
    build = next(trial.roles["build"] for trial in second.run.trials if "build" in trial.roles)
    assert kept == f"mox_{Store(home).id}_{build.key[:20]}"
    with postgres.serving(embedded(home)) as own, psycopg.connect(uri or own) as connection:
        names = {name for (name,) in connection.execute("select tablename from pg_tables")}
        assert {"mox_other1_0", "mine"} <= names
        connection.execute("drop table mox.mox_other1_0; drop table public.mine")
    assert mox.run(
        experiment(small_corpus, [{"kind": "pgvector_hnsw"}]), offline=True, quiet=True
    ).run.stages["run"] == 0  # fmt: skip


def test_a_table_on_a_server_stays_while_no_server_is_named(
    small_corpus: Path, own_state: Path, postgres_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOX_POSTGRES_URI", postgres_uri)
    run = sweep(small_corpus, {"kind": "pgvector"}).run
    monkeypatch.delenv("MOX_POSTGRES_URI")
    swept = api.gc(forget=[run.id])
    assert not swept.whole
    assert "MOX_POSTGRES_URI isn't set" in swept.text()
    monkeypatch.setenv("MOX_POSTGRES_URI", postgres_uri)
    assert api.gc().whole
    assert tables(own_state, postgres_uri) == []


def test_a_server_that_is_away_is_said_by_gc_and_doctor(
    own_state: Path, monkeypatch: pytest.MonkeyPatch, free: int
) -> None:
    from mox.cli.doctor import examine

    monkeypatch.setenv("MOX_POSTGRES_URI", f"postgresql://me:geheimnis@127.0.0.1:{free}/db")
    swept = api.gc()
    assert not swept.whole
    assert f"127.0.0.1:{free}/db is away" in swept.text()
    [said] = [check for check in examine() if check.name == "postgres"]
    assert (said.state, "is away" in said.said) == ("broken", True)
    assert "geheimnis" not in swept.text() + said.said + said.mend


def test_doctor_says_which_postgres_there_is(
    monkeypatch: pytest.MonkeyPatch, own_state: Path, postgres_uri: str
) -> None:
    from mox.cli.doctor import examine

    for uri in (None, postgres_uri):
        if uri:
            monkeypatch.setenv("MOX_POSTGRES_URI", uri)
        [said] = [check for check in examine() if check.name == "postgres"]
        assert said.state == "ok"
        assert postgres.engine()["pgvector"] in said.said
    assert not (own_state / "services" / "indexes" / "postgres").exists(), "nothing was started"
