"""Asks one target: connections kept and reused, one attempt a request, what came of it raw."""

from __future__ import annotations

import asyncio
import errno
import ssl
from collections.abc import Callable
from time import perf_counter_ns
from urllib.parse import urlsplit

from mox.bench.providers.client import wires
from mox.bench.providers.client.connection import Connection
from mox.bench.providers.client.jobs import Job, Target
from mox.bench.providers.client.messages import Raw

_NO_SOCKETS = frozenset({errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS})


class Asker:
    """One process' way to a target during one round.

    Args:
        report: called with each request's raw outcome, at its end.

    Raises:
        MissingError: its key isn't there.
        SpecError: its address or key can't be used.
    """

    def __init__(self, job: Job, report: Callable[[Raw], None]) -> None:
        cell = job.cell
        self._job, self._cell, self._report = job, cell, report
        self._door = wires.door(cell.target, key(cell.target))
        self._tls = ssl.create_default_context() if self._door.tls else None
        self._idle: list[Connection] = []
        self._all: set[Connection] = set()

    async def warm_up(self, connections: int) -> list[Raw]:
        """Ask once over each of so many connections, the first alone; they are then kept."""
        first, step = -1 - self._job.share, -self._job.of
        numbers = range(first, first + step * connections, step)
        found: list[Raw] = []
        warm: list[Connection] = []
        for group in (numbers[:1], numbers[1:]):
            raws = [Raw(number, perf_counter_ns()) for number in group]
            await asyncio.gather(*(self._attempt(raw, self.body(raw.number)) for raw in raws))
            found += raws
            # Set aside, so that the others open ones of their own.
            warm += self._idle
            self._idle = []
        self._idle = warm
        return found

    def body(self, number: int) -> bytes:
        """A request's JSON."""
        request = self._cell.prompts(self._job.round, number)
        return wires.body(self._cell.target, request)

    async def one(self, number: int, scheduled_ns: int, body: bytes | None = None) -> None:
        """One request, from its schedule to its report."""
        raw = Raw(number, scheduled_ns)
        await self._attempt(raw, self.body(number) if body is None else body)
        self._report(raw)

    async def _attempt(self, raw: Raw, body: bytes) -> None:
        message = self._door.message(body)
        connection = await self._connection(raw)
        if connection is None:
            return
        await connection.ask(message, raw, self._cell.timeouts)
        if connection.open:
            self._idle.append(connection)
        else:
            connection.close()
            self._all.discard(connection)

    async def _connection(self, raw: Raw) -> Connection | None:
        """One that is open, the last used first; None where none can be opened, said in `raw`."""
        while self._idle:
            if (kept := self._idle.pop()).open:
                raw.reused = True
                return kept
            self._all.discard(kept)
        began = perf_counter_ns()
        try:
            async with asyncio.timeout(self._cell.timeouts.connect_s):
                _, made = await asyncio.get_running_loop().create_connection(
                    Connection, self._door.host, self._door.port, ssl=self._tls
                )
        except TimeoutError:
            raw.failed = "timeout_connect"
            raw.said = f"no connection within {self._cell.timeouts.connect_s:g} s"
            return None
        except OSError as error:
            limited = error.errno in _NO_SOCKETS
            raw.failed = "client_limited" if limited else "connection"
            raw.said = f"no connection: {error.strerror or error}"
            return None
        finally:
            raw.connecting = perf_counter_ns() - began
        self._all.add(made)
        return made

    def close(self) -> None:
        """Close all connections."""
        for connection in self._all:
            connection.close()
        self._all.clear()
        self._idle.clear()


def key(target: Target) -> str | None:
    """A target's key, hidden by `mox.secrets.scrub` in this process from now on.

    Raises:
        MissingError: it isn't there.
        ProviderError: `auth`, it is another provider's.
    """
    from mox.providers.keys import key_of, refuse_others
    from mox.providers.spec import ProviderSpec

    spec = ProviderSpec(
        kind=target.name, model=target.model, key_env=target.key_env, key_file=target.key_file
    )
    found = key_of(spec)
    host = urlsplit(target.base_url).hostname or ""
    for owner in ("OpenAI", "Anthropic"):
        if found is not None and host.endswith(f"{owner.lower()}.com"):
            refuse_others(found, provider=owner, kind=target.name)
    return target.account if found is None and target.simulated else found
