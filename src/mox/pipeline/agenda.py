"""What is left to do, and what can be done next. No threads, no processes: only the graph."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Mapping

from mox.pipeline.stages import MEASURED, Ref, Stage, kin
from mox.spec import canonical

TOGETHER = 128
"""Stages of one kin that a job takes: some 100 ms of work, all that a kill can lose."""


class Agenda:
    """Stages to do, by key; each is ready when none of its inputs is to be done any more.

    Args:
        stages: all stages of the plan, by key, in prefix order.
        todo: those to do; what they stand on is stored, or among them.
    """

    def __init__(self, stages: Mapping[str, Stage], todo: Iterable[Stage]) -> None:
        self._stages = stages
        self._order = {key: at for at, key in enumerate(stages)}
        self._lacking: dict[str, set[str]] = {}
        self._above: dict[str, list[str]] = {}
        self._ready: list[tuple[int, str]] = []
        self._running: set[str] = set()
        self._held: dict[str, int] = {}
        self._kin: dict[tuple[str, ...], deque[str]] = {}
        self._alone: set[str] = set()
        self._home: dict[str, int] = {}
        self.add(todo)

    def add(self, stages: Iterable[Stage]) -> None:
        """Put stages on the agenda: at the start, and again when an artifact was damaged."""
        known = {*self._lacking, *self._running}
        fresh = {stage.key: stage for stage in stages if stage.key not in known}
        for key, lacking in self._lacking.items():
            for ref in self._stages[key].inputs.values():
                if ref.key in fresh and ref.key not in lacking:
                    lacking.add(ref.key)
                    self._above.setdefault(ref.key, []).append(key)
        for key, stage in fresh.items():
            self._lacking[key] = {
                ref.key
                for ref in stage.inputs.values()
                if ref.key in fresh or ref.key in self._lacking or ref.key in self._running
            }
            for part in self._lacking[key]:
                self._above.setdefault(part, []).append(key)
            if not self._lacking[key]:
                self._put(key)

    def in_company(self, stage: Stage) -> bool:
        """Whether a stage shares jobs with its kin, so that one of them can spoil the others'."""
        if stage.kind in MEASURED:
            return False  # measured apart from what it is compared with, it would say less
        return kin(stage) is not None and stage.key not in self._alone

    def add_alone(self, stage: Stage) -> None:
        """Put a stage on the agenda again, to be done in a job of its own."""
        self.release(stage)
        self._alone.add(stage.key)
        self.add([stage])

    def _put(self, key: str) -> None:
        """A stage lacks nothing any more."""
        heapq.heappush(self._ready, (self._order[key], key))
        name = kin(self._stages[key])
        if name is not None and key not in self._alone:
            self._kin.setdefault(name, deque()).append(key)

    def __len__(self) -> int:
        """How many stages wait, those that run not counted."""
        return len(self._lacking)

    def take(self, worker: int = 0) -> list[Stage]:
        """A worker's next job: the first ready stage in prefix order whose resource is free.

        A model stays with the worker that opened it, since opening it takes seconds.

        A build takes the searches along that lack only it: one process owns an embedded
        engine's folder, and opening it costs time. A fusion or a score takes its kin along, and
        a fusion the scores that lack only it. What is measured comes last and has the machine to
        itself. Empty where nothing can start now.
        """
        if any(self._stages[key].kind in MEASURED for key in self._running):
            return []
        passed = []
        job: list[Stage] = []
        while self._ready and not job:
            entry = heapq.heappop(self._ready)
            stage = self._stages[entry[1]]
            if self._lacking.get(entry[1], {""}):
                continue  # was taken along with its build, dropped, or waits again
            if (
                self._too_early(stage)
                or self._held.get(resource(stage), 0)
                or self._elsewhere(stage, worker)
            ):
                passed.append(entry)
                continue
            job = [stage, *self._family(stage)]
        for entry in passed:
            heapq.heappush(self._ready, entry)
        for stage in job:
            del self._lacking[stage.key]
            self._running.add(stage.key)
            name = resource(stage)
            self._held[name] = self._held.get(name, 0) + 1
        return job

    def _too_early(self, stage: Stage) -> bool:
        """Whether a stage is measured and others are still to be done: those that are compared
        come together last, and the machine is theirs."""
        return stage.kind in MEASURED and (
            bool(self._running)
            or any(self._stages[key].kind not in MEASURED for key in self._lacking)
        )

    def _elsewhere(self, stage: Stage, worker: int) -> bool:
        """Whether another worker has the model open that a stage needs."""
        if stage.kind not in ("embed", "queries"):
            return False
        return self._home.setdefault(resource(stage), worker) != worker

    def _family(self, stage: Stage) -> list[Stage]:
        if stage.kind == "build":
            return [
                self._stages[key]
                for key in self._above.get(stage.key, [])
                if self._lacking.get(key) == {stage.key} and self._stages[key].kind not in MEASURED
            ]
        if stage.kind == "search":
            build = stage.inputs["build"]
            return [
                other
                for key, lacking in self._lacking.items()
                if key != stage.key
                and not lacking
                and (other := self._stages[key]).kind == "search"
                and other.inputs["build"] == build
            ]
        if stage.key in self._alone or kin(stage) is None:
            return []
        every = self._siblings(stage)
        scores = {
            key: self._stages[key]
            for part in every
            for key in self._above.get(part, [])
            if self._lacking.get(key) == {part} and key not in self._alone
        }
        return [*list(every.values())[1:], *scores.values()]

    def _siblings(self, stage: Stage) -> dict[str, Stage]:
        """A stage and ready ones of its kin, in the order in which they became so, by key."""
        ready = self._kin[kin(stage) or ()]
        found = {stage.key: stage}
        while ready and len(found) < TOGETHER:
            # Some were done meanwhile, or wait again; some became ready twice.
            key = ready.popleft()
            if self._lacking.get(key) == set():
                found[key] = self._stages[key]
        return found

    def release(self, stage: Stage) -> None:
        """A stage no longer runs; what became of it is said by `done`, `drop` or `add`."""
        if stage.key in self._running:
            self._running.discard(stage.key)
            self._held[resource(stage)] -= 1

    def done(self, stage: Stage) -> None:
        """A stage is stored: what stood on it lacks one thing less."""
        self.release(stage)
        for key in self._above.pop(stage.key, []):
            lacking = self._lacking.get(key)
            if lacking is not None:
                lacking.discard(stage.key)
                if not lacking:
                    self._put(key)

    def drop(self, stage: Stage) -> list[Stage]:
        """A stage failed: it and all that waits on it leave the agenda.

        Returns:
            The stages above it that can't be done now.
        """
        self.release(stage)
        lost: list[Stage] = []
        wanted = self._above.pop(stage.key, [])
        while wanted:
            key = wanted.pop()
            if key in self._lacking:
                del self._lacking[key]
                lost.append(self._stages[key])
                wanted += self._above.pop(key, [])
        return lost


def resource(stage: Stage) -> str:
    """What only one worker at a time may use: a collection, or an embedder's memo."""
    if stage.kind == "build":
        return stage.key
    if stage.kind == "search":
        build: Ref = stage.inputs["build"]
        return build.key
    if stage.kind in ("embed", "queries"):
        of = stage.spec["of"]
        if "base_url" not in of:
            return canonical(of)
        # All embedders behind an API that use up the same limits: one model's of all dimensions,
        # and those of a class of models that share theirs.
        limits = stage.runtime.get("embedder", {}).get("limits") or {}
        return canonical([of["kind"], of["base_url"], limits.get("models") or of["model"]])
    return stage.key
