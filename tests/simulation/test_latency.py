"""Times follow the distributions that the profile names, by their closed forms."""

import math
from statistics import NormalDist, fmean, median, variance

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mox.simulation.core import script
from mox.simulation.draws import Draws
from mox.simulation.latency import first_s, gaps_s, queue_s, service_s
from mox.simulation.models import MODELS
from mox.simulation.profiles import Profile
from mox.simulation.script import Asked
from mox.types.providers import Message

PLAIN = Profile(name="plain", first_s=0.2, token_s=0.01, fills=True)


def profile(**other):
    return PLAIN.model_copy(update=other)


def scripts(chosen, *, requests, text="word", limit=1, **more):
    model = MODELS["sim-swift"].model_copy(update={"profile": chosen})
    for number in range(requests):
        message = Message("user", f"{text} {number:04d}")
        yield script(Asked("chat", "one", "m", (message,), limit), model, seed=0, **more)


def test_the_first_token_is_lognormal_about_its_median():
    # Lognormal of median M and deviation s of the logarithm: the q-quantile is M·exp(s·z_q).
    chosen = profile(network_s=0.03, first_per_token_s=0.001, first_sigma=0.5)
    found = list(scripts(chosen, requests=1_000))
    tokens = {one.usage.input_tokens for one in found}
    assert len(tokens) == 1
    middle = 0.2 + 0.001 * tokens.pop()
    waits = np.array([one.tokens[0].due_s for one in found]) - 0.03
    for share in (0.1, 0.5, 0.9):
        expected = middle * math.exp(0.5 * NormalDist().inv_cdf(share))
        # The outer quantiles' standard error is 2.7 % of them at n = 1,000 and s = 0.5.
        assert np.quantile(waits, share) == pytest.approx(expected, rel=0.08)


def test_cached_input_costs_no_time_to_the_first_token():
    chosen = profile(first_per_token_s=0.001)
    (cold,) = scripts(chosen, requests=1, text="word " * 500)
    (warm,) = scripts(chosen, requests=1, text="word " * 500, cached_tokens=400)
    assert cold.tokens[0].due_s - warm.tokens[0].due_s == pytest.approx(0.4)


def test_token_times_are_gamma_by_mean_and_variance():
    # A gamma of shape k and mean m has variance m²/k; n tokens together have n·m and n·m²/k.
    gaps = gaps_s(profile(token_shape=4.0), [1] * 20_000, Draws(b"one"))
    assert fmean(gaps) == pytest.approx(0.01, rel=0.02)
    assert variance(gaps) == pytest.approx(0.01**2 / 4, rel=0.06)
    double = gaps_s(profile(token_shape=4.0), [2] * 20_000, Draws(b"two"))
    assert fmean(double) == pytest.approx(0.02, rel=0.02)
    assert variance(double) == pytest.approx(2 * 0.01**2 / 4, rel=0.06)


def test_stalls_are_pareto():
    # P(stall > t) = (least / t)^alpha: the median is least·2^(1/alpha), a tenth is over
    # least·10^(1/alpha).
    chosen = profile(token_shape=1e6, token_s=1e-9, stall_share=0.5, stall_s=0.2, stall_alpha=2.0)
    gaps = gaps_s(chosen, [1] * 20_000, Draws(b"one"))
    late = gaps[gaps > 0.1]
    assert len(late) / len(gaps) == pytest.approx(0.5, abs=0.02)
    assert min(late) == pytest.approx(0.2, rel=0.01)
    assert median(late) == pytest.approx(0.2 * math.sqrt(2), rel=0.03)
    assert np.quantile(late, 0.9) == pytest.approx(0.2 * math.sqrt(10), rel=0.05)


def test_chunks_hold_as_many_tokens_as_their_shares_say():
    (found,) = scripts(profile(chunk_shares=(0.5, 0.0, 0.5)), requests=1, limit=8_000)
    sizes = [token.tokens for token in found.tokens]
    assert set(sizes[:-1]) == {1, 3}
    assert sizes.count(3) / len(sizes) == pytest.approx(0.5, abs=0.03)


def test_nobody_waits_while_a_slot_is_free():
    assert queue_s(profile(slots=8), load=7, service_s=1.0, normal=3.0) == 0.0


@pytest.mark.parametrize("ahead", [1, 3, 20])
def test_the_queue_is_a_gamma_of_as_many_departures_as_are_ahead(ahead):
    # With c busy slots of mean service S the q-th in the queue waits for q departures, S/c apart
    # on average: gamma of shape q. Its quantiles by numpy's own gamma; ours is an approximation,
    # off by 6 % in the lower tenth of shape 1.
    drawn = np.random.default_rng(0).standard_gamma(ahead, 200_000) * 2.0 / 8
    for share in (0.1, 0.5, 0.95):
        normal = NormalDist().inv_cdf(share)
        found = queue_s(profile(slots=8), load=7 + ahead, service_s=2.0, normal=normal)
        assert found == pytest.approx(np.quantile(drawn, share), rel=0.08)


@given(st.integers(0, 300), st.floats(-1.0, 4.0))
def test_more_load_never_waits_less(load, normal):
    less, more = (
        queue_s(profile(slots=4), load=one, service_s=1.0, normal=normal)
        for one in (load, load + 1)
    )
    assert more >= less


def test_a_closed_loop_at_saturation_gets_the_slots_throughput():
    # N callers on c slots: by Little's law N = X·R, and X can't be more than c/S, so R = N·S/c.
    slots, callers = 4, 40
    chosen = profile(slots=slots, token_shape=1e6)
    service = service_s(chosen, uncached_tokens=0, tokens=50)
    wait = queue_s(chosen, load=callers - 1, service_s=service, normal=0.0)
    assert wait + service == pytest.approx(callers * service / slots, rel=0.04)


def test_a_busy_provider_is_slower_by_the_token():
    chosen = profile(slots=10, slowdown=0.5, token_shape=1e9)
    (idle,) = scripts(chosen, requests=1, limit=101)
    (half,) = scripts(chosen, requests=1, limit=101, load=5)
    took = [one.done_s - one.tokens[0].due_s for one in (idle, half)]
    assert took == pytest.approx([100 * 0.01, 100 * 0.01 * 1.25], rel=1e-3)


def test_the_service_time_is_the_mean_of_what_is_played():
    chosen = profile(first_sigma=0.4, stall_share=0.02, stall_s=0.1, stall_alpha=3.0)
    found = list(scripts(chosen, requests=400, limit=30))
    expected = service_s(chosen, uncached_tokens=found[0].usage.input_tokens, tokens=30)
    assert fmean(one.done_s for one in found) == pytest.approx(expected, rel=0.04)


def test_the_median_of_the_first_token_is_what_the_profile_says():
    assert first_s(
        profile(first_per_token_s=0.01), uncached_tokens=30, normal=0.0
    ) == pytest.approx(0.5)
