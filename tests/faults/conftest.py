"""A sweep in a process of its own, that tests may kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

EXPERIMENT = """\
name: faults
corpus: {{kind: evidence, path: {corpus}}}
axes:
  chunk:
{chunks}
  embed: [{{kind: hashing, dims: 64}}]
  index:
    - {{kind: exact}}
    - {{kind: HNSW, m: [4, 8]}}
    - {{kind: IVF_FLAT, nlist: 4}}
  search:
    - {{kind: dense, k: 10, ef: [12, 32], nprobe: [1, 4]}}
    - {{kind: bm25, k: 10}}
measure: [recall@5, ndcg@60t]
choose: {{maximise: ndcg@60t, within: 0.2, prefer: {{minimise: index_mb}}}}
"""

CHUNKS = ("{kind: recursive, size: [16, 32]}", "{kind: fixed, size: 24}")


class Sweep:
    """One experiment file and state folder, run by the command line in a process group."""

    def __init__(self, folder: Path, corpus: Path, environment: Mapping[str, str]) -> None:
        self.file = folder / "e.yaml"
        self.home = folder / "home"
        self._corpus = corpus
        self.environment = {**os.environ, **environment, "MOX_HOME": str(self.home)}
        self.started: list[subprocess.Popen[str]] = []
        self.write(CHUNKS)

    def write(self, chunks: tuple[str, ...]) -> None:
        lines = "\n".join(f"    - {chunk}" for chunk in chunks)
        self.file.write_text(EXPERIMENT.format(corpus=self._corpus, chunks=lines))

    def start(
        self, *options: str, offline: bool = True, as_json: bool = True
    ) -> subprocess.Popen[str]:
        words = ["--offline"] * offline + ["--json"] * as_json
        process = subprocess.Popen(
            [sys.executable, "-m", "mox", "run", str(self.file), *words, *options],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def run(self, *options: str, seconds: float = 120, offline: bool = True) -> dict[str, Any]:
        out, err = self.start(*options, offline=offline).communicate(timeout=seconds)
        assert out, err
        found: dict[str, Any] = json.loads(out)
        return found

    def close(self) -> None:
        for process in self.started:
            for child in children(process.pid):
                child.kill()
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait(10)
            for pipe in (process.stdout, process.stderr):
                if pipe:
                    pipe.close()


def children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


@pytest.fixture
def sweep(tmp_path: Path, small_corpus: Path) -> Iterator[Sweep]:
    made = Sweep(tmp_path, small_corpus, {"MOX_WORKERS": "2"})
    yield made
    made.close()


@pytest.fixture
def apart() -> list[str]:
    """How to run a command where it may mount a small disk that only it sees."""
    words = ["unshare", "--map-root-user", "--mount"]
    try:
        done = subprocess.run(
            [*words, "sh", "-c", "mount -t tmpfs none /mnt"],
            capture_output=True, text=True, timeout=20, check=False,
        )  # fmt: skip
        said = done.stderr if done.returncode else ""
    except FileNotFoundError as error:
        said = str(error)
    if said:
        pytest.skip(f"this system lets no one mount a small disk: {said.strip()}")
    return words
