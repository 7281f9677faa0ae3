"""Runs one server as its child, and ends it when nobody uses it any more.

It imports nothing but the standard library, and is run with nothing else on its path, so that
what stays beside the server is small. What `kept.py` asks of it:

- The parent returns as soon as the server answers, or says why it doesn't; what stays is in a
  session of its own and holds none of the caller's pipes.
- Users hold a shared lock on `users.lock`, which the kernel frees when they die, however they
  die. Once nobody holds it for a while, the server is ended.
- The server holds a lock on `server.lock` as long as any of its processes lives, by a
  descriptor that they inherit: who gets it may clean up after a server that was killed. The
  keeper alone holds one on `keeper.lock`.
- The kernel ends the server with its keeper (Linux), so that none is left alone.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Protocol

POLL_S = 0.5
STARTS_WITHIN_S = 60.0
STOPS_WITHIN_S = 30.0
_PDEATHSIG = 1  # linux/prctl.h


class FailedError(Exception):
    """The server did not start; its text says why."""


class Program(Protocol):
    """What is kept."""

    ENDS: signal.Signals
    """What ends it in order."""
    folder: Path
    sockets: Path

    def start(self, lock: int) -> subprocess.Popen[bytes]:
        """Start it, with a descriptor to inherit, and return once it answers.

        Raises:
            FailedError: it doesn't.
        """

    def kill(self, server: subprocess.Popen[bytes]) -> None:
        """End it at once: its folder is gone."""


def main(program: Program, idle_s: float) -> int:
    """Start a keeper and return when its server answers (0) or can't (1, said on stdout)."""
    reading, writing = os.pipe()
    if os.fork():
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            said = pipe.read().decode(errors="replace")
        sys.stdout.write(said)
        return 0 if said == "ready" else 1
    os.close(reading)
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    try:
        lock = _locked(program.folder)
        server = program.start(lock)
    except (FailedError, OSError, subprocess.SubprocessError) as error:
        os.write(writing, str(error).encode())
        os._exit(1)
    os.write(writing, b"ready")
    os.close(writing)
    there = _keep(program, server, idle_s)
    os.truncate(lock, 0)  # so that nobody mistakes a later process for this one
    # A short one is this server's alone, unless its folder is gone: then a new one may have it.
    if there and program.sockets.parent != program.folder:
        shutil.rmtree(program.sockets, ignore_errors=True)
    os._exit(0)


def _locked(folder: Path) -> int:
    """The server's lock, once no process of an earlier server lives."""
    lock = os.open(folder / "server.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    until = time.monotonic() + STOPS_WITHIN_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise FailedError("an earlier server's processes do not end") from None
            time.sleep(0.05)
        else:
            os.truncate(lock, 0)
            os.write(lock, str(os.getpid()).encode())
            # Not inherited, and never closed: a server without it has lost its keeper, and ends.
            own = os.open(folder / "keeper.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(own, fcntl.LOCK_EX)
            return lock


def die_with_keeper(number: signal.Signals) -> None:
    """In the child, before it becomes the server: no life without its keeper (Linux)."""
    if sys.platform != "linux":
        return
    if ctypes.CDLL(None, use_errno=True).prctl(_PDEATHSIG, number) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")


def _keep(program: Program, server: subprocess.Popen[bytes], idle_s: float) -> bool:
    """Until the server ends, nobody has used it for a while, or its folder is gone; whether that
    is there still."""
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))
    path = program.folder / "users.lock"
    users = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    while server.poll() is None:
        if _gone(path, users):
            program.kill(server)
        if asked:
            break
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass  # somebody is there
        else:
            if time.time() - os.fstat(users).st_mtime > idle_s:
                break  # and who comes now waits for the lock until this server is ended
            fcntl.flock(users, fcntl.LOCK_UN)
        time.sleep(POLL_S)
    if server.poll() is None:
        server.send_signal(program.ENDS)
        try:
            server.wait(STOPS_WITHIN_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
    return not _gone(path, users)


def _gone(path: Path, handle: int) -> bool:
    try:
        return not os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return True
