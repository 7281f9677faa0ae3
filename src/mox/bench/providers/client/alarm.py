"""A clock that the loop hears as it hears a socket: to some 10 µs, where its own timers count
milliseconds (uvloop's, asyncio's)."""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any

_MONOTONIC = 1
"""Linux' clock that `time.perf_counter_ns` reads there."""
_ABSOLUTE = 1
_FLAGS = os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0)


class _When(ctypes.Structure):
    """The kernel's `itimerspec`."""

    _fields_ = [
        ("interval_s", ctypes.c_long), ("interval_ns", ctypes.c_long),
        ("at_s", ctypes.c_long), ("at_ns", ctypes.c_long),
    ]  # fmt: skip


class Alarm:
    """Calls back at the moment that was set last, never before.

    Args:
        ring: called on the running loop.
        exact: by the kernel's timer (Linux); else by the loop's own.
    """

    def __init__(self, ring: Callable[[], None], *, exact: bool = sys.platform == "linux") -> None:
        self._ring = ring
        self._loop = asyncio.get_running_loop()
        self._at_ns = 0
        self._handle: asyncio.TimerHandle | None = None
        self._file: int | None = None
        if exact:
            self._libc = ctypes.CDLL(None, use_errno=True)
            self._file = _checked(self._libc.timerfd_create(_MONOTONIC, _FLAGS))
            self._loop.add_reader(self._file, self._rung)

    def set(self, at_ns: int) -> None:
        """Ring at a moment (`perf_counter_ns`), at once where it is over."""
        self._at_ns = at_ns
        if self._file is None:
            left_s = (at_ns - perf_counter_ns()) / 1e9
            self._handle = self._loop.call_later(max(0.0, left_s), self._early_or_rung)
            return
        when = _When(0, 0, *divmod(max(1, at_ns), 1_000_000_000))
        _checked(self._libc.timerfd_settime(self._file, _ABSOLUTE, ctypes.byref(when), None))

    def close(self) -> None:
        """Ring no more."""
        if self._handle is not None:
            self._handle.cancel()
        if self._file is not None:
            self._loop.remove_reader(self._file)
            os.close(self._file)
            self._file = None

    def _rung(self) -> None:
        if self._file is not None:
            os.read(self._file, 8)
            self._ring()

    def _early_or_rung(self) -> None:
        if perf_counter_ns() < self._at_ns:
            self.set(self._at_ns)
        else:
            self._ring()


def _checked(result: Any) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return int(result)


async def until(moment_ns: int) -> None:
    """Wait for a moment, never less."""
    over = asyncio.get_running_loop().create_future()
    alarm = Alarm(lambda: None if over.done() else over.set_result(None))
    alarm.set(moment_ns)
    try:
        await over
    finally:
        alarm.close()


class Watch:
    """How late the loop hears of a moment, each 5 ms: as late as it hears of a chunk.

    A moment that passed while it was busy counts too, so that one long pause weighs as much as
    the chunks that it held up.
    """

    EACH_NS = 5_000_000

    def __init__(self) -> None:
        self.lag_ns: list[int] = []
        self._due_ns = perf_counter_ns() + self.EACH_NS
        self._alarm = Alarm(self._ring)
        self._alarm.set(self._due_ns)

    def close(self) -> None:
        """Watch no more."""
        self._alarm.close()

    def _ring(self) -> None:
        now = perf_counter_ns()
        while self._due_ns <= now:
            self.lag_ns.append(now - self._due_ns)
            self._due_ns += self.EACH_NS
        self._alarm.set(self._due_ns)
