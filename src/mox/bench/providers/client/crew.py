"""The processes that ask, as the measuring process has them: told, heard, ended."""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from multiprocessing import connection

from mox.bench.providers.client.jobs import Cell, Job
from mox.bench.providers.client.messages import Noticed, Raw, Unsent
from mox.bench.providers.client.reading import ended_ns, read, request_id
from mox.bench.providers.client.selfcheck import SelfCheck, noticed
from mox.bench.providers.record import Record
from mox.errors import EngineError, StageError
from mox.loadgen.clients import POLL_S, STARTS_WITHIN_S, Client
from mox.loadgen.messages import Failed, Go, Ready

WORKER = "mox.bench.providers.client.worker"
HEAD_START_S = 0.05
"""Between the last worker's `Ready` and the common beginning."""
GRACE_S = 30.0
"""How long past a round's last possible answer its workers are waited for."""

Running = Generator[tuple[Record, str], None, SelfCheck]


def still() -> None:
    """Nobody watches."""


class Crew:
    """As many workers as a cell ever needed at once.

    Args:
        tick: called while waiting, at least every half second.
        core: that they shall run on (Linux).
    """

    def __init__(self, tick: Callable[[], None], core: int | None = None) -> None:
        self._tick, self._core = tick, core
        self._workers: list[Client] = []
        self.unsent = False
        """Whether the last round failed before anything was sent."""

    def run(self, cell: Cell, *, round_: int, seed: int) -> Running:
        """One round: each record with its answer's text as it comes; returns the self-check.

        Raises:
            StageError: a worker died.
            EngineError: a worker doesn't answer, or can't ask.
        """
        while len(self._workers) < cell.workers:
            self._workers.append(Client(WORKER))
            if self._core is not None:
                os.sched_setaffinity(self._workers[-1].process.pid, {self._core})
        workers, self.unsent = self._workers[: cell.workers], False
        for share, worker in enumerate(workers):
            worker.tell(Job(cell, round_, seed, share, len(workers)))
        for _ in self._hear(workers, STARTS_WITHIN_S + 2 * _longest_s(cell), Ready):
            pass
        begin = time.monotonic() + HEAD_START_S
        for worker in workers:
            worker.tell(Go(begin, begin))
        said: list[Noticed] = []
        raws: list[Raw] = []
        for heard in self._hear(workers, self._patience_s(cell), Noticed):
            if isinstance(heard, Raw):
                raws.append(_timing(heard))
                yield _record(cell, round_, heard)
            elif isinstance(heard, Noticed):
                said.append(heard)
        return noticed(said, raws)

    def _patience_s(self, cell: Cell) -> float:
        """The longest that a round may be silent or last."""
        if cell.seconds is None:
            assert cell.requests is not None  # noqa: S101  by measure
            return GRACE_S + _longest_s(cell) * cell.requests
        return HEAD_START_S + cell.seconds + _longest_s(cell) + GRACE_S

    def _hear(
        self, workers: list[Client], patience_s: float, last: type[object]
    ) -> Iterator[object]:
        """What workers say, until each has said its last of a kind."""
        until = time.monotonic() + patience_s
        waiting = {worker.link: worker for worker in workers}
        while waiting:
            for link in connection.wait(list(waiting), timeout=POLL_S):
                worker = waiting[link]  # type: ignore[index]
                try:
                    heard = pickle.loads(worker.link.recv_bytes())  # noqa: S301  our own process
                except (EOFError, OSError):
                    raise worker.died() from None
                if isinstance(heard, Failed):
                    # Of several, others may have sent something.
                    self.unsent = isinstance(heard, Unsent) and len(workers) == 1
                    raise EngineError(heard.message, mend=heard.mend)
                if isinstance(heard, last):
                    del waiting[link]  # type: ignore[arg-type]
                yield heard
            self._tick()
            if waiting and time.monotonic() > until:
                raise StageError(
                    f"{len(waiting)} client processes did not end their round in time.",
                    mend="lower the timeouts, and see what else the machine is doing.",
                )

    def end(self) -> None:
        """End all of them at once."""
        for worker in self._workers:
            worker.end()
        self._workers.clear()


@contextmanager
def crew(tick: Callable[[], None] = still, *, core: int | None = None) -> Iterator[Crew]:
    """Workers that are all gone at the end, whatever happens; arguments as `Crew`'s."""
    found = Crew(tick, core)
    try:
        yield found
    finally:
        found.end()


def _longest_s(cell: Cell) -> float:
    """How long one request may take, from its schedule on."""
    waits_s = cell.pool.deadline_s if cell.pool is not None else 0.0
    return waits_s + cell.timeouts.connect_s + cell.timeouts.total_s


def _record(cell: Cell, round_: int, raw: Raw) -> tuple[Record, str]:
    """A record of what came, and the answer's text."""
    found = read(raw, cell.target)
    record = Record(
        provider=cell.target.name,
        model=cell.target.model,
        workload=cell.workload,
        load=cell.load,
        round=round_,
        number=raw.number,
        scheduled_ns=raw.scheduled,
        leased_ns=raw.leased,
        sent_ns=raw.sent,
        headers_ns=raw.headers,
        chunks=tuple(found.chunks),
        done_ns=ended_ns(raw, found),
        error=found.error,
        said=found.said,
        billable=found.failed.billable if found.failed else None,
        finish=found.finish,
        usage=found.usage,
        request_id=request_id(raw),
        attempts=raw.attempts,
        retried=raw.retried,
        pool_wait_ns=raw.pool_wait,
        account=raw.account,
        reused=raw.reused,
    )
    return record, found.text


def _timing(raw: Raw) -> Raw:
    """Only its moments: bodies aren't kept."""
    return Raw(raw.number, raw.scheduled, raw.leased, raw.connecting, raw.sent, failed=raw.failed)
