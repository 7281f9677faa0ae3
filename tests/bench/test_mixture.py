"""Mixtures: unit vectors, the same for every count, and as hard as the real ones or refused."""

from __future__ import annotations

import numpy as np
import pytest

from mox.bench.mixture import (
    RECIPES,
    Recipe,
    Rehearsal,
    best,
    deviation,
    mixtures,
    neighbourhoods,
    rehearse,
)
from mox.errors import DataError


def cloud(rows: int, *, flat: int = 12, dims: int = 48, seed: int = 0) -> np.ndarray:
    """(rows, dims) unit vectors around 30 centres, spread in `flat` directions of each."""
    draw = np.random.default_rng(seed)
    centres = draw.normal(size=(30, dims))
    frames = draw.normal(size=(30, flat, dims)) / np.sqrt(flat)
    which = draw.integers(0, 30, rows)
    inner = draw.normal(size=(rows, 1, flat)) @ frames[which]
    found = centres[which] + 0.8 * inner[:, 0]
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found.astype(np.float32)


@pytest.fixture(scope="module")
def real() -> np.ndarray:
    return cloud(3_000)


@pytest.fixture(scope="module")
def near(real: np.ndarray) -> np.ndarray:
    return neighbourhoods(real, 40)


@pytest.fixture(scope="module")
def tried(real: np.ndarray) -> tuple[Rehearsal, ...]:
    return rehearse(real, RECIPES, factor=3.0, k=50, seed=0)


def test_neighbourhoods_are_the_nearest_others(real: np.ndarray, near: np.ndarray) -> None:
    cosines = real[:5] @ real.T
    cosines[np.arange(5), np.arange(5)] = -2
    assert near[:5].tolist() == np.argsort(-cosines, axis=1, kind="stable")[:, :40].tolist()


def test_mixtures_are_unit_vectors_and_begin_alike_for_every_count(
    real: np.ndarray, near: np.ndarray
) -> None:
    recipe = Recipe(0.5, 1.0)
    few = mixtures(real, near, recipe, 100, seed=3)
    many = mixtures(real, near, recipe, 2_500, seed=3)
    assert few.tolist() == many[:100].tolist()
    assert np.linalg.norm(many, axis=1) == pytest.approx(np.ones(2_500), abs=1e-6)
    other = mixtures(real, near, recipe, 100, seed=4)
    assert not (few == other).all(axis=1).any()


def test_interpolation_stands_between_its_two(real: np.ndarray, near: np.ndarray) -> None:
    """Without a step across, a mixture is (1 − t)·a + t·b for t ≤ towards, of length 1."""
    for made in mixtures(real, near, Recipe(0.5, 0.0), 20, seed=0):
        cosines = real @ made
        start = int(cosines.argmax())
        # Each is in the plane of its start and one of its neighbours: nothing is left over.
        rests = []
        for goal in near[start, :40]:
            plane = np.linalg.qr(np.stack([real[start], real[goal]]).T)[0]
            rests.append(np.linalg.norm(made - plane @ (plane.T @ made)))
        assert min(rests) < 1e-3


def test_interpolation_alone_is_told_from_real_vectors(tried: tuple[Rehearsal, ...]) -> None:
    lines = [one for one in tried if one.recipe.across == 0.0]
    assert lines
    assert all(one.deviation > 0.3 for one in lines)


def test_the_best_recipe_has_the_real_dimension(tried: tuple[Rehearsal, ...]) -> None:
    found = best(tried)
    assert found.deviation < 0.15
    assert found.base == 1_000
    assert found.rows == 3_000
    assert found.recipe.across > 0


def test_where_none_comes_near_it_is_refused_by_how_much(tried: tuple[Rehearsal, ...]) -> None:
    lines = [one for one in tried if one.recipe.across == 0.0]
    with pytest.raises(DataError, match=r"differs by \d+ % .*local intrinsic dimension"):
        best(lines)


def test_deviation_is_the_largest_share() -> None:
    assert deviation((10.0, 20.0, 40.0), (11.0, 16.0, 42.0)) == pytest.approx(0.2)


def test_too_few_vectors_are_refused() -> None:
    with pytest.raises(DataError, match="40 vectors can't be mixed with their 40 nearest"):
        neighbourhoods(np.eye(40, dtype=np.float32), 40)
