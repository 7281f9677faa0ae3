"""Vectors that a corpus hasn't got: mixtures of real neighbours, as hard to search as real ones.

A mixture starts at a real vector, goes some way towards one of its neighbours, and some way
across, within the directions in which its neighbours lie. Interpolation alone is told from real
data at once: its points have half the intrinsic dimension, since each lies on a line between
two others. So how far across is measured, not guessed: from a part of the real vectors, by each
recipe, mixtures are made until there are as many as there are real ones, and the recipe whose
mixtures have the real ones' local intrinsic dimension is taken.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from mox.bench.dimension import dimensions, distances_to, quartiles, sampled
from mox.errors import DataError
from mox.indexes.exact import nearest
from mox.indexes.vectors import directed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mox.types import Floats, Ints

TOLERANCE = 0.2
"""How far a quartile of the mixtures' dimension may be from the real ones', as a share."""
LEAST_BASE = 1_000
"""Real vectors that a rehearsal starts from at least: under that their neighbours are far."""
STRIP = 1_024
"""Mixtures that are made at once."""


class Recipe(NamedTuple):
    """How mixtures are made of real vectors."""

    towards: float
    """A mixture goes a share of the way to a neighbour, drawn between 0 and this."""
    across: float
    """Length of its step across, in lengths of a neighbour's mean difference."""
    neighbours: int = 40
    """Nearest real vectors that it goes towards and across."""


RECIPES = tuple(
    Recipe(towards, across)
    for towards in (0.0, 0.5)
    for across in (0.0, 0.5, 1.0, 1.25, 1.5, 1.75, 2.0)
    if towards or across
)
"""What is rehearsed. Interpolation alone stands among them to show what it is worth."""


class Rehearsal(NamedTuple):
    """What a recipe made of a part of the real vectors, beside the real ones."""

    recipe: Recipe
    real: tuple[float, float, float]
    """Quartiles of the dimension of real vectors among all real ones."""
    mixed: tuple[float, float, float]
    """The same of mixtures, among as many vectors."""
    base: int
    """Real vectors that it began with."""
    rows: int
    """Vectors that there were at the end, as many as real ones."""

    @property
    def deviation(self) -> float:
        return deviation(self.real, self.mixed)


def deviation(real: Sequence[float], mixed: Sequence[float]) -> float:
    """The largest difference of two dimensions' quartiles, as a share of the real one."""
    return max(abs(b / a - 1.0) for a, b in zip(real, mixed, strict=True))


def neighbourhoods(vectors: Floats, k: int) -> Ints:
    """(rows, k) nearest other rows of each row, the nearest first.

    Raises:
        DataError: no more rows than k.
    """
    if len(vectors) <= k:
        raise DataError(
            f"{len(vectors)} vectors can't be mixed with their {k} nearest.",
            mend="give a larger corpus.",
        )
    return nearest(vectors, vectors, k + 1)[0][:, 1:]


def mixtures(real: Floats, near: Ints, recipe: Recipe, count: int, *, seed: int) -> Floats:
    """New unit vectors of a recipe; the first ones are the same for every `count`.

    Args:
        real: (rows, dims) of length 1, none without direction.
        near: (rows, neighbours or more) of `neighbourhoods`.

    Returns:
        (count, dims) float32.
    """
    import numpy as np

    made = np.empty((count, real.shape[1]), dtype=np.float32)
    for at in range(0, count, STRIP):
        draw = np.random.default_rng([seed, at])
        starts = draw.integers(0, len(real), STRIP)
        made[at : at + STRIP] = _strip(real, near, starts, recipe, draw)[: count - at]
    return made


def _strip(
    real: Floats, near: Ints, starts: NDArray[np.intp], recipe: Recipe, draw: np.random.Generator
) -> Floats:
    """(starts, dims) mixtures, one from each start."""
    import numpy as np

    k = recipe.neighbours
    every = np.arange(len(starts))
    around = near[starts, :k]
    share = draw.uniform(0.0, recipe.towards, len(starts))
    goal = around[every, draw.integers(0, k, len(starts))]
    weights = draw.normal(0.0, recipe.across / math.sqrt(k), around.shape).astype(np.float32)
    begin = real[starts]
    across = np.matmul(weights[:, None, :], real[around] - begin[:, None, :])[:, 0]
    found = begin + across + share[:, None] * (real[goal] - begin)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return np.asarray(found, dtype=np.float32)


def rehearse(
    vectors: Floats, recipes: Sequence[Recipe], *, factor: float, k: int, seed: int
) -> tuple[Rehearsal, ...]:
    """Grow a part of the real vectors by each recipe to as many as there are, and compare.

    Args:
        vectors: (rows, dims) real ones of length 1; those without direction take no part.
        factor: how many times as large the grown set will be as the real one; rehearsed with
            the same, as far as the part has `LEAST_BASE` rows.
        k: neighbours of an estimate.
    """
    import numpy as np

    real = vectors[directed(vectors)]
    rows = len(real)
    base = min(max(LEAST_BASE, round(rows / factor)), rows // 2)
    part = real[np.sort(np.random.default_rng(seed).permutation(rows)[:base])]
    near = neighbourhoods(part, max(recipe.neighbours for recipe in recipes))
    asked = sampled(real, np.arange(rows), seed=seed)
    wanted = quartiles(dimensions(distances_to(real, asked, k)))
    found = []
    for recipe in recipes:
        new = mixtures(part, near, recipe, rows - base, seed=seed)
        grown = np.concatenate([part, new])
        points = sampled(grown, np.arange(base, rows), seed=seed)
        mixed = quartiles(dimensions(distances_to(grown, points, k)))
        found.append(Rehearsal(recipe, wanted, mixed, base, rows))
    return tuple(found)


def best(tried: Sequence[Rehearsal], *, tolerance: float = TOLERANCE) -> Rehearsal:
    """The rehearsal whose mixtures come nearest to the real vectors' dimension.

    Raises:
        DataError: none comes within the tolerance; names the nearest and by how much it fails.
    """
    found = min(tried, key=lambda one: one.deviation)
    if found.deviation > tolerance:
        raise DataError(
            f"no mixture of these {found.rows} vectors is like them: the nearest differs by"
            f" {100 * found.deviation:.0f} % in a quartile of the local intrinsic dimension"
            f" (real {_said(found.real)}, mixed {_said(found.mixed)}), more than"
            f" {100 * tolerance:.0f} %.",
            mend="name more corpora, or grow to no more rows than they have.",
        )
    return found


def _said(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.1f}" for value in values)
