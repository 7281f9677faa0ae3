"""The same configurations at larger and larger sizes, as far as the time allows."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mox.bench.alike import Alike, alike
from mox.bench.decide import STORES, Bound, service_of
from mox.bench.grown import Grower
from mox.bench.ladder import ladder
from mox.bench.measured import Staged, Under, configurations, plan_of, point, staged
from mox.bench.mixture import TOLERANCE
from mox.bench.points import Point, Way
from mox.bench.record import Growth, Left, content, save
from mox.bench.vectors import Real, embed_all, read_corpora, subject
from mox.experiment import Experiment
from mox.experiment.experiment import Budget
from mox.loadgen import host
from mox.pipeline import codec
from mox.pipeline.execute import Progress, execute
from mox.pipeline.running import announced
from mox.pipeline.stages import Ref
from mox.pipeline.store import Store
from mox.settings import Settings
from mox.types import Hits

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

    Killed at any place, what was measured is kept, and the same call measures the rest.

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
    deadline = began + 60 * asked.minutes if asked.minutes else None
    run = _Run(experiment, asked, real, grower, store, settings, progress, deadline)
    if grower.rehearsed is not None:
        run.roots.append(grower.rehearsed.ref)
    for n in sizes:
        run.size(n, ways)
    found = run.growth(sizes, ways, notes)
    save(store, found)
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
    points: list[Point] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)
    roots: list[Ref] = field(default_factory=list)
    sets: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    done: dict[int, list[Staged]] = field(default_factory=dict)
    cost_s: dict[str, tuple[int, float]] = field(default_factory=dict)
    """Configuration → the last size that it was measured at, and the seconds that it took."""

    def size(self, n: int, ways: Sequence[Under]) -> None:
        """Measure what the time allows of one size, the cheapest first."""
        if self._seconds() < SPARE_S and not self.store.has(*self.grower.planned(n).ref):
            self.left += [self._left(n, under, "the time was up") for under in ways]
            return
        grown = self.grower.grow(n)
        self.sets[n] = self.grower.about(grown)
        self.roots.append(grown.ref)
        every = [staged(under, grown, self.real.queries) for under in ways]
        taken = self._affordable(n, every)
        plan = plan_of(self.real.plan, grown, self.real.queries, taken)
        seconds = self._seconds()
        minutes = None if seconds == math.inf else max(seconds, 1.0) / 60
        budget = Budget.model_validate({"minutes": minutes})
        plan = replace(plan, experiment=replace(plan.experiment, budget=budget))
        with announced(plan):
            outcome = execute(plan, self.settings, self.progress)
        self._take_in(n, taken, outcome.failed, outcome.stopped)
        if outcome.stopped == "interrupted":
            raise KeyboardInterrupt

    def _take_in(
        self, n: int, taken: Sequence[Staged], failed: Mapping[str, str], stopped: str | None
    ) -> None:
        for way in taken:
            found = point(way, n, self.sets[n]["real"], self.store)
            if found is not None:
                self.points.append(found)
                self.done.setdefault(n, []).append(way)
                self.roots += [way.search.ref, way.load.ref]
                self.cost_s[way.under.way.key] = n, self._took(way)
                continue
            messages = [
                failed[stage.key]
                for stage in (way.exact, way.build, way.search, way.load)
                if stage.key in failed
            ]
            said = f"failed: {messages[0]}" if messages else "the time was up"
            self.left.append(self._left(n, way.under, said, failed=bool(messages)))

    def _affordable(self, n: int, every: Sequence[Staged]) -> list[Staged]:
        """Configurations that are stored already, and of the others the cheapest that fit."""
        stored = [way for way in every if self.store.has(*way.load.ref)]
        rest = [way for way in every if way not in stored]
        rest.sort(key=lambda way: self._expected(n, way.under))
        left_s, taken = self._seconds(), []
        for way in rest:
            cost = self._expected(n, way.under)
            if cost > left_s:
                self.left.append(self._left(n, way.under, "the time would not have been enough"))
                continue
            left_s -= cost
            taken.append(way)
        return [*stored, *taken]

    def _expected(self, n: int, under: Under) -> float:
        """Seconds that a configuration may take at a size: its load, and its last build scaled.

        0 more than its load at the first size, where nothing is known of its build.
        """
        load_s = under.load.rounds * (under.load.seconds + 1.0)
        last = self.cost_s.get(under.way.key)
        if last is None:
            return load_s
        return load_s + last[1] * math.pow(n / last[0], WORSE)

    def _took(self, way: Staged) -> float:
        """Seconds of a configuration's build and search."""
        return sum(
            float(self.store.sidecar(*stage.ref).get("seconds", 0.0))
            for stage in (way.build, way.search)
        )

    def _left(self, n: int, under: Under, why: str, *, failed: bool = False) -> Left:
        return Left(n, under.way, why, self._expected(n, under), failed)

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
                for n, one, two, found in self._alike()
            ],
            "notes": list(notes),
        }
        left = sorted(self.left, key=lambda one: one.expected_s)
        order = [one.way.key for one in ways]
        points = sorted(self.points, key=lambda one: (order.index(one.way.key), one.n))
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
                for n, facts in self.sets.items()
                if "dimension" in facts
            ],
        }  # fmt: skip

    def _alike(self) -> Iterator[tuple[int, Way, Way, Alike]]:
        """Every index of pgvector beside every one of Milvus, at the largest size with both."""
        for n in sorted(self.done, reverse=True):
            sides: dict[str, list[Staged]] = {name: [] for name in STORES}
            for way in self.done[n]:
                service = service_of(way.under.index.kind)
                if service in sides:
                    sides[service].append(way)
            simple, large = (_distinct(side) for side in sides.values())
            if simple and large:
                yield from self._pairs(n, simple, large)
                return

    def _pairs(
        self, n: int, simple: Sequence[Staged], large: Sequence[Staged]
    ) -> Iterator[tuple[int, Way, Way, Alike]]:
        def hits(ref: Ref) -> Hits:
            return codec.unpack_hits(self.store.read(*ref).arrays)

        vectors = self.store.read(*simple[0].search.inputs["embed"]).arrays["vectors"]
        queries = self.store.read(*self.real.queries.ref).arrays["vectors"]
        truth = hits(simple[0].exact.ref)
        groups = [question.group for question in self.real.plan.corpus.questions]
        for one, two in itertools.product(simple, large):
            found = hits(one.search.ref), hits(two.search.ref)
            yield (
                n,
                one.under.way,
                two.under.way,
                alike(vectors, queries, found, truth, groups=groups),
            )


def _distinct(ways: Sequence[Staged]) -> list[Staged]:
    """Each search once, whatever the number of clients."""
    return list({way.search.key: way for way in ways}.values())
