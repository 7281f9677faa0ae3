"""Sweeps that are going on: what they stand on is no garbage, though no record says so yet.

Each says in a file of its own which stages it plans, and holds a lock on that file that the
kernel frees when it dies, however it dies. A file without a lock is a sweep that was cut off.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mox.errors import StoreError
from mox.pipeline.disk import unwritable, write_synced
from mox.pipeline.plan import Plan
from mox.pipeline.stages import Ref
from mox.pipeline.store import Store

COLLECTING = "collecting"
"""The lock that `gc` holds from its first look to its last removal."""
PATIENCE_S = 600.0
"""How long a sweep waits for a `gc` to end."""


@dataclass(frozen=True)
class Sweeping:
    """A sweep that is going on, or was cut off: what its file says."""

    path: Path
    run_id: str
    name: str
    file: str | None
    """The experiment's."""
    pid: int
    started: str
    stages: frozenset[Ref]
    alive: bool
    record: Mapping[str, Any] | None = None
    """What a report can be made from before the sweep's own record is written."""


@contextmanager
def announced(
    plan: Plan, *, record: Mapping[str, Any] | None = None, wait_s: float = PATIENCE_S
) -> Iterator[None]:
    """Keep a plan's stages from `gc` while it is run.

    What is stored has to be looked at inside this context: before it, `gc` may remove it. Where
    the context is left by an error, the file stays and says what was cut off.

    Args:
        record: kept beside them, see `Sweeping`.
        wait_s: how long to wait for a `gc` to end.

    Raises:
        StoreError: the disk is full, or a `gc` doesn't end.
    """
    store = plan.store
    path = store.root / "running" / f"{plan.run_id}.{uuid.uuid4().hex[:8]}.json"
    with collecting(store, wait_s=wait_s):
        held = _announce(path, _content(plan, record))
    try:
        yield
        for other in sweeping(store):
            if other.run_id == plan.run_id and not other.alive:
                other.path.unlink(missing_ok=True)  # cut off then, finished now
        path.unlink(missing_ok=True)
    finally:
        os.close(held)


def _announce(path: Path, content: bytes) -> int:
    """Write a sweep's file and hold it; returns the handle that does.

    It gets its name once it is held: another attempt at the same run that ends meanwhile would
    take it for one that was cut off, and remove it.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}")
    with ExitStack() as undo:
        undo.callback(temporary.unlink, missing_ok=True)
        try:
            path.parent.mkdir(exist_ok=True)
            write_synced(temporary, content)
            held = os.open(temporary, os.O_RDONLY)
            undo.callback(os.close, held)
            fcntl.flock(held, fcntl.LOCK_EX)
            temporary.rename(path)
        except OSError as error:
            raise unwritable(path, error) from None
        undo.pop_all()
    return held


@contextmanager
def collecting(store: Store, *, wait_s: float) -> Iterator[None]:
    """Have the store to oneself: no sweep begins, and no other `gc` runs.

    Raises:
        StoreError: somebody else kept it longer than `wait_s`.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(store.lock(COLLECTING, wait_s=wait_s))
        except TimeoutError:
            raise StoreError(
                f"another process collects garbage in {store.root}, or begins a sweep.",
                mend="wait for it, and run again.",
            ) from None
        except OSError as error:
            raise unwritable(store.root / "locks", error) from None
        yield


def sweeping(store: Store) -> list[Sweeping]:
    """Every sweep that goes on or was cut off, by name of its file. Changes nothing."""
    found = []
    for path in sorted((store.root / "running").glob("*.json")):
        try:
            found.append(_read(path))
        except FileNotFoundError:
            continue  # that sweep has ended meanwhile
        except (ValueError, KeyError, TypeError):
            # Cut off while this was written: nothing was begun.
            found.append(
                Sweeping(path, path.name.split(".")[0], "", None, 0, "", frozenset(), False)
            )
    return found


def _content(plan: Plan, record: Mapping[str, Any] | None) -> bytes:
    source = plan.experiment.source.file
    said = {
        "run_id": plan.run_id,
        "name": plan.experiment.name,
        "file": str(source) if source else None,
        "pid": os.getpid(),
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "stages": [list(stage.ref) for stage in plan.stages.values()],
        "record": record,
    }
    return json.dumps(said).encode()


def _read(path: Path) -> Sweeping:
    said = json.loads(path.read_bytes())
    stages = frozenset(Ref(*ref) for ref in said.pop("stages"))
    return Sweeping(path=path, stages=stages, alive=_alive(path), **said)


def _alive(path: Path) -> bool:
    """Whether the process that wrote a file still holds it."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False
