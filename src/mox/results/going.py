"""A run that is still going on, or that was cut off: what its store says before there is a record.

A run's record is written when it ends. Until then it lies beside the sweep's announcement (see
`pipeline.running`), without how its trials ended: that is looked up when asked for, so nobody has
to keep it up to date.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from mox.errors import MissingError
from mox.pipeline.execute import Outcome
from mox.pipeline.plan import Plan, looking
from mox.pipeline.running import Sweeping, sweeping
from mox.pipeline.stages import VERSIONS, Ref
from mox.pipeline.store import Store
from mox.results.run import Run, ids, named, parse, plain, record

GOING = "going on"
CUT_OFF = "cut off"
"""What `Run.stopped` says of a run without a record of its end. Neither is ever stored."""


def provisional(plan: Plan) -> dict[str, Any]:
    """What is announced of a plan that is about to be run."""
    return plain(record(plan, Outcome()))


def unfinished(store: Store, run_id: str) -> Run | None:
    """A run that is still going on or was cut off, as far as it is stored by now.

    Args:
        run_id: its id, or the first letters of it.

    Returns:
        Its record as it would be: `stopped` says which of the two it is. None where no such run
        is announced.

    Raises:
        MissingError: it has hardly begun: not even its questions are stored; or the letters are
            those of several runs, ended ones among them.
    """
    announced = [one for one in sweeping(store) if one.record]
    if not any(one.run_id.startswith(run_id) for one in announced):
        return None
    name = named(store, run_id, ids(store) | {one.run_id for one in announced})
    found = [one for one in announced if one.run_id == name]
    for sweep in sorted(found, key=lambda one: not one.alive):
        run = _so_far(store, sweep)
        if store.has(*run.documents) and store.has(*run.questions):
            return run
        stored = f"{run.stages['stored']} of {run.stages['total']} stages stored"
        raise MissingError(
            f"run {run.id} is {run.stopped}, {stored}: its questions aren't among them.",
            mend="ask again in a moment." if sweep.alive else "run it again.",
        )
    return None


def _so_far(store: Store, sweep: Sweeping) -> Run:
    run = parse(dict(sweep.record or {}), sweep.path)
    stored = looking(store)
    trials = tuple(
        replace(trial, status="FINISHED" if all(map(stored, trial.roles.values())) else "SKIPPED")
        for trial in run.trials
    )
    stages = _counts(stored, sweep.stages)
    return replace(run, trials=trials, stages=stages, stopped=GOING if sweep.alive else CUT_OFF)


def _counts(stored: Callable[[Ref], bool], every: Iterable[Ref]) -> dict[str, Any]:
    """Stages as a record counts them; which of them this run did isn't known before it ends."""
    names = ("total", "run", "stored", "failed", "left")
    by_kind: dict[str, dict[str, int]] = {}
    order = list(VERSIONS)
    for ref in sorted(every, key=lambda ref: order.index(ref.kind)):
        row = by_kind.setdefault(ref.kind, dict.fromkeys(names, 0))
        row["total"] += 1
        row["stored" if stored(ref) else "left"] += 1
    total = {name: sum(row[name] for row in by_kind.values()) for name in names}
    return {**total, "by_kind": by_kind}
