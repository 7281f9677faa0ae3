"""Power laws: found again where they are known, and their intervals hold as often as they say."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mox.bench.fits import FAR, Crossing, Power, fit, fits
from mox.bench.points import Point, Spread, Way, by_way

SIZES = (2_000, 5_000, 10_000, 20_000, 50_000, 100_000)
WAY = Way({"kind": "HNSW", "m": 16}, {"ef": 64}, 4)


def points(what: str, values: list[float], sizes: tuple[int, ...] = SIZES) -> list[Point]:
    return [
        Point(WAY, n, n, {what: Spread.of(value)}) for n, value in zip(sizes, values, strict=True)
    ]


def curve(what: str, values: list[float], sizes: tuple[int, ...] = SIZES) -> Power:
    found = fit(what, points(what, values, sizes))
    assert found is not None
    return found


def test_a_power_law_is_found_again_with_no_width() -> None:
    found = curve("p95_ms", [0.02 * n**0.5 for n in SIZES])
    assert (found.a, found.b) == (pytest.approx(0.02), pytest.approx(0.5))
    assert found.exponent == (pytest.approx(0.5), pytest.approx(0.5))
    assert found.worst == pytest.approx(0.0, abs=1e-9)
    # 0.02·√n = 4 at n = 40,000, and 10 at 250,000, which nobody measured.
    assert found.reaches(4.0) == Crossing(
        pytest.approx(40_000), pytest.approx(40_000), pytest.approx(40_000), False
    )
    far = found.reaches(10.0)
    assert far.n == pytest.approx(250_000)
    assert far.outside


def test_least_squares_by_hand() -> None:
    """x = 0, 1, 2 (n = 1, e, e²) and y = 0, 2, 1: the slope is Σ(x − 1)(y − 1)/Σ(x − 1)²
    = (−1·−1 + 0·1 + 1·0)/2 = 0.5, the level 1; the residuals are −0.5, 1, −0.5 and their squares
    sum to 1.5 with one degree of freedom. t is 12.706."""
    sizes = (1_000, 10_000, 100_000)
    ten = math.log(10)
    found = curve("p95_ms", [math.exp(0), math.exp(2 * ten), math.exp(1 * ten)], sizes)
    assert found.b == pytest.approx(0.5)
    assert found.deviation == pytest.approx(math.sqrt(1.5) * ten)
    half = 12.706 * math.sqrt(1.5 / 2)
    assert found.exponent == (
        pytest.approx(0.5 - half, rel=1e-3),
        pytest.approx(0.5 + half, rel=1e-3),
    )
    # At the middle the interval of the mean is t·s/√3, in logarithms.
    at = found.at(10_000)
    assert at.value == pytest.approx(10.0)
    assert math.log(at.high / at.value) == pytest.approx(12.706 * math.sqrt(1.5 / 3) * ten, 1e-3)


def test_what_was_not_measured_is_said_to_be_outside() -> None:
    found = curve("p95_ms", [0.02 * n**0.5 for n in SIZES])
    assert [found.at(n).outside for n in (1_999, 2_000, 100_000, 100_001)] == [
        True, False, False, True,
    ]  # fmt: skip


def test_a_recall_is_never_above_one() -> None:
    found = curve("recall", [1.0, 1.0, 0.99, 0.99, 0.98, 0.97])
    assert found.at(10).high == 1.0
    assert found.at(10).value == 1.0


def test_two_sizes_make_no_curve_and_invalid_latencies_count_for_nothing() -> None:
    assert fit("p95_ms", points("p95_ms", [1.0, 2.0], SIZES[:2])) is None
    marked = [
        Point(WAY, n, n, {"p95_ms": Spread.of(1.0), "recall": Spread.of(0.9)}, invalid="clients")
        for n in SIZES
    ]
    assert fit("p95_ms", marked) is None
    assert fit("recall", marked) is not None


def test_each_configuration_has_curves_of_its_own() -> None:
    other = Way({"kind": "FLAT"}, {}, 4)
    many = points("qps", [100.0] * 6) + [
        Point(other, n, n, {"qps": Spread.of(1e6 / n)}) for n in SIZES
    ]
    found = fits(by_way(many))
    assert {way.name: curves["qps"].b for way, curves in found.values()} == {
        "HNSW m=16 ef=64, 4 clients": pytest.approx(0.0),
        "FLAT, 4 clients": pytest.approx(-1.0),
    }


class TestCrossings:
    def test_what_falls_crosses_its_bound_downwards(self) -> None:
        # 2·n^−0.1 is 0.9 at n = (2/0.9)^10 = 2,935.6.
        found = curve("recall", [min(1.0, 2 * n**-0.1) for n in SIZES])
        assert found.reaches(0.9).n == pytest.approx((2 / 0.9) ** 10)

    def test_a_curve_that_stays_within_its_bound_never_crosses(self) -> None:
        flat = curve("p95_ms", [2.0] * 6)
        assert flat.reaches(20.0) == Crossing(None, None, None, True)
        falling = curve("p95_ms", [3.0, 2.5, 2.2, 2.0, 1.8, 1.6])
        assert falling.reaches(20.0).n is None

    def test_a_curve_that_never_keeps_its_bound_breaks_it_from_the_first_vector_on(self) -> None:
        flat = curve("p95_ms", [30.0] * 6)
        assert flat.reaches(20.0).n == 0.0

    def test_past_all_sizes_that_matter_is_never(self) -> None:
        slow = curve("p95_ms", [n**0.01 for n in SIZES])
        assert slow.reaches(2.0).n is None  # 2^100 vectors
        assert FAR < 2.0**100

    def test_a_slope_that_is_not_told_from_none_leaves_the_interval_open(self) -> None:
        noisy = curve("p95_ms", [2.0, 2.6, 1.9, 2.7, 2.1, 2.6])
        found = noisy.reaches(20.0)
        assert found.high is None, "nothing says that it is ever reached"
        assert found.low is not None
        assert found.low > 100_000, "but not at a size that was measured"

    @pytest.mark.parametrize("bound_at", [8_000.0, 60_000.0, 400_000.0])
    def test_the_interval_holds_the_true_size_in_95_of_100_repetitions(
        self, bound_at: float
    ) -> None:
        """Inside the measured sizes and four times beyond them; noise of 10 %, 2,000 times."""
        draw = np.random.default_rng(0)
        a, b, noise, times = 0.05, 0.4, 0.1, 2_000
        bound = a * bound_at**b
        held = 0
        for _ in range(times):
            values = [a * n**b * math.exp(noise * draw.normal()) for n in SIZES]
            found = curve("p95_ms", values).reaches(bound)
            low = math.inf if found.low is None else found.low
            high = math.inf if found.high is None else found.high
            held += low <= bound_at <= high
        # Binomial: 95 % ± 3·√(0.95·0.05/2,000) = 1.5 %.
        assert held / times == pytest.approx(0.95, abs=0.015)

    def test_with_hardly_a_slope_it_holds_it_no_less_often(self) -> None:
        """Half the intervals are open then; what is taken of Fieller's set must not be too
        little."""
        draw = np.random.default_rng(1)
        a, b, noise, times = 2.0, 0.02, 0.1, 2_000
        bound_at = 300_000.0
        bound = a * bound_at**b
        held = 0
        for _ in range(times):
            values = [a * n**b * math.exp(noise * draw.normal()) for n in SIZES]
            found = curve("p95_ms", values).reaches(bound)
            low = math.inf if found.low is None else found.low
            high = math.inf if found.high is None else found.high
            held += low <= bound_at <= high
        assert held / times >= 0.93
