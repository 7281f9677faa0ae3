"""Running a plan: what is missing, in prefix order, side by side, each stage once."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from mox.pipeline import codec
from mox.pipeline.agenda import Agenda
from mox.pipeline.estimate import START_S, estimate
from mox.pipeline.forkserver import Forkserver
from mox.pipeline.paid import purse, with_purse
from mox.pipeline.plan import Plan
from mox.pipeline.pool import Worker, environment
from mox.pipeline.stages import MEASURED, VERSIONS, Stage
from mox.pipeline.worker import shared
from mox.services.running import exported
from mox.settings import Settings

INPUTS = ("documents", "questions")
"""Stages of the process that has read the corpus; workers do the others."""

Stopped = Literal["budget", "interrupted"]


class Progress(Protocol):
    """Watches a run. Called from the thread that runs the plan."""

    def begin(self, plan: Plan, pending: list[Stage]) -> None: ...

    def started(self, stage: Stage) -> None: ...

    def left(self, stage: Stage) -> None:
        """A started stage is under way no more, and not finished: the budget stopped it, or it
        waits to be started again."""

    def finished(self, stage: Stage, *, stored: bool, failed: bool) -> None: ...

    def end(self) -> None: ...


@dataclass
class Outcome:
    """What came of a run."""

    seconds: float = 0.0
    stopped: Stopped | None = None
    ran: dict[str, float] = field(default_factory=dict)
    """Key → seconds of each stage that was run now."""
    failed: dict[str, str] = field(default_factory=dict)
    """Key → message of each stage that failed, or that stands on one that did."""
    unpaid: dict[str, str] = field(default_factory=dict)
    """Key → message of each stage that the budget stopped. What stands on it is left undone."""


def execute(plan: Plan, settings: Settings, progress: Progress) -> Outcome:
    """Run what a plan lacks.

    Workers are started as the work is worth it: what takes seconds is done by one, since each
    further one would take as long to open models and to import what workers don't share. A stage
    that fails takes only its trials with it. Ctrl-C ends the workers and keeps what was finished;
    so does the budget's time.
    """
    outcome = Outcome()
    began = time.monotonic()
    pending = plan.pending()
    progress.begin(plan, pending)
    try:
        if pending:
            _write_inputs(plan, pending, outcome, progress)
            minutes = plan.experiment.budget.minutes
            deadline = began + 60 * minutes if minutes else None
            todo = [stage for stage in pending if stage.kind not in INPUTS]
            _Runner(plan, settings, progress, outcome, todo).run(deadline)
    finally:
        outcome.seconds = time.monotonic() - began
        progress.end()
    return outcome


def _write_inputs(plan: Plan, pending: list[Stage], outcome: Outcome, progress: Progress) -> None:
    """Documents and questions are written by the process that has read them."""
    for stage in pending:
        if stage.kind not in INPUTS:
            continue
        if stage.kind == "documents":
            arrays = codec.pack_documents(plan.corpus.documents)
        else:
            arrays = codec.pack_questions(plan.corpus.questions)
        progress.started(stage)
        began = time.monotonic()
        note = {
            "version": VERSIONS[stage.kind],
            "spec": dict(stage.spec),
            "inputs": {},
            "fingerprint": dict(stage.fingerprint),
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        with plan.store.lock(stage.key):
            plan.store.write(stage.kind, stage.key, arrays, {"corpus": plan.corpus.name}, note)
        outcome.ran[stage.key] = time.monotonic() - began
        progress.finished(stage, stored=False, failed=False)


class _Runner:
    """Hands jobs to workers and takes in what they say. One thread touches its state."""

    def __init__(
        self,
        plan: Plan,
        settings: Settings,
        progress: Progress,
        outcome: Outcome,
        todo: list[Stage],
    ) -> None:
        self._plan = plan
        self._settings = settings
        self._progress = progress
        self._outcome = outcome
        self._agenda = Agenda(plan.stages, todo)
        self._purse = purse(plan)
        self._count = max(1, min(settings.workers, len(todo)))
        by_kind = estimate(plan, 1)["by_kind"]
        expected = sum(seconds for kind, seconds in by_kind.items() if kind not in MEASURED)
        self._enough: int = max(1, min(self._count, round(expected / START_S)))
        self._shared = shared(todo)
        self._since: dict[int, float] = {}
        self._redone: set[tuple[str, str]] = set()
        self._inbox: queue.Queue[tuple[int, Mapping[str, Any]]] = queue.Queue()

    def run(self, deadline: float | None) -> None:
        """Run all that is to do, or until the deadline (monotonic seconds) or Ctrl-C."""
        ambient = {**environment(self._count), **exported(self._settings)}
        forks = Forkserver(ambient, self._shared)
        workers = [Worker(forks) for _ in range(self._count)]
        jobs: list[queue.Queue[list[Stage] | None]] = [queue.Queue() for _ in workers]
        threads = [
            threading.Thread(target=self._feed, args=(at, worker, jobs[at]), daemon=True)
            for at, worker in enumerate(workers)
        ]
        for thread in threads:
            thread.start()
        try:
            self._hand_out(jobs, deadline)
        except KeyboardInterrupt:
            self._outcome.stopped = "interrupted"
        finally:
            for worker in workers:
                worker.end()
            forks.close()  # before the threads end, of which one takes it along
            for line in jobs:
                line.put(None)
            for thread in threads:
                thread.join(timeout=10)

    def _hand_out(
        self, jobs: list[queue.Queue[list[Stage] | None]], deadline: float | None
    ) -> None:
        while True:
            for at, line in enumerate(jobs[: self._wanted()]):
                if at not in self._since and (job := self._agenda.take(at)):
                    line.put([with_purse(stage, self._purse) for stage in job])
                    self._since[at] = time.monotonic()
            if not self._since:
                return
            if not self._receive(deadline):
                self._outcome.stopped = "budget"
                return

    def _wanted(self) -> int:
        """Workers that may be busy now: all, as soon as one has been at a job for long.

        An estimate may be wrong, and a stage that hangs must not hold up the others.
        """
        now = time.monotonic()
        if any(now - since > START_S for since in self._since.values()):
            self._enough = self._count
        return self._enough

    def _feed(self, at: int, worker: Worker, jobs: queue.Queue[list[Stage] | None]) -> None:
        """One worker's thread. It lives as long as all workers: the kernel ends what they are
        forked from with the very thread that started it (PR_SET_PDEATHSIG)."""
        while (job := jobs.get()) is not None:
            worker.do(
                job,
                lambda event: self._inbox.put((at, event)),
                timeout_s=self._settings.stage_timeout_s,
            )
            self._inbox.put((at, {"event": "free"}))
        worker.close()

    def _receive(self, deadline: float | None) -> bool:
        """Take one event in; False when the time is up."""
        left = 0.5 if deadline is None else min(0.5, deadline - time.monotonic())
        if left <= 0:
            return False
        try:
            # Woken now and then, since Ctrl-C doesn't reach an endless wait everywhere.
            at, event = self._inbox.get(timeout=left)
        except queue.Empty:
            return True
        if event["event"] == "free":
            del self._since[at]
        elif event["event"] != "alive":
            self._handle(self._plan.stages[event["key"]], event)
        return True

    def _handle(self, stage: Stage, event: Mapping[str, Any]) -> None:
        if event["event"] == "start":
            self._progress.started(stage)
        elif event["event"] == "done":
            self._agenda.done(stage)
            if not event["stored"]:
                self._outcome.ran[stage.key] = event["seconds"]
            self._progress.finished(stage, stored=event["stored"], failed=False)
        elif event["event"] == "lost" and self._agenda.in_company(stage):
            # One of several stages ended their worker: each gets a job of its own, to show which.
            self._progress.left(stage)
            self._agenda.add_alone(stage)
        elif event["event"] == "damaged" and (event["damaged"], stage.key) not in self._redone:
            self._redone.add((event["damaged"], stage.key))
            self._progress.left(stage)
            self._redo(event["damaged"], stage)
        elif event["event"] == "unpaid":
            # What costs nothing goes on: the trials that are paid for are finished.
            self._outcome.stopped = "budget"
            self._outcome.unpaid[stage.key] = f"{event['error']} {event['mend']}"
            self._agenda.drop(stage)
            self._progress.left(stage)
        else:
            self._fail(stage, f"{event['error']} {event.get('mend', '')}".strip())

    def _redo(self, damaged: str, above: Stage) -> None:
        """Do a damaged artifact again, with what it stands on where that is gone too."""
        self._agenda.release(above)
        again: dict[str, Stage] = {}
        wanted = [damaged]
        while wanted:
            stage = self._plan.stages[wanted.pop()]
            if self._plan.store.has(*stage.ref):
                continue  # redone meanwhile, for another stage that met the damage
            if stage.kind in INPUTS:
                _write_inputs(self._plan, [stage], self._outcome, self._progress)
                continue
            again[stage.key] = stage
            wanted += [ref.key for ref in stage.inputs.values() if not self._plan.store.has(*ref)]
        self._agenda.add([*again.values(), above])

    def _fail(self, stage: Stage, message: str) -> None:
        """A stage failed, and with it all that stands on it."""
        for lost in (stage, *self._agenda.drop(stage)):
            self._outcome.failed[lost.key] = message
            self._progress.finished(lost, stored=False, failed=True)
