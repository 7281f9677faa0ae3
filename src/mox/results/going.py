"""A run that is still going on, or that was killed: what its store says before there is a record.

A run's record is written when it ends. Until then a note lies in `going/`, whose lock the running
process holds: whoever can take that lock knows that the process is dead. What is stored already is
looked up when asked for, so nobody has to keep the note up to date.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from mox.errors import MissingError
from mox.pipeline.execute import Outcome
from mox.pipeline.plan import Plan
from mox.pipeline.stages import Ref
from mox.pipeline.store import Store, write_whole
from mox.results.run import Run, parse, plain, record

GOING = "going on"
KILLED = "killed"
"""What `Run.stopped` says of a run without a record of its end. Neither is ever stored."""

PATIENCE_S = 0.2
"""How long a note's lock is waited for: another reader holds it for less."""


@contextmanager
def noted(plan: Plan) -> Iterator[None]:
    """Leave a note while a plan is run; none where everything is stored already."""
    with _note(plan) if plan.pending() else nullcontext():
        yield
        for left in _notes(plan.store, plan.run_id):  # of attempts that were killed
            if not _alive(plan.store, left):
                left.unlink(missing_ok=True)


@contextmanager
def _note(plan: Plan) -> Iterator[None]:
    path = _folder(plan.store) / f"{plan.run_id}-{uuid.uuid4().hex[:8]}.json"
    with plan.store.lock(path.stem):
        note = {
            "run": plain(record(plan, Outcome())),
            "stages": [list(stage.ref) for stage in plan.stages.values()],
        }
        write_whole(path, json.dumps(note, ensure_ascii=False).encode())
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def unfinished(store: Store, run_id: str) -> Run | None:
    """A run that is still going on or was killed, as far as it is stored by now.

    Args:
        run_id: its id, or the first letters of it.

    Returns:
        Its record as it would be: `stopped` says which of the two it is. None where no such run
        has a note.

    Raises:
        MissingError: it has hardly begun: not even its questions are stored.
    """
    notes = list(_notes(store, run_id))
    alive = [path for path in notes if _alive(store, path)]
    found = [_read(store, path, GOING if path in alive else KILLED) for path in alive or notes]
    run = next((run for run in found if run is not None), None)
    if run is not None and not (store.has(*run.documents) and store.has(*run.questions)):
        stored = f"{run.stages['stored']} of {run.stages['total']} stages stored"
        raise MissingError(
            f"run {run.id} is {run.stopped}, {stored}: its questions aren't among them.",
            mend="ask again in a moment." if run.stopped == GOING else "run it again.",
        )
    return run


def _folder(store: Store) -> Path:
    return store.root / "going"


def _notes(store: Store, run_id: str) -> Iterator[Path]:
    yield from sorted(_folder(store).glob(f"{run_id}*.json"))


def _alive(store: Store, path: Path) -> bool:
    """Whether the process that left a note still runs."""
    try:
        with store.lock(path.stem, wait_s=PATIENCE_S):
            return False
    except TimeoutError:
        return True


def _read(store: Store, path: Path, stopped: str) -> Run | None:
    try:
        note = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None  # it ended meanwhile
    run = parse(note["run"], path)
    stored = [Ref(*ref) for ref in note["stages"] if store.has(*ref)]
    trials = tuple(
        replace(trial, status="FINISHED" if store.has(*trial.roles["score"]) else "SKIPPED")
        for trial in run.trials
    )
    return replace(run, trials=trials, stages=_counts(note["stages"], stored), stopped=stopped)


def _counts(every: list[Any], stored: list[Ref]) -> dict[str, Any]:
    """Stages as a record counts them; which of them this run did isn't known before it ends."""
    by_kind: dict[str, dict[str, int]] = {}
    there = set(stored)
    for kind, key in every:
        row = by_kind.setdefault(kind, {"total": 0, "run": 0, "stored": 0, "failed": 0, "left": 0})
        row["total"] += 1
        row["stored" if Ref(kind, key) in there else "left"] += 1
    names = ("total", "run", "stored", "failed", "left")
    total = {name: sum(row[name] for row in by_kind.values()) for name in names}
    return {**total, "by_kind": by_kind}
