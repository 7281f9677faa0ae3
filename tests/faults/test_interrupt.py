"""Ctrl-C: what was finished is kept, MLflow's run is KILLED, and the same call resumes."""

from __future__ import annotations

import json
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

pytestmark = pytest.mark.timeout(240)


def parents(home: Path) -> list[tuple[str, str]]:
    """(id, status) of MLflow's sweeps."""
    asked = (
        "SELECT r.run_uuid, r.status FROM runs r JOIN tags t ON t.run_uuid = r.run_uuid"
        " WHERE t.key = 'mox.kind' AND t.value = 'sweep'"
    )
    with closing(sqlite3.connect(home / "mlflow.db")) as opened:
        return list(opened.execute(asked))


def wait(until: Any, seconds: float = 90) -> None:
    limit = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < limit
        time.sleep(0.02)


def test_ctrl_c_keeps_what_was_finished_and_says_how_to_resume(sweep: Any) -> None:
    process = sweep.start(offline=False, as_json=False)
    artifacts = "artifacts/*/[!.]*/artifact.json"  # none that was being written
    # Documents, questions and a chunking: the engine has yet to be imported.
    wait(lambda: len(list(sweep.home.glob(artifacts))) >= 3)
    workers = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=90)
    assert process.returncode == 1, err
    assert "Stopped (interrupted)" in out
    assert "Resume:" in out
    assert "Traceback" not in err
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert not alive
    kept = len(list(sweep.home.glob(artifacts)))
    [(parent, status)] = parents(sweep.home)
    assert status == "KILLED"
    resumed = sweep.run(offline=False)
    assert resumed["stopped"] is None
    assert resumed["stages"]["stored"] >= kept
    assert parents(sweep.home) == [(parent, "FINISHED")], "taken up again, not doubled"


def test_a_parent_left_running_by_a_kill_is_taken_up_again(sweep: Any) -> None:
    process = sweep.start(offline=False)
    wait(lambda: (sweep.home / "mlflow.db").exists() and parents(sweep.home))
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    [(parent, status)] = parents(sweep.home)
    assert status == "RUNNING"
    document = sweep.run(offline=False)
    assert json.dumps(document["chosen"]) != "null"
    assert parents(sweep.home) == [(parent, "FINISHED")]
