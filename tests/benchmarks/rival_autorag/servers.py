"""A vector store to be killed: Milvus Lite's own server, as a process of its own."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

DEAD = "http://127.0.0.1:9"
"""The discard port: nothing listens there."""
STARTS_WITHIN_S = 120


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


@contextmanager
def milvus(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A server that answers at a port; gone at the end, if it wasn't before."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "milvus_lite.cmdline", "server", "--data-dir"]
    command += [str(folder / "data"), "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        until = time.monotonic() + STARTS_WITHIN_S
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"Milvus Lite's server did not start: {folder / 'server.log'}")
            time.sleep(0.2)
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait(timeout=20)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def kill_when(
    process: subprocess.Popen[bytes], reached: Callable[[], bool], after_s: float = 0.0
) -> Callable[[subprocess.Popen[bytes]], None]:
    """What kills (-9) a process once something is reached, while another one runs."""

    def watch(run: subprocess.Popen[bytes]) -> None:
        while run.returncode is None and process.returncode is None:
            if reached():
                time.sleep(after_s)
                with suppress(ProcessLookupError):
                    process.send_signal(signal.SIGKILL)
                return
            time.sleep(0.01)

    return watch
