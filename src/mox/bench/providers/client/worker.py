"""The process that asks: `python -m mox.bench.providers.client.worker`.

Spawned, never forked. It ends when its standard input does, that is with the process that started
it. What it measures goes to that process as it comes, unread.
"""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from queue import SimpleQueue
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from mox.bench.providers.client.alarm import Watch
from mox.bench.providers.client.asking import Asker, Report
from mox.bench.providers.client.jobs import WARM_AT_MOST, Job
from mox.bench.providers.client.loops import callers, closed_loop, open_loop, schedule
from mox.bench.providers.client.messages import Noticed, Raw, Unsent
from mox.errors import MoxError, PoolError
from mox.loadgen.messages import Failed, Go, Ready

if TYPE_CHECKING:
    from mox.bench.providers.client.leasing import Leaser

Run = Callable[..., Awaitable[None]]


def main() -> None:
    """Do what is told until told no more."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.dup2(2, 1)
    _raise_limit()
    link: Connection[Any, Any] = Connection(int(sys.argv[1]))
    while True:
        try:
            job = link.recv()
        except EOFError:
            return
        try:
            with asyncio.Runner(loop_factory=_loop()) as runner:
                link.send(runner.run(_round(job, link)))
        except MoxError as error:
            link.send(Failed(error.message, error.mend))
        except Exception as error:  # noqa: BLE001  what prompts raise fails their cell only
            link.send(Failed(f"{type(error).__name__}: {error}", "see the workload's prompts."))


async def _round(job: Job, link: Connection[Any, Any]) -> Noticed | Unsent:
    outbox: SimpleQueue[bytes | None] = SimpleQueue()
    sender = threading.Thread(target=_send, args=(outbox, link), daemon=True)

    def report(raw: Raw) -> None:
        outbox.put(pickle.dumps(raw, pickle.HIGHEST_PROTOCOL))

    asker = _asker(job, report)
    try:
        run = _loop_of(job, asker)
        await asker.warm_up(_connections(job))
        gc.collect()
        gc.disable()
        link.send(Ready())
        go: Go = await asyncio.get_running_loop().run_in_executor(None, link.recv)
        sender.start()
        begin_ns = perf_counter_ns() + round(1e9 * (go.begin - time.monotonic()))
        return await _watched(run, begin_ns)
    except PoolError as error:
        if isinstance(asker, Asker) or asker.sent:
            raise
        return Unsent(error.message, error.mend)
    finally:
        await asker.close()
        outbox.put(None)
        if sender.ident is not None:
            sender.join()
        gc.enable()


def _asker(job: Job, report: Report) -> Asker | Leaser:
    """Who asks: on its own account, or through a pool."""
    if job.cell.pool is None:
        return Asker(job, report)
    from mox.bench.providers.client.leasing import Leaser

    return Leaser(job, job.cell.pool, report)


def _loop_of(job: Job, asker: Asker | Leaser) -> Run:
    """What runs the round from a moment on."""
    if job.cell.load.kind == "closed":
        return partial(closed_loop, job, one=asker.one)
    times = schedule(job)
    asker.prepare(number for number, _ in times)
    return partial(open_loop, times, one=asker.one)


def _connections(job: Job) -> int:
    """How many of them one process opens beforehand."""
    cell = job.cell
    if cell.warm_up is not None:
        return len(range(job.share, cell.warm_up, job.of))
    if cell.load.kind == "closed":
        return callers(job)
    return max(1, min(WARM_AT_MOST, round(cell.load.value)) // job.of)


async def _watched(run: Run, begin_ns: int) -> Noticed:
    watch = Watch()
    cpu, wall = time.process_time(), time.perf_counter()
    try:
        await run(begin_ns=begin_ns)
        return Noticed(watch.lag_ns, time.process_time() - cpu, time.perf_counter() - wall)
    finally:
        watch.close()


def _send(outbox: SimpleQueue[bytes | None], link: Connection[Any, Any]) -> None:
    """Empties the outbox into the link: a reader that is slow must not hold the loop up."""
    while (blob := outbox.get()) is not None:
        link.send_bytes(blob)


def _loop() -> Any:
    if sys.platform == "win32":
        return asyncio.new_event_loop
    try:
        import uvloop
    except ImportError:
        from mox.registry import missing_package

        raise missing_package("uvloop", extra="providers") from None
    return uvloop.new_event_loop


def _raise_limit() -> None:
    """As many sockets as the system lets us have."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _end_with_parent() -> None:
    with suppress(OSError):
        while os.read(0, 1):
            pass
    os._exit(1)


if __name__ == "__main__":
    main()
