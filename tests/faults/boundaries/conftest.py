"""One experiment that touches everything, called again and again and killed where one likes."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mox.pipeline.stages import TITLES
from mox.pipeline.store import Store

HOOK = Path(__file__).parent / "hook"
EXPERIMENT = """\
name: struck
corpus: {kind: evidence, path: corpus}
axes:
  chunk: [{kind: fixed, size: 24}]
  embed: [{kind: hashing, dims: 32}]
  index: [{kind: exact}, {kind: HNSW, m: 4}]
  search: [{kind: dense, k: 5, ef: 8}, {kind: hybrid, k: 5}]
measure: [ndcg@40t]
choose: {maximise: ndcg@40t, within: 0.1, prefer: {minimise: index_mb}}
"""
LIMIT_S = 120
"""Of one call: it takes seconds on a machine of its own."""
TIMINGS = re.compile(r"(^|[._])(seconds|build_s|digest)$")
TITLED = "|".join(TITLES.values())
VARYING = (
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\dZ)?|\d+(\.\d+)? s\b|(?<=struck-)[0-9a-f]{10}"
    rf"|(?<=\| )({TITLED})\s*\|[^\n]*"
)
"""Times of day, seconds, a release's checksum, which covers MLflow's ids, and the report's table of
how many stages a run did itself."""


class Caller:
    """The command line on one state folder, by a template that has the imports behind it."""

    def __init__(self, folder: Path, more: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.file = str(folder / "e.yaml")
        self._out = folder / "out"
        (folder / "tmp").mkdir()
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("MOX_", "MLFLOW_"))}
        environment = {
            **kept,
            "PYTHONPATH": str(HOOK),
            "MOX_HOME": str(self.home),
            "MOX_WORKERS": "1",
            "TMPDIR": str(folder / "tmp"),
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            **(more or {}),
        }
        self._template = subprocess.Popen(
            [sys.executable, str(HOOK / "template.py")],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def call(self, *words: str, **orders: Any) -> int:
        """`mox WORDS`, watched where there are orders; its exit status, negative if killed."""
        assert self._template.stdin
        assert self._template.stdout
        watch = {"FAULTS_WATCH": json.dumps({"home": str(self.home), **orders})} if orders else {}
        asked = {"words": words, "environment": watch, "out": str(self._out)}
        late = threading.Timer(LIMIT_S, self._end)
        late.start()
        try:
            self._template.stdin.write(json.dumps(asked) + "\n")
            self._template.stdin.flush()
            answer = self._template.stdout.readline()
        finally:
            late.cancel()
        assert answer, f"mox {' '.join(words)} {orders}: no end in {LIMIT_S} s\n{self.said()}"
        return int(answer)

    def said(self) -> str:
        """What the last call wrote to standard error."""
        return Path(f"{self._out}.err").read_text(errors="replace")

    def document(self, *words: str) -> Any:
        """What a call prints as JSON; the last call's without words."""
        if words:
            assert self.call(*words, "--json") in (0, 1), self.said()
        return json.loads(self._out.read_text())

    def met(self, *words: str) -> Counter[str]:
        """A call that is only watched: how often it meets each boundary."""
        log = self.folder / "log"
        log.write_text("")
        assert self.call(*words, log=str(log)) == 0, self.said()
        return Counter(log.read_text().splitlines())

    def keep(self, name: str) -> None:
        """Keep a copy of the state."""
        kept = self.folder / "kept" / name
        kept.mkdir(parents=True)
        if self.home.exists():
            shutil.copytree(self.home, kept / "home")

    def back_to(self, name: str) -> None:
        """The state as it was kept; at the same path, which MLflow has in its database."""
        shutil.rmtree(self.home, ignore_errors=True)
        if (kept := self.folder / "kept" / name / "home").exists():
            shutil.copytree(kept, self.home)

    def forget(self, *kinds: str) -> None:
        """Remove the artifacts of some stages, which the next run has to do again."""
        for kind in kinds:
            shutil.rmtree(self.home / "artifacts" / kind)

    def held(self) -> list[str]:
        """The artifacts and collections of the state, whole or in part."""
        found = [*self.home.glob("artifacts/*/*"), *self.home.glob("services/indexes/*")]
        return sorted(str(path.relative_to(self.home)) for path in found)

    def results(self) -> dict[str, Any]:
        """All that a run came to, less seconds: its document, every hit and score, every byte."""
        document = self.document("run", self.file, "--offline")
        store = Store(self.home)
        return {
            "document": comparable(document),
            "stages": {name: document["stages"][name] for name in ("total", "failed", "left")},
            "questions": {
                trial["id"]: self.document(
                    "results", document["run_id"], "--questions", trial["id"]
                )
                for trial in document["trials"]
            },
            "bytes": {f"{ref[0]} {ref[1]}": store.sidecar(*ref)["sha256"] for ref in store.held()},
        }

    def mirrored(self) -> list[Any]:
        """Every run and version that MLflow has, with all it says but times and ids."""
        return mirrored(self.home)

    def _end(self) -> None:
        os.killpg(self._template.pid, signal.SIGKILL)

    def close(self) -> None:
        """End the template, and with it a call under way and its workers."""
        self._end()
        self._template.wait(20)
        for pipe in (self._template.stdin, self._template.stdout):
            if pipe:
                pipe.close()


@pytest.fixture(scope="session")
def new_caller() -> Callable[..., Caller]:
    """A caller without MLflow; who makes it closes it.

    Args: its folder, which has `e.yaml`, and more of the environment.
    """
    return lambda folder, more: Caller(folder, {"FAULTS_LIGHT": "1", **more})


@pytest.fixture(scope="module")
def caller(
    tmp_path_factory: pytest.TempPathFactory, corpus_writer: Callable[..., Path]
) -> Iterator[Caller]:
    """A caller for all tests of a file: its template takes seconds to start."""
    folder = tmp_path_factory.mktemp("struck")
    corpus_writer(folder / "corpus", documents=4, paragraphs=6)
    (folder / "e.yaml").write_text(EXPERIMENT)
    made = Caller(folder)
    yield made
    made.close()


def comparable(value: Any) -> Any:
    """A document without what differs between two runs of the same."""
    if isinstance(value, dict):
        left_out = [k for k in value if TIMINGS.search(k) or k == "stages"]
        return {k: comparable(v) for k, v in value.items() if k not in left_out}
    return [comparable(part) for part in value] if isinstance(value, list) else value


def mirrored(home: Path) -> list[Any]:
    """Every run that MLflow has, with all it says but times and ids, and every model version."""
    with closing(sqlite3.connect(home / "mlflow.db")) as db:
        names = {}
        for run, status, stage in db.execute("SELECT run_uuid, status, lifecycle_stage FROM runs"):
            tags = dict(db.execute("SELECT key, value FROM tags WHERE run_uuid = ?", [run]))
            names[run] = f"{tags['mox.kind']} {tags.get('mox.trial', '')} {status} {stage}"
        ids = {**names, Store(home).id: "STORE"}

        def plain(text: Any) -> str:
            for found, name in ids.items():
                text = str(text).replace(found, name)
            return re.sub(VARYING, "-", text)

        said = []
        for table in ("params", "latest_metrics", "tags"):
            for run, key, value in db.execute(f"SELECT run_uuid, key, value FROM {table}"):  # noqa: S608
                if not TIMINGS.search(key):
                    said.append([names[run], table, key, plain(value)])
        versions = db.execute("SELECT name, version, run_id FROM model_versions").fetchall()
        aliases = db.execute("SELECT * FROM registered_model_aliases").fetchall()
    files = [plain(path.relative_to(home)) for path in home.glob("mlflow-artifacts/**/*.*")]
    return [sorted(names.values()), sorted(said), sorted(files),
            [[name, version, names[run]] for name, version, run in versions], aliases]  # fmt: skip
