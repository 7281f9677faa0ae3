"""Percentiles and shares: numpy's and scipy's values, printed tables, and that bounds cover."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mox.bench.providers.quantiles import (
    PERCENTILES,
    quantile,
    quantiles,
    ranks,
    requests_to_show,
    wilson,
)

VALUES = st.lists(st.floats(0, 1e6), min_size=1, max_size=300)


@given(VALUES, st.sampled_from([0.5, 0.9, 0.95]))
def test_a_percentile_is_numpys(values: list[float], q: float) -> None:
    assert quantile(values, q).value == pytest.approx(np.quantile(values, q), rel=1e-12, abs=1e-9)


@given(VALUES)
def test_percentiles_and_their_ends_rise(values: list[float]) -> None:
    found = [quantile(values, q) for q in PERCENTILES if len(values) >= 200 or q < 0.99]
    for end in ("low", "value", "high"):
        ends = [getattr(one, end) for one in found if getattr(one, end) is not None]
        assert ends == sorted(ends)
    for one in found:
        assert one.low is None or one.low <= one.value  # type: ignore[operator]
        assert one.high is None or one.value <= one.high  # type: ignore[operator]


@pytest.mark.parametrize("n", [1, 5, 6, 20, 100, 368, 369, 1000])
@pytest.mark.parametrize("q", PERCENTILES)
def test_ranks_are_the_tightest_that_scipys_binomial_allows(n: int, q: float) -> None:
    low, high = ranks(n, q)
    below = stats.binom(n, q)
    # The percentile is under the value of rank l where fewer than l values are under it.
    fits = [rank for rank in range(1, n + 1) if below.cdf(rank - 1) <= 0.025]
    assert low == (max(fits) if fits else None)
    reach = [rank for rank in range(1, n + 1) if below.sf(rank - 1) <= 0.025]
    assert high == (min(reach) if reach else None)


def test_ranks_of_a_median_are_those_of_the_sign_test() -> None:
    # Conover, Practical Nonparametric Statistics, table of the sign test: n = 20, 95 %: 6 and 15.
    assert ranks(20, 0.5) == (6, 15)
    assert ranks(5, 0.5) == (None, None)  # 2 · 0.5^5 = 6 % is over 5 %
    assert ranks(6, 0.5) == (1, 6)


@pytest.mark.parametrize("q", [0.5, 0.9, 0.95])
def test_intervals_cover_the_percentile_of_a_heavy_tail(q: float) -> None:
    rng, truth = np.random.default_rng(7), float(np.exp(stats.norm.ppf(q)))
    inside = 0
    for sample in np.exp(rng.standard_normal((2000, 210))):
        found = quantile(list(sample), q)
        assert found.low is not None
        assert found.high is not None
        inside += found.low <= truth <= found.high
    assert inside / 2000 >= 0.94  # 95 % or more by construction, less two errors of 2,000 draws


def test_p99_is_refused_under_200_and_says_why() -> None:
    found = quantiles([float(n) for n in range(199)])
    assert found["p99"].value is None
    assert "n=199 < 200" in str(found["p99"].why)
    assert found["p95"].value is not None
    assert quantiles([float(n) for n in range(200)])["p99"].value == pytest.approx(197.01)


def test_an_end_that_no_value_bounds_is_none() -> None:
    found = quantile([float(n) for n in range(40)], 0.95)
    assert found.high is None  # 0.95^40 = 13 %: the largest may well lie under the percentile
    assert found.document()["high"] is None


def test_nothing_measured_has_no_percentile() -> None:
    assert quantile([], 0.5).document() == {
        "value": None, "low": None, "high": None, "why": "nothing was measured.",
    }  # fmt: skip


@pytest.mark.parametrize(("met", "n"), [(0, 10), (1, 10), (50, 70), (69, 70), (70, 70)])
def test_wilsons_bounds_are_scipys(met: int, n: int) -> None:
    low, high = wilson(met, n)
    # Two one-sided bounds of 95 % are the two ends of a two-sided interval of 90 %.
    expected = stats.binomtest(met, n).proportion_ci(0.90, method="wilson")
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize("share", [0.5, 0.9, 0.95, 0.99])
def test_the_fewest_requests_that_show_a_share_do_show_it(share: float) -> None:
    n = requests_to_show(share)
    assert wilson(n, n)[0] >= share - 1e-12
    assert wilson(n - 1, n - 1)[0] < share
    assert requests_to_show(0.95) == 52  # 1.645² · 19 = 51.4
