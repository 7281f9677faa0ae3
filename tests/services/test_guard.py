"""The tests' own guard: no server of theirs outlives a pytest that is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Guard = Callable[[Path], "subprocess.Popen[bytes]"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A state folder with a place for a server's data."""
    (tmp_path / "services" / "milvus").mkdir(parents=True)
    return tmp_path


@pytest.fixture
def watching(home: Path, guard: Guard) -> Iterator[subprocess.Popen[bytes]]:
    found = guard(home)
    yield found
    if found.poll() is None:
        os.killpg(found.pid, signal.SIGKILL)
    found.communicate()


def server(folder: Path) -> subprocess.Popen[bytes]:
    """What stands for a server here: a process that leads its group, and works in a folder."""
    return subprocess.Popen(["/bin/sleep", "60"], cwd=folder, start_new_session=True)


def close(watching: subprocess.Popen[bytes]) -> None:
    """What the system does when pytest is killed."""
    assert watching.stdin is not None
    watching.stdin.close()
    watching.stdin = None  # else `communicate` would flush it


def test_a_recorded_server_is_ended_when_pytest_is_gone(
    home: Path, watching: subprocess.Popen[bytes]
) -> None:
    close(watching)
    recorded = server(home)
    record = {"service": "milvus", "pid": recorded.pid, "born": "now"}
    (home / "services" / "milvus.json").write_text(json.dumps(record))
    assert recorded.wait(timeout=20) == -signal.SIGKILL


@pytest.mark.skipif(sys.platform != "linux", reason="the system doesn't tell where others work")
def test_so_is_one_that_starts_afterwards_and_has_no_record_yet(
    home: Path, watching: subprocess.Popen[bytes]
) -> None:
    close(watching)
    with pytest.raises(subprocess.TimeoutExpired):
        watching.wait(timeout=1)
    assert server(home / "services" / "milvus").wait(timeout=20) == -signal.SIGKILL


def test_a_line_ends_the_guard_at_once_and_nothing_else(
    home: Path, watching: subprocess.Popen[bytes]
) -> None:
    running = server(home / "services" / "milvus")
    try:
        watching.communicate(b"\n", timeout=10)
        assert watching.returncode == 0
        with pytest.raises(subprocess.TimeoutExpired):
            running.wait(timeout=1)
    finally:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
