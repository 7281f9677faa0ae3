"""What is known to be mirrored: a small file per run, so that nothing is written twice.

A run that is mirrored already costs a read of that file, and MLflow isn't imported.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from mox.pipeline.store import Store, write_whole
from mox.results.run import Run
from mox.spec import digest
from mox.tracking.server import database

LAYOUT = 2
"""Raised when the mirror of a run looks different: runs are then mirrored anew."""


@dataclass(frozen=True)
class Mirrored:
    """Where a run stands in one MLflow server."""

    digest: str
    """Of what was mirrored."""
    experiment_id: str
    parent_id: str
    """The sweep's run."""
    trials: Mapping[str, str]
    """Trial id → its run, for trials that have one."""


def mirrored(store: Store, run: Run, uri: str) -> Mirrored | None:
    """Where a run is mirrored, whole and as it is now; None where it isn't."""
    found = _read(store, run.id).get(_name(uri))
    if found is None or found.digest != content(run) or not _is_there(uri, found.parent_id):
        return None
    return found


def is_mirrored(store: Store, run: Run, uri: str) -> bool:
    """Whether a run is mirrored, whole and as it is now. Doesn't import MLflow."""
    return mirrored(store, run, uri) is not None


def mark(store: Store, run: Run, uri: str, found: Mirrored) -> None:
    """Note that a run is mirrored."""
    every = {**_read(store, run.id), _name(uri): found}
    raw = json.dumps({name: asdict(entry) for name, entry in every.items()}, indent=1)
    write_whole(_path(store, run.id), raw.encode())


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


def _path(store: Store, run_id: str) -> Path:
    return store.root / "mirrored" / f"{run_id}.json"


def _name(uri: str) -> str:
    # Hashed, since a URI may carry a password.
    return digest(uri)[:16]


def _read(store: Store, run_id: str) -> dict[str, Mirrored]:
    try:
        plain = json.loads(_path(store, run_id).read_bytes())
        return {name: Mirrored(**entry) for name, entry in plain.items()}
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
