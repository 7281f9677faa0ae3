"""When requests start: as answers come (closed), or by a clock that no answer stops (open)."""

from __future__ import annotations

import asyncio
import math
import random
from collections import deque
from collections.abc import Callable, Coroutine
from time import perf_counter_ns
from typing import Any

from mox.bench.providers.client.alarm import Alarm, until
from mox.bench.providers.client.jobs import Job
from mox.errors import SpecError

One = Callable[[int, int], Coroutine[Any, Any, float | None]]
"""Does the request of a number, meant to start at a moment (`perf_counter_ns`). Returns None, or
where it was refused the seconds that it was told to wait, infinite where no waiting helps."""
LONGEST_S = 8.0


def schedule(job: Job) -> list[tuple[int, int]]:
    """An open loop's requests of one process: number, and ns after the beginning, in order.

    Constant: one each 1/value seconds. Poisson: independent exponential gaps, so that their
    number within a time is itself Poisson's. All processes draw the same times and take theirs.

    Raises:
        SpecError: neither a time nor a number ends it.
    """
    load, draw = job.cell.load, random.Random(job.seed)  # noqa: S311  no secret
    until, most = job.cell.seconds, job.cell.requests
    if until is None and most is None:
        raise SpecError(f"{job.cell.name}: it never ends.", mend="give `seconds` or `requests`.")
    found: list[tuple[int, int]] = []
    number, at = 0, 0.0
    while most is None or number < most:
        at = number / load.value if load.kind == "constant" else at + draw.expovariate(load.value)
        if until is not None and at >= until:
            break
        if number % job.of == job.share:
            found.append((number, round(1e9 * at)))
        number += 1
    return found


async def open_loop(times: list[tuple[int, int]], begin_ns: int, one: One) -> None:
    """Start each request at its moment, or at once where that is over; none waits for another."""
    loop = asyncio.get_running_loop()
    waiting = deque((number, begin_ns + after_ns) for number, after_ns in times)
    started: list[asyncio.Task[float | None]] = []
    all_started = loop.create_future()

    def ring() -> None:
        while waiting and waiting[0][1] <= perf_counter_ns():
            started.append(asyncio.ensure_future(one(*waiting.popleft())))
        if waiting:
            alarm.set(waiting[0][1])
        else:
            all_started.set_result(None)

    alarm = Alarm(ring)
    ring()
    try:
        await all_started
    finally:
        alarm.close()
    await asyncio.gather(*started)


async def closed_loop(job: Job, begin_ns: int, one: One) -> None:
    """So many callers, each asks again when it has its answer.

    One that was refused waits as long as it was told to, or ever longer: a provider that is down
    is not asked thousands of times a second. Where no waiting helps nobody asks on; but once one
    request was let in, a refusal for good is that of its request alone, and they all do.
    """
    cell, door = job.cell, _Door(callers(job))
    end_ns = None if cell.seconds is None else begin_ns + round(1e9 * cell.seconds)
    taken = job.share

    async def caller() -> None:
        nonlocal taken
        refused = 0
        free = perf_counter_ns()
        while cell.requests is None or taken < cell.requests:
            if end_ns is not None and free >= end_ns:
                return
            number, taken = taken, taken + job.of
            wait_s = await one(number, free)
            if wait_s is None:
                door.open()
            elif wait_s == math.inf:
                if await door.stays_shut():
                    return
                wait_s, refused = 0.0, 0  # nobody is too busy
            refused = 0 if wait_s is None else refused + 1
            free = perf_counter_ns()
            if wait_s is not None:
                free += round(1e9 * max(wait_s, backoff_s(refused)))
                await until(free if end_ns is None else min(free, end_ns))

    await until(begin_ns)
    await asyncio.gather(*(door.left_by(caller()) for _ in range(callers(job))))


class _Door:
    """Whether any of one process' callers was ever let in."""

    def __init__(self, trying: int) -> None:
        self._trying = trying
        self._open = False
        self._told = asyncio.Event()

    def open(self) -> None:
        """One was let in."""
        self._open = True
        self._told.set()

    async def stays_shut(self) -> bool:
        """Wait until one of the others is let in (False), or none can be any more."""
        self._leave()
        await self._told.wait()
        return not self._open

    async def left_by(self, caller: Coroutine[Any, Any, None]) -> None:
        """A caller to its end; the others wait for it no longer."""
        await caller
        self._leave()

    def _leave(self) -> None:
        self._trying -= 1
        if self._trying <= 0:
            self._told.set()


def callers(job: Job) -> int:
    """How many of a closed loop's callers one process has."""
    return len(range(job.share, round(job.cell.load.value), job.of))


def backoff_s(refused: int) -> float:
    """How long a caller waits that was refused so many times running."""
    return min(LONGEST_S, 0.1 * 2.0 ** (refused - 1))
