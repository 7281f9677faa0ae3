"""Names that one process at a time may hold: one byte each of one file, locked by the kernel.

A lock is freed when its holder dies, however it dies. Taking one costs a system call and leaves
no file behind, so a job may hold hundreds. The kernel counts by process: who holds what within
this one is kept here.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

POLL_S = 0.02


class Locks:
    """The locks of one state folder."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def hold(self, name: str, *, wait_s: float = -1) -> Iterator[None]:
        """Hold a name; waits for it without end where `wait_s` is negative.

        Raises:
            TimeoutError: another holder kept it longer than `wait_s`.
        """
        file = _opened(self._path)
        until = time.monotonic() + wait_s
        while not file.take(name):
            if wait_s >= 0 and time.monotonic() >= until:
                raise TimeoutError(name)
            time.sleep(POLL_S)
        try:
            yield
        finally:
            file.free(name)

    @contextmanager
    def claim(self, names: Sequence[str]) -> Iterator[frozenset[str]]:
        """Hold those of the names that nobody holds now, without waiting."""
        file = _opened(self._path)
        taken: list[str] = []
        try:
            for name in names:
                if file.take(name):
                    taken.append(name)  # noqa: PERF401  what was taken is freed, whatever is raised
            yield frozenset(taken)
        finally:
            for name in taken:
                file.free(name)


class _File:
    """The open file, never closed: closing any handle of it would free all its locks."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        self._held: set[int] = set()
        self._guard = threading.Lock()

    @property
    def gone(self) -> bool:
        """Whether the path means another file by now, or none."""
        try:
            now = os.stat(self.path)  # noqa: PTH116  asked for each lock
        except FileNotFoundError:
            return True
        return not os.path.samestat(now, os.fstat(self.handle))

    def take(self, name: str) -> bool:
        place = _place(name)
        with self._guard:
            if place in self._held:
                return False
            try:
                fcntl.lockf(self.handle, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
            except (BlockingIOError, PermissionError):  # which of the two, systems differ
                return False
            self._held.add(place)
            return True

    def free(self, name: str) -> None:
        place = _place(name)
        with self._guard:
            fcntl.lockf(self.handle, fcntl.LOCK_UN, 1, place)
            self._held.discard(place)


def _place(name: str) -> int:
    """The byte that stands for a name; files may be longer than any disk."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest()) >> 2


_FILES: dict[tuple[str, int], _File] = {}
_GUARD = threading.Lock()


def _opened(path: Path) -> _File:
    """This process' handle of a file; a forked child inherits no lock, and opens its own."""
    name = (str(path), os.getpid())
    with _GUARD:
        file = _FILES.get(name)
        if file is None or file.gone:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = _FILES[name] = _File(str(path))
        return file
