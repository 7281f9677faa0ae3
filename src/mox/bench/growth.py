"""The same configurations at larger and larger sizes, as far as the time allows."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

from mox.bench.alike import Alike
from mox.bench.bound import Bound
from mox.bench.grown import Grower
from mox.bench.ladder import ladder
from mox.bench.measured import Staged, Under, configurations, plan_of, point, staged
from mox.bench.mixture import TOLERANCE
from mox.bench.pairs import pairs
from mox.bench.points import Point
from mox.bench.record import Growth, Left, content, save
from mox.bench.vectors import Real, embed_all, read_corpora, subject
from mox.experiment import Experiment
from mox.experiment.experiment import Budget
from mox.experiment.loads import Load
from mox.loadgen import host
from mox.pipeline.execute import Outcome, Progress, execute
from mox.pipeline.running import announced
from mox.pipeline.stages import Ref, Stage
from mox.pipeline.store import Store
from mox.settings import Settings

WORSE = 1.2
"""The power of a size by which a build is expected to take longer: n·log n, rounded up."""
SPARE_S = 5.0
"""Less time than this begins nothing."""


@dataclass(frozen=True)
class Asked:
    """How far, how long, and for whom."""

    sizes: tuple[int, ...] = ladder(100_000)
    """Vectors of each, ascending."""
    minutes: float | None = None
    """What isn't begun by then is left out and listed; None: all is measured."""
    bound: Bound = field(default_factory=lambda: Bound(recall=0.95))
    corpora: tuple[Mapping[str, Any], ...] = ()
    """Further ones that only add documents."""
    load: Mapping[str, Any] = field(default_factory=dict)
    """`clients` (several), `seconds`, `rounds`, in the place of what the experiment's loads say."""
    tolerance: float = TOLERANCE


def grow(
    experiment: Experiment, asked: Asked, store: Store, settings: Settings, progress: Progress
) -> Growth:
    """Measure what isn't stored, keep it, and fit the curves.

    The document is saved after each size, so that `gc` keeps what it tells of, and what is under
    way while the process lives. Killed at any place, what was measured is stored, and the same
    call measures the rest; till then `gc` takes what was measured of the size under way.

    Raises:
        MoxError: the experiment can't be grown, an engine is away, or no mixture is like the real
            vectors.
    """
    began = time.monotonic()
    sizes = asked.sizes
    ways, notes = configurations(experiment, asked.load, settings)
    read = read_corpora(experiment, asked.corpora)
    real = embed_all(experiment, read, store, settings, progress)
    grower = Grower(store, real, sizes[-1], experiment.seed, asked.tolerance)
    grower.rehearsal()
    deadline = None if asked.minutes is None else began + 60 * asked.minutes
    run = _Run(experiment, asked, real, grower, store, settings, progress, deadline)
    if grower.rehearsed is not None:
        run.roots.append(grower.rehearsed.ref)
    run.stored(sizes, ways)
    for n in sizes:
        with ExitStack() as kept:  # from `gc`, until the document tells of it
            try:
                interrupted = run.size(n, ways, kept)
            finally:
                found = run.growth(sizes, ways, notes)
                save(store, found)
        if interrupted:
            raise KeyboardInterrupt
    return found


@dataclass
class _Run:
    """One growth under way."""

    experiment: Experiment
    asked: Asked
    real: Real
    grower: Grower
    store: Store
    settings: Settings
    progress: Progress
    deadline: float | None
    points: dict[tuple[str, int], Point] = field(default_factory=dict)
    """Configuration and size → what was measured."""
    missed: dict[tuple[str, int], tuple[str, bool]] = field(default_factory=dict)
    """Configuration and size → why it wasn't, and whether it failed."""
    roots: list[Ref] = field(default_factory=list)
    sets: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    done: dict[int, dict[str, Staged]] = field(default_factory=dict)
    cost_s: dict[str, tuple[int, float]] = field(default_factory=dict)
    """Configuration → the last size that it was measured at, and the seconds that it took."""
    compared: dict[tuple[Ref, Ref], Alike] = field(default_factory=dict)

    def stored(self, sizes: Sequence[int], ways: Sequence[Under]) -> None:
        """Take in what an earlier call has measured: stopped early, none of it is lost."""
        for n in sizes:
            grown = self.grower.planned(n)
            if self.store.has(*grown.ref):
                self._set(n, grown)
                for under in ways:
                    self._take_in(n, staged(under, grown, self.real.queries))

    def size(self, n: int, ways: Sequence[Under], kept: ExitStack) -> bool:
        """Measure what the time allows of one size, the cheapest first; whether that was
        interrupted. `kept` announces it till it is closed."""
        if self._seconds() < SPARE_S and not self.store.has(*self.grower.planned(n).ref):
            self.missed |= {(under.way.key, n): ("the time was up", False) for under in ways}
            return False
        grown = self.grower.grow(n)
        self._set(n, grown)
        every = [staged(under, grown, self.real.queries) for under in ways]
        taken = self._affordable(n, every)
        plan = plan_of(self.real.plan, grown, self.real.queries, taken)
        seconds = self._seconds()
        minutes = None if seconds == math.inf else max(seconds, 1.0) / 60
        budget = Budget.model_validate({"minutes": minutes})
        plan = replace(plan, experiment=replace(plan.experiment, budget=budget))
        kept.enter_context(announced(plan))
        outcome = execute(plan, self.settings, self.progress)
        for way in taken:
            if not self._take_in(n, way):
                self.missed[way.under.way.key, n] = _missed(way, outcome)
        return outcome.stopped == "interrupted"

    def _set(self, n: int, grown: Stage) -> None:
        self.sets[n] = self.grower.about(grown)
        self.roots.append(grown.ref)

    def _take_in(self, n: int, way: Staged) -> bool:
        """Whether it is measured, and then noted."""
        found = point(way, n, self.sets[n]["real"], self.store)
        if found is None:
            return False
        key = way.under.way.key
        self.points[key, n] = found
        self.done.setdefault(n, {})[key] = way
        self.roots += [way.search.ref, way.load.ref]
        self.cost_s[key] = n, self._took(way)
        return True

    def _affordable(self, n: int, every: Sequence[Staged]) -> list[Staged]:
        """Configurations that are stored already, and of the others the cheapest that fit."""
        stored = [way for way in every if self.store.has(*way.load.ref)]
        rest = [way for way in every if way not in stored]
        rest.sort(key=lambda way: self._expected(n, way.under))
        left_s, taken = self._seconds(), []
        for way in rest:
            cost = self._expected(n, way.under)
            if cost > left_s:
                why = "the time would not have been enough"
                self.missed[way.under.way.key, n] = why, False
                continue
            left_s -= cost
            taken.append(way)
        return [*stored, *taken]

    def _expected(self, n: int, under: Under) -> float:
        return expected_s(under.load, n, self.cost_s.get(under.way.key))

    def _took(self, way: Staged) -> float:
        """Seconds of a configuration's build and search."""
        return sum(
            float(self.store.sidecar(*stage.ref).get("seconds", 0.0))
            for stage in (way.build, way.search)
        )

    def _left(self, n: int, under: Under) -> Left:
        why, failed = self.missed.get((under.way.key, n), ("it was stopped before", False))
        return Left(n, under.way, why, self._expected(n, under), failed, under.engine)

    def _seconds(self) -> float:
        if self.deadline is None:
            return math.inf
        return max(0.0, self.deadline - time.monotonic())

    def growth(self, sizes: Sequence[int], ways: Sequence[Under], notes: Sequence[str]) -> Growth:
        """All that is known now."""
        trial = subject(self.experiment)
        queries = self.store.sidecar(*self.real.queries.ref)["facts"]
        about = {
            "experiment": self.experiment.name,
            "host": host(),
            "embed": trial.embed.model_dump(mode="json") if trial.embed else {},
            "dims": queries["dims"],
            "k": trial.search.k,
            "questions": queries["texts"],
            "real": self.real.rows(self.store),
        }
        rest = {
            "sizes": list(sizes),
            "mixtures": self._mixtures(),
            "alike": [
                {"n": n, "pair": [one.document(), two.document()], **found.document()}
                for n, one, two, found in pairs(
                    self.done, self.real, self.store, known=self.compared
                )
            ],
            "notes": list(notes),
        }
        every = [(under, n) for under in ways for n in sizes]
        points = [found for one, n in every if (found := self.points.get((one.way.key, n)))]
        left = [self._left(n, one) for one, n in every if (one.way.key, n) not in self.points]
        left.sort(key=lambda one: one.expected_s)
        return Growth(
            content(about, points, left, self.asked.bound, rest),
            tuple(dict.fromkeys(self.roots)),
        )

    def _mixtures(self) -> dict[str, Any] | None:
        rehearsal = self.grower.rehearsal()
        if rehearsal is None:
            return None
        tolerance = self.asked.tolerance
        return {
            "recipe": rehearsal.recipe._asdict(),
            "tolerance": tolerance,
            "k": self.grower.k,
            "rehearsal": {
                "real": rehearsal.real,
                "mixed": rehearsal.mixed,
                "deviation": rehearsal.deviation,
                "base": rehearsal.base,
                "rows": rehearsal.rows,
            },
            "sizes": [
                {"n": n, **facts["dimension"],
                 "matched": facts["dimension"]["deviation"] <= tolerance}
                for n, facts in sorted(self.sets.items())
                if "dimension" in facts
            ],
        }  # fmt: skip


def expected_s(load: Load, n: int, last: tuple[int, float] | None) -> float:
    """Seconds that a configuration may take at a size: its load, and its last build scaled.

    Args:
        last: a size that it was measured at, and the seconds that build and search took; None
            where nothing is known of them, and then they count nothing.
    """
    load_s = load.rounds * (load.seconds + 1.0)
    return load_s if last is None else load_s + last[1] * math.pow(n / last[0], WORSE)


def _missed(way: Staged, outcome: Outcome) -> tuple[str, bool]:
    """Why a configuration has no measurement, and whether it failed."""
    stages = (way.exact, way.build, way.search, way.load)
    messages = [outcome.failed[one.key] for one in stages if one.key in outcome.failed]
    if messages:
        return f"failed: {messages[0]}", True
    return "it was interrupted" if outcome.stopped == "interrupted" else "the time was up", False
