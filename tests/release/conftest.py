"""A small sweep over every kind of search, made once; each test gets a copy of its folder."""

from __future__ import annotations

import base64
import json
import shutil
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import mox
from mox.pipeline.store import Store
from mox.results import Results
from mox.results import run as runs
from mox.tracking import server

EXPERIMENT = """\
name: books
corpus: {kind: evidence, path: corpus}
axes:
  chunk: [{kind: recursive, size: 16}]
  embed: [{kind: hashing, dims: 64}]
  index: [{kind: exact}, {kind: HNSW, m: 4}]
  search:
    - {kind: dense, k: 5, ef: 16}
    - {kind: bm25, k: 5}
    - {kind: hybrid, k: 5, ef: 64}
measure: [recall@5, ndcg@30t]
choose: {maximise: ndcg@30t, within: 0.2, prefer: {minimise: index_mb}}
"""
WORDS = ("river", "mountain", "copper", "lantern", "harbour", "winter", "violin", "saddle")


def write_corpus(folder: Path) -> None:
    """Eight books of four sentences, two questions a book."""
    folder.mkdir(parents=True)
    documents, questions = [], []
    for at in range(8):
        words = [[WORDS[(at * 3 + row * 5 + n * n) % 8] for n in range(6)] for row in range(4)]
        lines = [f"Sentence {n} of book {at}: {' '.join(row)}." for n, row in enumerate(words)]
        text = "\n\n".join(lines)
        documents.append({"id": f"book-{at}", "text": text, "uri": f"shelf:{at}"})
        for row in (0, 2):
            start = text.index(lines[row])
            span = {"document": f"book-{at}", "start": start, "end": start + len(lines[row])}
            asked = f"which book {at} has {' '.join(words[row][:3])}"
            split = "dev" if at % 2 else "test"
            questions.append(
                {"id": f"q-{at}-{row}", "text": asked, "evidence": [span], "split": split}
            )
    for name, rows in (("documents", documents), ("questions", questions)):
        raw = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(raw, encoding="utf-8")


@pytest.fixture(scope="session")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `e.yaml`, `corpus` and a `state` that holds one run, and an MLflow store."""
    folder = tmp_path_factory.mktemp("swept")
    write_corpus(folder / "corpus")
    (folder / "e.yaml").write_text(EXPERIMENT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOX_HOME", str(folder / "state"))
        patch.setenv("MOX_WORKERS", "1")
        results = mox.run(folder / "e.yaml", offline=True, quiet=True)
    assert [trial.status for trial in results.run.trials] == ["FINISHED"] * 5
    return folder


@pytest.fixture(scope="session")
def empty_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new store's SQLite file: making one costs seconds."""
    folder = tmp_path_factory.mktemp("mlflow")
    server.prepare(f"sqlite:///{folder}/mlflow.db", "unused", folder)
    return folder / "mlflow.db"


@pytest.fixture
def here(swept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the swept folder, whose state is the test's."""
    folder = tmp_path / "here"
    shutil.copytree(swept, folder)
    monkeypatch.setenv("MOX_HOME", str(folder / "state"))
    return folder


@pytest.fixture
def results(here: Path) -> Results:
    store = Store(here / "state")
    run = next(runs.every(store))
    return Results(replace(run, file=str(here / "e.yaml")), store)


def changed(results: Results, **changes: Any) -> Results:
    return Results(replace(results.run, **changes), results.store)


@pytest.fixture
def change() -> Any:
    """The same artifacts under another record."""
    return changed


def coded(text: str, encoding: str | None) -> Any:
    """How often each of eight letters stands in it."""
    counts = [float(text.count(letter)) for letter in "aeiourst"]
    packed = base64.b64encode(struct.pack("<8f", *counts)).decode()
    return packed if encoding == "base64" else counts


class Proxy:
    """An embeddings API that notes which key it was sent and how many texts; each is one token,
    unless `count` says otherwise."""

    def __init__(self) -> None:
        self.keys: list[str | None] = []
        self.asked: list[int] = []
        self.count: Callable[[str], int] = lambda text: 1
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                outer.keys.append(self.headers.get("authorization"))
                outer.asked.append(len(body["input"]))
                rows = [
                    {"index": at, "embedding": coded(text, body.get("encoding_format"))}
                    for at, text in enumerate(body["input"])
                ]
                tokens = sum(map(outer.count, body["input"]))
                raw = json.dumps({"data": rows, "usage": {"prompt_tokens": tokens}}).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)


@pytest.fixture(scope="module")
def proxy() -> Iterator[Proxy]:
    """An embeddings API at a port of its own."""
    served = Proxy()
    yield served
    served.close()
