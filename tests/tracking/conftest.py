"""A small sweep and an MLflow store, both made once; each test gets copies of its own."""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

import mox
from mox.pipeline.store import Store
from mox.results import Results, Run
from mox.results import run as runs
from mox.tracking import server
from mox.tracking.mirror import Mirrored, finish

EXPERIMENT = """\
name: books
corpus: {kind: evidence, path: corpus}
axes:
  chunk: [{kind: recursive, size: [12, 24]}]
  embed: [{kind: hashing, dims: 64}]
  index: [{kind: exact}]
  search: [{kind: dense, k: 5}, {kind: bm25, k: 5}]
measure: [recall@5, ndcg@30t]
choose: {maximise: ndcg@30t, within: 0.2, prefer: {minimise: index_mb}}
"""
WORDS = ("river", "mountain", "copper", "lantern", "harbour", "winter", "violin", "saddle")


def write_corpus(folder: Path) -> None:
    """Eight books of four sentences; two questions a book, and one that nothing answers."""
    folder.mkdir(parents=True)
    documents, questions = [], []
    for at in range(8):
        words = [[WORDS[(at + row * 3 + n) % 8] for n in range(6)] for row in range(4)]
        lines = [f"Sentence {n} of book {at}: {' '.join(row)}." for n, row in enumerate(words)]
        text = "\n\n".join(lines)
        documents.append({"id": f"book-{at}", "text": text})
        for row in (0, 2):
            start = text.index(lines[row])
            span = {"document": f"book-{at}", "start": start, "end": start + len(lines[row])}
            questions.append(
                {"id": f"q-{at}-{row}", "text": f"what says {' '.join(lines[row].split()[5:8])}",
                 "evidence": [span], "split": "dev" if at % 2 else "test"}
            )  # fmt: skip
    nothing = {"id": "q-none", "text": "who?", "evidence": [], "kind": "unanswerable"}
    questions.append({**nothing, "split": "dev", "group": "none"})
    for name, rows in (("documents", documents), ("questions", questions)):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")


@pytest.fixture(scope="session")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `e.yaml`, `corpus` and a `state` that holds one run of it, not mirrored."""
    folder = tmp_path_factory.mktemp("swept")
    write_corpus(folder / "corpus")
    (folder / "e.yaml").write_text(EXPERIMENT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOX_HOME", str(folder / "state"))
        patch.setenv("MOX_WORKERS", "1")
        results = mox.run(folder / "e.yaml", offline=True, quiet=True)
    assert [trial.status for trial in results.run.trials] == ["FINISHED"] * 4
    return folder


@pytest.fixture(scope="session")
def empty_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new store's SQLite file: making one costs seconds."""
    folder = tmp_path_factory.mktemp("mlflow")
    server.prepare(f"sqlite:///{folder}/mlflow.db", "unused", folder)
    with closing(sqlite3.connect(folder / "mlflow.db")) as opened:
        opened.execute("DELETE FROM experiments WHERE name = 'unused'")
        opened.commit()
    return folder / "mlflow.db"


@pytest.fixture
def root(swept: Path, empty_mlflow: Path, own_state: Path) -> Path:
    """A state folder with the run and a fresh MLflow store."""
    shutil.copytree(swept / "state", own_state)
    shutil.copyfile(empty_mlflow, own_state / "mlflow.db")
    return own_state


@pytest.fixture
def uri(root: Path) -> str:
    return server.tracking_uri(root)


@pytest.fixture
def results(root: Path) -> Results:
    store = Store(root)
    return Results(next(runs.every(store)), store)


def changed(results: Results, **changes: Any) -> Results:
    """The same artifacts under another record, kept in the store."""
    run = replace(results.run, **changes)
    runs.save(results.store, run)
    return Results(run, results.store)


class Written:
    """What stands in an MLflow store after a run was mirrored, by its own client."""

    def __init__(self, uri: str, found: Mirrored) -> None:
        self.client = server.client(uri)
        self.parent = self.client.get_run(found.parent_id)
        self.experiment_id = found.experiment_id

    def every(self) -> list[Any]:
        """All runs of the experiment."""
        return list(self.client.search_runs([self.experiment_id], max_results=5000))

    def trials(self) -> dict[str, Any]:
        """Child runs by trial."""
        children = [run for run in self.every() if run.data.tags["mox.kind"] == "trial"]
        found = {run.data.tags["mox.trial"]: run for run in children}
        assert len(found) == len(children)  # none stands there twice
        return found

    def artifact(self, run: Any, path: str, folder: Path) -> str:
        """An artifact's text."""
        folder.mkdir(parents=True, exist_ok=True)
        return Path(self.client.download_artifacts(run.info.run_id, path, str(folder))).read_text()


@pytest.fixture
def change() -> Any:
    return changed


@pytest.fixture
def mirrored(uri: str) -> Any:
    """Mirrors results and returns what stands in MLflow then."""

    def write(results: Results) -> Written:
        found = finish(results, uri)
        assert found is not None
        return Written(uri, found)

    return write


def rows(root: Path, table: str) -> list[tuple[Any, ...]]:
    """All rows of a table of the SQLite store, in order."""
    with closing(sqlite3.connect(root / "mlflow.db")) as opened:
        return sorted(opened.execute(f"SELECT * FROM {table}").fetchall(), key=repr)  # noqa: S608


@pytest.fixture
def table(root: Path) -> Any:
    return lambda name: rows(root, name)


@pytest.fixture
def run(results: Results) -> Run:
    return results.run


class Healthy(BaseHTTPRequestHandler):
    """Says OK at /health, and 404 elsewhere."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()
        self.wfile.write(b"OK")

    def log_message(self, *words: object) -> None:  # type: ignore[override]
        pass


@pytest.fixture
def healthy() -> Iterator[str]:
    """Host and port of a web server that is healthy, and no MLflow."""
    with HTTPServer(("127.0.0.1", 0), Healthy) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{served.server_address[1]}"
        served.shutdown()
