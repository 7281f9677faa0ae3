"""Vectors that show every setting of an index, and an index built of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mox.spec import IndexSpec, SearchSettings
from mox.types import Built, IndexBackend, Place, Where

if TYPE_CHECKING:
    from mox.types import Floats, Ints

    Found = tuple[Ints, Floats]

ROWS, QUERIES, DIMS, K = 2_000, 100, 32, 10
BLANK = (0, 700, ROWS - 1)
"""Rows without direction."""


@dataclass(frozen=True)
class Setup:
    """A build and a search of it."""

    spec: IndexSpec
    settings: SearchSettings
    where: Where | None = None
    """By the field `n`: 0 to 99 in turn. For settings that matter to filtered searches only."""


def differing(
    spec: IndexSpec, settings: SearchSettings, **values: tuple[Any, Any]
) -> dict[str, tuple[Setup, Setup]]:
    """Each named field → two set-ups that differ from a given one, and from each other, in it
    alone; of the Spec where that has the field, else of the search settings."""

    def setup(name: str, value: Any) -> Setup:
        changed = {name: value}
        if name in type(spec).model_fields:
            return Setup(type(spec)(**{**spec.model_dump(), **changed}), settings)
        return Setup(spec, type(settings)(**{**settings.model_dump(), **changed}))

    return {name: (setup(name, a), setup(name, b)) for name, (a, b) in values.items()}


def clustered(rows: int, queries: int, *, dims: int = DIMS) -> tuple[Floats, Floats]:
    """Unit vectors around 50 centres, and queries of the same kind that are none of them.

    So wide that a graph of 2 links or one cell of 64 loses neighbours, and one of 48 links or
    16 cells doesn't: every setting shows.
    """
    import numpy as np

    draw = np.random.default_rng(0)
    centres = draw.normal(size=(50, dims))
    found = centres[draw.integers(0, 50, rows + queries)]
    found += 0.8 * draw.normal(size=found.shape)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found[:rows].astype(np.float32), found[rows:].astype(np.float32)


def recall(ids: Ints, truth: Ints) -> float:
    """Mean share of each query's true neighbours among its hits."""
    return float((ids[:, :, None] == truth[:, None, :]).any(axis=1).mean())


@dataclass(frozen=True)
class Bench:
    """A built index and what it was built from."""

    backend: IndexBackend
    spec: IndexSpec
    place: Place
    vectors: Floats
    queries: Floats
    built: Built

    def search(self, settings: SearchSettings, *, k: int = K, first: int = QUERIES) -> Found:
        with self.backend.open(self.spec, self.place) as searcher:
            found: Found = searcher.search(self.queries[:first], k=k, settings=settings)
        return found

    def beside(self, name: str) -> Place:
        return Place(f"{self.place.name}_{name}", self.place.folder, self.place.uri)
