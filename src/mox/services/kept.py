"""A server of a folder that all processes share, and that ends itself after its last user.

Each user holds a shared lock on `users.lock`, which the kernel frees however it ends; a small
keeper process (`keeper.py`) watches it, and ends the server some time after nobody holds it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from mox.errors import EngineError

IDLE_S = 20.0
"""A server that nobody has used for so long is ended: between two stages of a sweep it stays."""
WAITS_S = 90.0
SOCKET_BYTES = 103
"""The longest path of a socket that all systems take."""
RUN = (
    "import sys; sys.path.insert(0, sys.argv[1]); from importlib import import_module;"
    " sys.exit(import_module(sys.argv[2]).main(*sys.argv[3:]))"
)
"""A keeper imports the standard library and its own module, and nothing that is installed."""


@dataclass(frozen=True)
class Kind:
    """What is kept."""

    name: str
    """As messages call it."""
    setting: str
    """The variable that names another one."""
    keeper: str
    """The module that runs it: `main(folder, sockets, binaries, idle_s)`."""
    socket: str
    """The longest name in its sockets' folder."""
    answers: Callable[[Path, Path], bool]
    """Whether the server of a folder answers at its socket's folder."""
    check: Callable[[Path], None] = lambda _: None
    """Refuses (EngineError) a folder that its server can't use."""

    def where(self, folder: Path) -> str:
        return f"the embedded {self.name} in {folder}"


@contextmanager
def serving(kind: Kind, folder: Path, binaries: Path, *, idle_s: float) -> Iterator[Path]:
    """The folder of a server's socket, which runs at least until the context is left.

    Started if need be, and shared by whoever asks.

    Raises:
        EngineError: it does not start, or the folder can't be used.
    """
    folder = folder.absolute()
    with _said(kind, folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(folder / "users.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        with _said(kind, folder):
            _lock(kind, handle, fcntl.LOCK_SH, folder)
            sockets = socket_folder(kind, folder)
            _ensure(kind, folder, sockets, [str(binaries), str(idle_s)])
        yield sockets
    finally:
        os.utime(handle)
        os.close(handle)


def running(folder: Path) -> int | None:
    """Process id of the keeper of a folder's server; None where no process of it lives."""
    return holder(folder / "server.lock")


def holder(path: Path) -> int | None:
    """The number in a file that somebody has locked, 0 where none is; None where nobody has."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return int(os.read(handle, 32) or 0)
    finally:
        os.close(handle)
    return None


def stop(kind: Kind, folder: Path) -> bool:
    """End a folder's server, whoever uses it; whether there was one.

    Raises:
        EngineError: it does not end.
    """
    keeper = running(folder)
    if keeper is None:
        return False
    with suppress(ProcessLookupError):  # killed, and its server is ending
        if keeper:  # else it is just being started, or has just ended
            os.kill(keeper, signal.SIGTERM)
    until = time.monotonic() + WAITS_S
    while running(folder) is not None:
        if time.monotonic() > until:
            raise EngineError(
                f"{kind.where(folder)} does not end (its keeper is process {keeper}).",
                mend=f"see {folder / 'log'}; then end its processes by hand.",
            )
        time.sleep(0.02)
    return True


def socket_folder(kind: Kind, folder: Path) -> Path:
    """Where a server's socket lies: in its folder, or in a short one where that is too long.

    Raises:
        EngineError: another user has the short one.
    """
    own = folder / "run"
    if _fits(kind, own):
        own.mkdir(mode=0o700, exist_ok=True)
        return own
    name = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    base = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
    short = base / f"mox-{os.geteuid()}-{name}"
    if not _fits(kind, short):
        raise EngineError(
            f"{folder} is too long for a socket, and so is {base}.",
            mend=f"set MOX_HOME or TMPDIR to a shorter path, or {kind.setting} to a server.",
        )
    short.mkdir(mode=0o700, exist_ok=True)
    found = short.lstat()
    if found.st_uid != os.geteuid() or found.st_mode & 0o077 or not short.is_dir():
        raise EngineError(
            f"{short}, where the socket of {folder} would lie, is not this user's alone.",
            mend="remove it, or set XDG_RUNTIME_DIR to a folder of your own.",
        )
    return short


def _fits(kind: Kind, sockets: Path) -> bool:
    return len(os.fsencode(sockets / kind.socket)) <= SOCKET_BYTES


def _ensure(kind: Kind, folder: Path, sockets: Path, words: Sequence[str]) -> None:
    """A server that answers, started by one of all who want it."""
    kind.check(folder)
    handle = os.open(folder / "starting.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _lock(kind, handle, fcntl.LOCK_EX, folder)
        until = time.monotonic() + WAITS_S
        while holder(folder / "keeper.lock") is None or not kind.answers(folder, sockets):
            if running(folder) is None:
                # Once more, since the keeper that has just ended took its socket's folder along.
                _start(kind, folder, socket_folder(kind, folder), words)
                break
            # It starts, ends, or was killed a moment ago: its keeper is about to know.
            if time.monotonic() > until:
                raise EngineError(
                    f"{kind.where(folder)} runs and does not answer.",
                    mend=f"see {folder / 'log'}, and end what hangs.",
                )
            time.sleep(0.02)
    finally:
        os.close(handle)


def _start(kind: Kind, folder: Path, sockets: Path, words: Sequence[str]) -> None:
    command = [sys.executable, "-I", "-S", "-c", RUN, str(Path(__file__).parents[2]), kind.keeper]
    command += [str(folder), str(sockets), *words]
    done = subprocess.run(  # noqa: S603  our own interpreter and module
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=WAITS_S,
        check=False,
    )  # fmt: skip
    if done.returncode:
        said = (done.stdout or done.stderr).strip().splitlines()
        raise EngineError(
            f"{kind.where(folder)} does not start ({said[-1] if said else 'it said nothing'}).",
            mend=f"see {folder / 'log'}; free disk or memory, or set {kind.setting} to a server.",
        )


_OTHERS = {
    fcntl.LOCK_SH: "the server that is ending there",
    fcntl.LOCK_EX: "another process that starts it",
}


def _lock(kind: Kind, handle: int, how: int, folder: Path) -> None:
    until = time.monotonic() + WAITS_S
    while True:
        try:
            fcntl.flock(handle, how | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise EngineError(
                    f"{kind.where(folder)} was not free of {_OTHERS[how]} after {WAITS_S:.0f} s.",
                    mend=f"see {folder / 'log'}, and end what hangs.",
                ) from None
            time.sleep(0.01)
        else:
            return


@contextmanager
def _said(kind: Kind, folder: Path) -> Iterator[None]:
    """What the system says of a folder, as an EngineError."""
    try:
        yield
    except subprocess.TimeoutExpired:
        raise EngineError(
            f"{kind.where(folder)} did not start within {WAITS_S:.0f} s.",
            mend=f"see {folder / 'log'}.",
        ) from None
    except OSError as error:
        raise EngineError(
            f"{kind.where(folder)} can't use its folder ({error.strerror}: {error.filename}).",
            mend=f"set MOX_HOME to a folder of your own on a disk with space, or {kind.setting}"
            " to a server.",
        ) from error
