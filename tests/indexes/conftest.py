"""Servers of Milvus Lite for tests: what answers a URI within a second."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from mox.errors import EngineError
from mox.indexes.milvus.client import server_engine

STARTS_WITHIN_S = 90


@dataclass(frozen=True)
class Server:
    """A process group of our own, and where it answers."""

    process: subprocess.Popen[bytes]
    uri: str

    def send(self, number: signal.Signals) -> None:
        os.killpg(self.process.pid, number)


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


@pytest.fixture
def free() -> int:
    """A port that nothing listens on."""
    return free_port()


@contextmanager
def running(command: list[str], uri: str, folder: Path) -> Iterator[Server]:
    """A server that answers; its whole process group is gone at the end, whatever happens."""
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=log, start_new_session=True
        )
    try:
        until = time.monotonic() + STARTS_WITHIN_S
        while True:
            try:
                server_engine(uri)
                break
            except EngineError:
                if process.poll() is not None or time.monotonic() > until:
                    pytest.fail((folder / "server.log").read_text(errors="replace")[-2000:])
                time.sleep(0.2)
        yield Server(process, uri)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=20)


@contextmanager
def lite_server_in(folder: Path, port: int | None = None) -> Iterator[Server]:
    port = port or free_port()
    command = [sys.executable, "-m", "milvus_lite.cmdline", "server", "--data-dir"]
    command += [str(folder / "data"), "--host", "127.0.0.1", "--port", str(port)]
    with running(command, f"http://127.0.0.1:{port}", folder) as server:
        yield server


@pytest.fixture
def start_process() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts a command and waits until it listens on a port; all are killed at the end."""
    started: list[subprocess.Popen[bytes]] = []

    def start(command: list[str], port: int) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen(command))
        until = time.monotonic() + STARTS_WITHIN_S
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                return started[-1]
            assert started[-1].poll() is None, "it ended at once"
            assert time.monotonic() < until, f"nothing listens on {port}"
            time.sleep(0.05)

    yield start
    for process in started:
        process.kill()
        process.wait(20)


@pytest.fixture
def start_lite(tmp_path: Path, free: int) -> Iterator[Callable[[], Server]]:
    """Starts a Milvus Lite server; again, after it was killed, on the same port and data."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(lite_server_in(tmp_path, free))


@pytest.fixture
def lite_server(tmp_path: Path) -> Iterator[Server]:
    """A Milvus Lite server of one's own: what answers a URI within seconds."""
    with lite_server_in(tmp_path) as server:
        yield server


@pytest.fixture(scope="session")
def shared_lite_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all tests that leave it as it is."""
    with lite_server_in(tmp_path_factory.mktemp("lite")) as server:
        yield server


@pytest.fixture
def python(tmp_path: Path) -> Callable[[str], subprocess.CompletedProcess[str]]:
    """Run a script in a process of its own, at most a minute."""

    def run(script: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True, text=True, timeout=60, cwd=tmp_path, check=False,
        )  # fmt: skip

    return run


@contextmanager
def _struck(home: Path, builds: int, strike: Callable[[], None]) -> Iterator[None]:
    """Strike as soon as so many builds are stored, while the sweep goes on."""

    def wait() -> None:
        until = time.monotonic() + 120
        while time.monotonic() < until and len(list(home.glob("artifacts/build/*"))) < builds:
            time.sleep(0.01)
        strike()

    striker = threading.Thread(target=wait)
    striker.start()
    try:
        yield
    finally:
        striker.join(130)


@pytest.fixture
def struck() -> Callable[..., AbstractContextManager[None]]:
    """`with struck(home, builds, strike)`: strikes a sweep that goes on inside."""
    return _struck
