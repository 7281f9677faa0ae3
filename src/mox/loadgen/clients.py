"""Client processes as the measuring process has them: started, told, heard, ended."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import connection
from multiprocessing.connection import Connection
from typing import IO, Any

from mox.errors import EngineError, MoxError, StageError
from mox.loadgen.cells import Subject
from mox.loadgen.messages import Closing, Failed, Opening

STARTS_WITHIN_S = 120.0
"""Of a client's first answer, which waits for its imports, and of opening a collection."""
GRACE_S = 60.0
"""How long past its end a round may last: an engine's own time limits run out earlier."""
POLL_S = 0.5


class Client:
    """One process, and which collections it has open.

    Args:
        module: what it runs, given the number of its end of the link.
    """

    def __init__(self, module: str = "mox.loadgen.client") -> None:
        ours, theirs = socket.socketpair()
        self._words: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  closed by end()
        with theirs:
            self.process = subprocess.Popen(  # noqa: S603  our own interpreter and modules
                [sys.executable, "-m", module, str(theirs.fileno())],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=self._words,
                env=_environment(),
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C is for who measures, and ends its clients
            )
        self.link: Connection[Any, Any] = Connection(ours.detach())
        self.opened: set[str] = set()

    def tell(self, command: Any) -> None:
        """Send a command.

        Raises:
            StageError: it has died.
        """
        try:
            self.link.send(command)
        except OSError:
            raise self.died() from None

    def died(self) -> StageError:
        """Why there is no answer any more."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        code = self.process.returncode
        how = f"was ended by signal {-code}" if code and code < 0 else f"ended with status {code}"
        if code is not None and code < 0:
            with suppress(ValueError):
                how += f" ({signal.Signals(-code).name})"
        self._words.seek(0)
        lines = self._words.read().decode(errors="replace").strip().splitlines()
        return StageError(
            f"a client process of the load {how}{f': {lines[-1][:300]}' if lines else ''}.",
            mend="see whether memory ran out (dmesg), ask for fewer clients or callers at once, and"
            " run again.",
        )

    def end(self) -> None:
        """End it at once, whatever it is doing."""
        self.process.kill()
        self.process.wait()
        for held in (self.process.stdin, self.link, self._words):
            if held is not None:
                with suppress(OSError):
                    held.close()


class Clients:
    """As many clients as a load ever needed at once, kept with their connections.

    Args:
        tick: called while waiting, so that a time limit sees work going on.
    """

    def __init__(self, tick: Callable[[], None]) -> None:
        self._tick = tick
        self._clients: list[Client] = []

    def take(self, count: int) -> list[Client]:
        """The first so many; those that are lacking are started, side by side."""
        while len(self._clients) < count:
            self._clients.append(Client())
        return self._clients[:count]

    def open(self, clients: Sequence[Client], subject: Subject) -> float:
        """Have a collection open in each; returns the slowest one's seconds, 0 where all had it.

        Raises:
            MoxError: one can't open it.
        """
        lacking = [client for client in clients if subject.name not in client.opened]
        # The first alone: it loads what the others then find loaded.
        slowest = 0.0
        for group in (lacking[:1], lacking[1:]):
            for client in group:
                client.tell(Opening(subject.name, subject.open_, subject.queries))
            for client, ready in zip(group, self.hear(group, STARTS_WITHIN_S), strict=True):
                client.opened.add(subject.name)
                slowest = max(slowest, ready.seconds)
        return slowest

    def close(self, name: str) -> None:
        """Close a collection in every client that has it open.

        Raises:
            MoxError: one can't.
        """
        holders = [client for client in self._clients if name in client.opened]
        for client in holders:
            client.tell(Closing(name))
        self.hear(holders, STARTS_WITHIN_S)
        for client in holders:
            client.opened.discard(name)

    def hear(self, clients: Sequence[Client], patience_s: float) -> list[Any]:
        """One answer of each client, in their order.

        Raises:
            StageError: one has died.
            EngineError: one was refused by its engine, or doesn't answer in time.
        """
        heard: dict[int, Any] = {}
        until = time.monotonic() + patience_s
        waiting: dict[Any, int] = {client.link: at for at, client in enumerate(clients)}
        while waiting:
            for link in connection.wait(list(waiting), timeout=POLL_S):
                at = waiting.pop(link)
                try:
                    heard[at] = clients[at].link.recv()
                except (EOFError, OSError):
                    raise clients[at].died() from None
                if isinstance(heard[at], Failed):
                    raise EngineError(heard[at].message, mend=heard[at].mend)
            self._tick()
            if waiting and time.monotonic() > until:
                raise EngineError(
                    f"{len(waiting)} of {len(clients)} clients had no answer for {patience_s:.0f} s"
                    " past their time.",
                    mend="see the engine's log for what it is doing; lower `clients`.",
                )
        return [heard[at] for at in range(len(clients))]

    def end(self) -> None:
        """End all of them at once."""
        for client in self._clients:
            client.end()
        self._clients.clear()

    def leave(self) -> None:
        """Close what they have open, so that engines forget it, and end them."""
        try:
            for name in sorted({name for client in self._clients for name in client.opened}):
                with suppress(MoxError):  # an engine that is lost has nothing to give back
                    self.close(name)
        finally:
            self.end()


@contextmanager
def clients(tick: Callable[[], None]) -> Iterator[Clients]:
    """Clients that are all gone at the end, whatever happens."""
    found = Clients(tick)
    try:
        yield found
        found.leave()
    finally:
        found.end()


def _environment() -> dict[str, str]:
    """Ours, with one thread for each numeric library: a client is one user."""
    found = dict(os.environ)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        found[name] = "1"
    found["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    return found
