"""What a worker says is taken in, and what it doesn't say is told too."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mox.pipeline.forkserver import Forkserver
from mox.pipeline.pool import Worker
from mox.pipeline.stages import make

IDLE = """
import sys
def prepare():
    pass
def main():
    for line in sys.stdin:
        print('{"event": "alive"}', flush=True)
        print('{"event": "idle"}', flush=True)
"""
BROKEN = """
def prepare():
    import a_module_that_nobody_has
"""


def said_of_a_stage(folder: Path, worker: str) -> list[Mapping[str, Any]]:
    """What is reported of a stage that a worker of this source is to do."""
    (folder / "fake_worker.py").write_text(worker)
    path = os.pathsep.join([str(folder), *filter(None, sys.path)])
    forks = Forkserver({**os.environ, "PYTHONPATH": path}, module="fake_worker")
    one = Worker(forks)
    said: list[Mapping[str, Any]] = []
    try:
        one.do([make("exact", {"k": 1}, {}, {})], said.append, timeout_s=20)
    finally:
        one.close()
        forks.close()
    return said


def test_a_stage_that_a_worker_never_speaks_of_is_lost_not_forgotten(tmp_path: Path) -> None:
    said = said_of_a_stage(tmp_path, IDLE)
    assert [event["event"] for event in said] == ["alive", "lost"]
    assert said[1]["key"] == make("exact", {"k": 1}, {}, {}).key
    assert said[1]["error"] == "exact was left undone by its worker without a word."


def test_a_worker_that_cannot_be_started_is_told_with_its_last_words(tmp_path: Path) -> None:
    said = said_of_a_stage(tmp_path, BROKEN)
    assert [event["event"] for event in said] == ["lost"]
    assert said[0]["error"] == (
        "exact has no worker: none could be started"
        " (ModuleNotFoundError: No module named 'a_module_that_nobody_has')."
    )
