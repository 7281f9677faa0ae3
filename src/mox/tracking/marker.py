"""What is known to be mirrored: a small file per run or growth, so that nothing is written twice.

A run that is mirrored already costs a read of that file, and MLflow isn't imported.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from mox.pipeline.disk import write_whole
from mox.pipeline.store import Store
from mox.results.run import Run
from mox.spec import digest
from mox.tracking.server import database

LAYOUT = 3
"""Raised when the mirror of a run looks different: runs are then mirrored anew."""


@dataclass(frozen=True)
class Mirrored:
    """Where a run stands in one MLflow server."""

    digest: str
    """Of what was mirrored."""
    experiment_id: str
    parent_id: str
    """The sweep's run, or the growth's."""
    trials: Mapping[str, str]
    """Trial id → its run, for trials that have one."""


def mirrored(store: Store, run: Run, uri: str) -> Mirrored | None:
    """Where a run is mirrored, whole and as it is now; None where it isn't."""
    return known(store, run.id, uri, content(run))


def is_mirrored(store: Store, run: Run, uri: str) -> bool:
    """Whether a run is mirrored, whole and as it is now. Doesn't import MLflow."""
    return mirrored(store, run, uri) is not None


def known(store: Store, name: str, uri: str, said: str) -> Mirrored | None:
    """Where what goes by a name is mirrored; None where it isn't there with this digest."""
    found = _read(store, name).get(_name(uri))
    if found is None or found.digest != said or not _is_there(uri, found.parent_id):
        return None
    return found


def mark(store: Store, name: str, uri: str, found: Mirrored) -> None:
    """Note that what goes by a name (a run by its id) is mirrored."""
    every = {**_read(store, name), _name(uri): found}
    raw = json.dumps({server: asdict(entry) for server, entry in every.items()}, indent=1)
    write_whole(_path(store, name), raw.encode())


def content(run: Run) -> str:
    """Digest of what of a run is mirrored: how each trial ended, and what decides the choice."""
    return digest(
        {
            "layout": LAYOUT,
            "trials": [
                [trial.id, trial.status, trial.error, trial.roles["score"].key]
                for trial in run.trials
            ],
            "measures": run.measures,
            "choose": run.choose,
            "baseline": run.baseline,
            "stopped": run.stopped,
        }
    )


def _path(store: Store, name: str) -> Path:
    return store.root / "mirrored" / f"{name}.json"


def _name(uri: str) -> str:
    # Hashed, since a URI may carry a password.
    return digest(uri)[:16]


def _read(store: Store, name: str) -> dict[str, Mirrored]:
    try:
        plain = json.loads(_path(store, name).read_bytes())
        return {server: Mirrored(**entry) for server, entry in plain.items()}
    except (OSError, ValueError, TypeError):
        return {}  # nothing is known: the run is looked up in MLflow and completed there


def _is_there(uri: str, parent_id: str) -> bool:
    """Whether a SQLite store still has the run: its file may have been removed. Others are
    believed."""
    file = database(uri)
    if file is None:
        return True
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=2)) as opened:
            row = opened.execute("SELECT 1 FROM runs WHERE run_uuid = ?", (parent_id,)).fetchone()
    except sqlite3.Error:
        return False
    return row is not None
