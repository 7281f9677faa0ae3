"""Milvus Lite: an engine inside this process, one folder and one owner per collection.

What `MilvusClient("x.db")` starts and its `close()` leaves: a server with its threads, its
memory and the lock on its folder (measured: 28 MB and 4 threads a collection). Here the last
user of a folder in this process gives all of it back.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mox.errors import EngineError
from mox.registry import versions
from mox.types import Place

_users: Counter[Path] = Counter()
_lock = threading.Lock()
# Beside milvus_lite's own process-wide table of servers, which counts nobody.


WAITS_S = 10.0
"""A search of some hundred questions takes a second or two in Lite."""
POLL_S = 0.05


def engine() -> dict[str, str]:
    """Versions of what builds and answers, without importing any of it."""
    found = versions("milvus-lite", "faiss-cpu")
    return {"engine": "milvus-lite", "version": found["milvus-lite"], "faiss": found["faiss-cpu"]}


def folder(place: Place) -> Path:
    """The collection's own folder; Lite wants it named like a file."""
    return place.folder.absolute() / f"{place.name}.db"


def where(place: Place) -> str:
    return f"Milvus Lite in {folder(place)}"


def quieten() -> None:
    """pymilvus and Lite log whole tracebacks of what they raise anyway; we raise it."""
    for name in ("pymilvus", "milvus_lite"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


@contextmanager
def embedded(place: Place) -> Iterator[str]:
    """The address of a Lite server for a collection's folder, shared within this process.

    Another process that has the folder open is waited for: two sweeps on one store search the
    same collection in turn.

    Raises:
        EngineError: it has it open for longer, or Lite cannot read it.
    """
    from milvus_lite.server_manager import server_manager_instance as servers

    quieten()
    path = folder(place)
    until = time.monotonic() + WAITS_S
    while (uri := _opened(path)) is None:
        error = _why(path)
        if not isinstance(error, _HeldError) or time.monotonic() > until:
            raise error
        time.sleep(POLL_S)
    try:
        yield uri
    finally:
        with _lock:
            _users[path] -= 1
            if not _users[path]:
                del _users[path]
                servers.release_server(str(path))


def _opened(path: Path) -> str | None:
    """The address of a folder's server, with one more user; None where it doesn't open."""
    from milvus_lite.server_manager import server_manager_instance as servers

    with _lock:
        path.parent.mkdir(parents=True, exist_ok=True)
        uri: str | None = servers.start_and_get_uri(str(path))
        if uri is not None:
            _users[path] += 1
        return uri


class _HeldError(EngineError):
    """Another process has the folder open, or had a moment ago."""


def _why(path: Path) -> EngineError:
    """Lite only logs why it did not open, so it is asked again, directly."""
    from milvus_lite.db import MilvusLite
    from milvus_lite.exceptions import DataDirLockedError

    try:
        MilvusLite(str(path)).close()
    except DataDirLockedError:
        return _held(path)
    except Exception as error:  # noqa: BLE001  whatever it is, it is what is wrong
        return EngineError(
            f"Milvus Lite cannot open {path} ({type(error).__name__}: {error}).",
            mend="see that the disk is writable and not full; else drop the index and run again.",
        )
    return _HeldError(f"Milvus Lite did not open {path} at first.", mend="run again.")


def _held(path: Path) -> EngineError:
    pid = _holder(path)
    who = f"process {pid}" if pid else "another process"
    return _HeldError(
        f"{who} has {path} open, and Milvus Lite lets one process in at a time.",
        mend="end it (a notebook's kernel, a running sweep or `mox ask`), or set MOX_MILVUS_URI"
        " to a Milvus server, which many may use.",
    )


def _holder(path: Path) -> int | None:
    """Whose lock it is, where the system tells (Linux)."""
    table, inode = Path("/proc/locks"), (path / "LOCK").stat().st_ino
    for line in table.read_text().splitlines() if table.exists() else ():
        words = line.split()  # 1: FLOCK ADVISORY WRITE pid major:minor:inode 0 EOF
        if words[1] == "FLOCK" and words[5].endswith(f":{inode}") and int(words[4]) > 0:
            return int(words[4])
    return None


def drop(place: Place) -> None:
    """Remove a collection's folder; no error where there is none.

    Raises:
        EngineError: this or another process has it open.
    """
    import fcntl

    path = folder(place)
    if not path.exists():
        return
    with _lock:
        if path in _users:
            raise EngineError(f"{path} is open in this process.", mend="leave it before dropping.")
        with (path / "LOCK").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise _held(path) from None
            shutil.rmtree(path)


def index_files(place: Place) -> list[Path]:
    """The files that answer searches: one per segment."""
    collection = folder(place) / "collections" / place.name
    return sorted(collection.glob("partitions/*/indexes/*.idx"))


def read_index(file: Path) -> dict[str, Any]:
    """What an index file really is: `type`, `rows`, `dims`, and its build parameters.

    Lite writes FLAT as NumPy's array and everything else with faiss.
    """
    import faiss
    import numpy as np

    with file.open("rb") as stream:
        if stream.read(6) == b"\x93NUMPY":
            rows, dims = np.load(file, mmap_mode="r").shape
            return {"type": "FLAT", "rows": rows, "dims": dims}
    # Both names are kept: the downcast object does not own what it points to.
    owner = faiss.read_index(str(file))
    index = faiss.downcast_index(owner)
    found = {"type": type(index).__name__, "rows": index.ntotal, "dims": index.d}
    if isinstance(index, faiss.IndexHNSW):
        graph: Any = index.hnsw
        return {**found, "M": graph.nb_neighbors(1), "efConstruction": graph.efConstruction}
    if isinstance(index, faiss.IndexIVF):
        return {**found, "nlist": index.nlist}
    return found


@contextmanager
def without_training_warnings() -> Iterator[None]:
    """faiss prints to file descriptor 2 that nlist is large for the rows; a sweep means it so.

    What else is written there meanwhile is passed on afterwards.
    """
    with _descriptor, tempfile.TemporaryFile() as held:
        kept = os.dup(2)
        try:
            os.dup2(held.fileno(), 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            held.seek(0)
            for line in held:
                if not line.startswith(b"WARNING clustering"):
                    os.write(2, line)


_descriptor = threading.Lock()
