"""The estimator of local intrinsic dimension, on data whose dimension is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mox.bench.dimension import dimensions, distances_to, quartiles, sampled
from mox.errors import DataError


def ball(points: int, dims: int, seed: int = 0) -> np.ndarray:
    """(points, dims) uniform in the unit ball."""
    draw = np.random.default_rng(seed)
    found = draw.normal(size=(points, dims))
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found * draw.uniform(size=(points, 1)) ** (1 / dims)


def test_it_is_the_inverse_mean_of_the_logarithms() -> None:
    # T = 1, e, e², e³: the logarithms of T₄ over the others are 3, 2 and 1, their mean is 2.
    distances = np.array([[1.0, math.e, math.e**2, math.e**3]])
    assert dimensions(distances).tolist() == pytest.approx([0.5])


@pytest.mark.parametrize("dims", [2, 5, 10])
def test_in_a_ball_the_harmonic_mean_is_its_dimension(dims: int) -> None:
    """Within a uniform set (k − 1)/estimate is a sum of exponentials of rate d: see MacKay and
    Ghahramani 2005."""
    k, times = 20, 400
    # Seen from the centre, a ball's 20 nearest points never meet its edge.
    distances = np.array(
        [np.sort(np.linalg.norm(ball(500, dims, seed), axis=1))[:k] for seed in range(times)]
    )
    found = dimensions(distances)
    # 400 means of 19 exponentials: a standard error of 1/√(400·19) = 1.1 %.
    assert 1 / (1 / found).mean() == pytest.approx(dims, rel=0.035)
    assert found.mean() == pytest.approx(dims * (k - 1) / (k - 2), rel=0.04)


def test_a_plane_in_many_dimensions_is_a_plane() -> None:
    draw = np.random.default_rng(1)
    frame = np.linalg.qr(draw.normal(size=(40, 3)))[0].T
    flat = draw.normal(size=(4_000, 3)) @ frame  # directions in 3 dimensions: a sphere of 2
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    vectors = flat.astype(np.float32)
    found = dimensions(distances_to(vectors, vectors[:300], 50))
    assert 1 / (1 / found).mean() == pytest.approx(2.0, rel=0.03)


def test_distances_are_those_to_others_and_copies_are_looked_past() -> None:
    angles = np.array([0.0, 0.0, 0.1, 0.3, 0.6, 1.0])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    found = distances_to(vectors, vectors[:1], 3, copies=2)
    # A chord of angle a is 2·sin(a/2).
    assert found[0] == pytest.approx([2 * math.sin(a / 2) for a in (0.1, 0.3, 0.6)], abs=1e-5)
    assert len(distances_to(vectors, vectors[:1], 3, copies=1)) == 0, "more copies than that"


def test_too_few_vectors_are_refused() -> None:
    vectors = np.eye(10, dtype=np.float32)
    with pytest.raises(DataError, match="10 vectors are too few to look at 9"):
        distances_to(vectors, vectors, 9)


def test_no_estimates_have_no_quartiles() -> None:
    assert quartiles(np.array([1.0, 2.0, 3.0])) == (1.5, 2.0, 2.5)
    with pytest.raises(DataError, match="copies"):
        quartiles(np.empty(0))


def test_a_sample_leaves_out_what_has_no_direction() -> None:
    vectors = np.eye(6, dtype=np.float32)
    vectors[2] = 0
    found = sampled(vectors, np.array([1, 2, 3]), most=5)
    assert found.tolist() == vectors[[1, 3]].tolist()
    assert len(sampled(vectors, np.arange(6), most=2)) == 2
