"""Sets of a given size: real vectors as far as there are any, then mixtures held to them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mox.bench.dimension import NEIGHBOURS, dimensions, distances_to, quartiles, sampled
from mox.bench.mixture import (
    RECIPES,
    TOLERANCE,
    Recipe,
    Rehearsal,
    best,
    deviation,
    mixtures,
    neighbourhoods,
    rehearse,
)
from mox.bench.vectors import Real
from mox.indexes.vectors import directed
from mox.pipeline.stages import Output, Stage, make
from mox.pipeline.store import Store
from mox.pipeline.worker import keep
from mox.registry import versions

if TYPE_CHECKING:
    from mox.types import Floats, Ints


@dataclass
class Grower:
    """Makes the sets of one growth. Real vectors and their neighbourhoods are worked out once."""

    store: Store
    real: Real
    largest: int
    """The largest size: what a recipe is rehearsed for."""
    seed: int = 0
    tolerance: float = TOLERANCE
    k: int = NEIGHBOURS
    _vectors: Floats | None = None
    _near: Ints | None = None

    @property
    def rows(self) -> int:
        """Real vectors."""
        return sum(self.real.rows(self.store).values())

    @property
    def vectors(self) -> Floats:
        if self._vectors is None:
            self._vectors = self.real.vectors(self.store, self.seed)
        return self._vectors

    def rehearsal(self) -> Rehearsal | None:
        """The recipe that is used; None where all sizes are real.

        Raises:
            DataError: none makes vectors like the real ones.
        """
        tried = self.rehearsals()
        return best(tried, tolerance=self.tolerance) if tried else None

    def rehearsals(self) -> list[Rehearsal]:
        """Every recipe's; none where all sizes are real."""
        stage = self.rehearsed
        if stage is None:
            return []
        if not self.store.has(*stage.ref):
            with self.store.lock(stage.key):
                self._rehearse(stage)
        return [_rehearsal(one) for one in self.store.read(*stage.ref).facts["tried"]]

    @property
    def rehearsed(self) -> Stage | None:
        """What a recipe is chosen by; None where all sizes are real."""
        if self.largest <= self.rows:
            return None
        return self._stage("rehearse", {"factor": self.largest / self.rows, "k": self.k})

    def _rehearse(self, stage: Stage) -> None:
        began = time.perf_counter()
        factor = stage.spec["factor"]
        tried = rehearse(self.vectors, RECIPES, factor=factor, k=self.k, seed=self.seed)
        facts = {"tried": [{**one._asdict(), "recipe": one.recipe._asdict()} for one in tried]}
        keep(stage, Output({}, facts), time.perf_counter() - began, self.store)

    def planned(self, n: int) -> Stage:
        """The set of a size, made or not."""
        rehearsal = self.rehearsal() if n > self.rows else None
        recipe = rehearsal.recipe._asdict() if rehearsal else None
        return self._stage("grow", {"n": n, "recipe": recipe})

    def grow(self, n: int) -> Stage:
        """The set of a size, made unless it is stored whole."""
        stage = self.planned(n)
        recipe = stage.spec["recipe"]
        with self.store.lock(stage.key):
            if self.store.damage(*stage.ref):
                self.store.remove(*stage.ref)
                began = time.perf_counter()
                output = self._set(n, Recipe(**recipe) if recipe else None)
                keep(stage, output, time.perf_counter() - began, self.store)
        return stage

    def _set(self, n: int, recipe: Recipe | None) -> Output:
        import numpy as np

        if recipe is None:
            return Output({"vectors": self.vectors[:n]}, {"texts": n, "real": n})
        real = self.vectors[directed(self.vectors)]
        if self._near is None:
            self._near = neighbourhoods(real, recipe.neighbours)
        new = mixtures(real, self._near, recipe, n - len(self.vectors), seed=self.seed)
        whole = np.concatenate([self.vectors, new])
        facts = {"texts": n, "real": len(self.vectors), "dimension": self._compare(whole)}
        return Output({"vectors": whole}, facts)

    def _compare(self, whole: Floats) -> dict[str, Any]:
        """Dimension of the mixtures in their set, beside that of the real ones among themselves,
        and beside that of the real ones in the set."""
        import numpy as np

        rows = len(self.vectors)
        old, new = np.arange(rows), np.arange(rows, len(whole))

        def of(vectors: Floats, which: Any) -> tuple[float, float, float]:
            points = sampled(vectors, which, seed=self.seed)
            return quartiles(dimensions(distances_to(vectors, points, self.k)))

        real, mixed = of(self.vectors, old), of(whole, new)
        return {
            "real": real,
            "mixed": mixed,
            "real_in_set": of(whole, old),
            "deviation": deviation(real, mixed),
            "k": self.k,
        }

    def about(self, stage: Stage) -> Mapping[str, Any]:
        """What is noted of a set: `real` rows, and `dimension` where it has mixtures."""
        facts: Mapping[str, Any] = self.store.sidecar(*stage.ref)["facts"]
        return facts

    def _stage(self, kind: str, spec: Mapping[str, Any]) -> Stage:
        inputs = {f"embed{at}": stage for at, stage in enumerate(self.real.embeds)}
        return make(kind, {**spec, "seed": self.seed}, inputs, versions("numpy"))


def _rehearsal(plain: Mapping[str, Any]) -> Rehearsal:
    recipe = Recipe(**plain["recipe"])
    real, mixed = tuple(plain["real"]), tuple(plain["mixed"])
    return Rehearsal(recipe, real, mixed, plain["base"], plain["rows"])
