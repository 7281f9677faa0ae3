"""Asks one target: connections kept and reused, one attempt a request, what came of it raw."""

from __future__ import annotations

import asyncio
import errno
import math
import ssl
from collections.abc import Callable, Iterable
from time import perf_counter_ns
from urllib.parse import urlsplit

from mox.bench.providers.client import wires
from mox.bench.providers.client.barren import PERMANENT
from mox.bench.providers.client.connection import Connection
from mox.bench.providers.client.jobs import Job, Target, Timeouts
from mox.bench.providers.client.messages import Raw
from mox.bench.providers.client.reading import ending
from mox.types.providers import Request

Report = Callable[[Raw], None]
_ERRORS = (b"event: error", b'data: {"error"', b'data: {"type":"error"')
"""How a stream begins that is nothing but an error."""
_FOR_GOOD = frozenset({401, 403, 404})
"""Statuses of a key, a model or an address that will be no better at the next request, whatever
else the answer says."""
_NO_SOCKETS = frozenset({errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS})


class Way:
    """Connections to one target.

    Raises:
        MissingError: its key isn't there.
        ProviderError: `auth`, its key is another provider's.
        SpecError: its address or key can't be used.
    """

    def __init__(self, target: Target, timeouts: Timeouts) -> None:
        self.target = target
        self._timeouts = timeouts
        self._door = wires.door(target, key(target))
        self._tls = ssl.create_default_context() if self._door.tls else None
        self._idle: list[Connection] = []
        self._all: set[Connection] = set()

    async def ask(self, raw: Raw, body: bytes) -> None:
        """One attempt; what comes of it, and what fails, is in `raw`."""
        message = self._door.message(body)
        connection = await self._connection(raw)
        if connection is None:
            return
        await connection.ask(message, raw, self._timeouts)
        if connection.open:
            self._idle.append(connection)
        else:
            connection.close()
            self._all.discard(connection)

    def set_aside(self) -> list[Connection]:
        """The idle connections, no longer used until `take_back`: the next ones are new."""
        idle, self._idle = self._idle, []
        return idle

    def take_back(self, aside: Iterable[Connection]) -> None:
        self._idle.extend(aside)

    def close(self) -> None:
        """Close all connections."""
        for connection in self._all:
            connection.close()
        self._all.clear()
        self._idle.clear()

    async def _connection(self, raw: Raw) -> Connection | None:
        """One that is open, the last used first; None where none can be opened, said in `raw`."""
        while self._idle:
            if (kept := self._idle.pop()).open:
                raw.reused = True
                return kept
            self._all.discard(kept)
        raw.reused = False
        began = perf_counter_ns()
        try:
            async with asyncio.timeout(self._timeouts.connect_s):
                _, made = await asyncio.get_running_loop().create_connection(
                    Connection, self._door.host, self._door.port, ssl=self._tls
                )
        except TimeoutError:
            raw.failed = "timeout_connect"
            raw.said = f"no connection within {self._timeouts.connect_s:g} s"
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


class Asker:
    """One process' requests during one round.

    Args:
        report: called with each request's raw outcome, at its end.

    Raises:
        MoxError: as `Way`.
    """

    def __init__(self, job: Job, report: Report) -> None:
        self._job, self._report = job, report
        self._way = Way(job.cell.target, job.cell.timeouts)
        self._ready: dict[int, bytes] = {}

    def prepare(self, numbers: Iterable[int]) -> None:
        """Make the bodies of requests whose time will be dear."""
        self._ready = {number: self._body(number) for number in numbers}

    async def warm_up(self, connections: int) -> None:
        """Ask once over each of so many connections, the first alone; they are then kept."""
        numbers = warm_numbers(self._job, connections)
        kept: list[Connection] = []
        for group in (numbers[:1], numbers[1:]):
            raws = [Raw(number, perf_counter_ns()) for number in group]
            await asyncio.gather(*(self._way.ask(raw, self._body(raw.number)) for raw in raws))
            kept += self._way.set_aside()
        self._way.take_back(kept)

    async def one(self, number: int, scheduled_ns: int) -> float | None:
        """One request, from its schedule to its report; as `loops.One`."""
        raw = Raw(number, scheduled_ns)
        body = self._ready.pop(number, None)
        await self._way.ask(raw, self._body(number) if body is None else body)
        self._report(raw)
        return told_to_wait_s(raw, self._way.target)

    async def close(self) -> None:
        """Close all connections."""
        self._way.close()

    def _body(self, number: int) -> bytes:
        return wires.body(self._way.target, asked(self._job, number))


def told_to_wait_s(raw: Raw, target: Target) -> float | None:
    """None of a request that was let in; else what its refusal asks for, 0 where it says none,
    infinite where no waiting mends it. A stream that is nothing but an error is a refusal too."""
    streams = raw.head.get("content-type", "").startswith("text/event-stream")
    if raw.failed is None and streams and not b"".join(raw.parts[:2]).startswith(_ERRORS):
        return None
    if raw.status in _FOR_GOOD or ending(raw, target).error in PERMANENT:
        return math.inf
    from mox.providers.standing import retry_after_s

    return retry_after_s(raw.head) or 0.0


def asked(job: Job, number: int) -> Request:
    """The request of a number."""
    return job.cell.prompts(job.round, number)


def warm_numbers(job: Job, count: int) -> range:
    """Numbers of one process' requests that nobody counts."""
    first, step = -1 - job.share, -job.of
    return range(first, first + step * count, step)


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
