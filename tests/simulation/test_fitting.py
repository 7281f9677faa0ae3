"""A profile is found again in what it played."""

from dataclasses import replace

import numpy as np
import pytest

from mox.errors import DataError
from mox.simulation.core import script
from mox.simulation.fitting import Observed, fit
from mox.simulation.latency import queue_s, slower
from mox.simulation.models import MODELS
from mox.simulation.profiles import Profile
from mox.simulation.script import Asked
from mox.types.providers import Message

KNOWN = Profile(
    name="known",
    network_s=0.1,
    first_s=0.2,
    first_per_token_s=0.0002,
    first_sigma=0.3,
    token_s=0.01,
    token_shape=3.0,
    stall_share=0.01,
    stall_s=0.3,
    stall_alpha=2.5,
    chunk_shares=(0.7, 0.2, 0.1),
    slots=12,
    slowdown=0.5,
    fills=True,
)


def observed(profile, *, requests, loads, words=(20, 400, 1500), tokens=80, counted=True):
    model = MODELS["sim-swift"].model_copy(update={"profile": profile})
    drawn = np.random.default_rng(1)
    rows, gaps = [], []
    for number in range(requests):
        load = drawn.choice(loads)
        text = f"{number} " + "word " * drawn.choice(words)
        asked = Asked("chat", "one", "m", (Message("user", text),), tokens)
        found = script(asked, model, seed=0, load=load)
        rows.append((found.tokens[0].due_s, found.usage.input_tokens, load, tokens))
        for before, after in zip(found.tokens, found.tokens[1:], strict=False):
            size = after.tokens if counted else len(after.text) * tokens / len(found.text)
            gaps.append((after.due_s - before.due_s, size, load))
    return Observed(
        *np.array(rows, dtype=float).T, *np.array(gaps, dtype=float).T, network_s=profile.network_s
    )


@pytest.fixture(scope="module")
def found():
    return fit(observed(KNOWN, requests=400, loads=[0, 2, 6, 11, 14, 20, 30]), name="found")


@pytest.mark.parametrize(
    ("field", "within"),
    [
        # Standard errors at n = 400 requests (a third of them on low load) and some 22,000 gaps:
        # 0.3/√133 = 2.6 % of the first token's median; 1/√(3·22,000) = 0.4 % of a token; a
        # Pareto's exponent 1/√220 = 7 %; three of each and more are allowed.
        ("first_s", 0.10),
        ("first_per_token_s", 0.15),
        ("first_sigma", 0.20),
        ("token_s", 0.03),
        ("token_shape", 0.06),
        ("stall_share", 0.25),
        ("stall_s", 0.05),
        ("stall_alpha", 0.25),
        ("slowdown", 0.10),
        ("slots", 0.10),
    ],
)
def test_a_known_profile_is_recovered(found, field, within):
    assert getattr(found, field) == pytest.approx(getattr(KNOWN, field), rel=within)


def test_the_chunks_sizes_are_recovered(found):
    assert found.chunk_shares == pytest.approx(KNOWN.chunk_shares, abs=0.02)


def queue(profile, load):
    """Seconds of the median wait for a slot, answers of a second each."""
    return queue_s(profile, load=load, service_s=1.0, normal=0.0)


@pytest.mark.parametrize("loads", [[0], [0, 3, 6]])
def test_a_run_in_which_nobody_waited_finds_no_queue_at_any_load(loads):
    found = fit(observed(KNOWN, requests=60, loads=loads), name="found")
    assert queue(found, 10 * max(loads) + 10) == 0
    assert found.recorded_load == max(loads)


def test_without_a_queue_a_token_still_slows_down_with_the_load():
    """By 0.5 / 12 for each other request, as far as was seen."""
    found = fit(observed(KNOWN, requests=150, loads=[0, 3, 6, 9]), name="found")
    assert queue(found, 90) == 0
    assert slower(found, 6) == pytest.approx(1 + 0.5 / 12 * 6, rel=0.03)


def test_tokens_estimated_from_characters_find_one_token_a_chunk():
    single = KNOWN.model_copy(update={"chunk_shares": (1.0,)})
    found = fit(observed(single, requests=150, loads=[0], counted=False), name="found")
    assert found.chunk_shares == (1.0,)
    assert found.token_s == pytest.approx(single.token_s, rel=0.03)
    assert found.token_shape == pytest.approx(single.token_shape, rel=0.1)


def test_tokens_estimated_from_characters_find_the_pairs_among_them():
    """Of chunks of 1.15 tokens on average 15 % are pairs: a gap is 11.5 ms on average."""
    some = KNOWN.model_copy(update={"chunk_shares": (0.85, 0.15), "stall_share": 0.0})
    seen = observed(some, requests=150, loads=[0], counted=False)
    hidden = replace(seen, output_tokens=seen.output_tokens + 900)  # thought, and never shown
    found = fit(hidden, name="found")
    assert found.chunk_shares == pytest.approx((0.85, 0.15), abs=0.02)
    assert found.chunk_tokens * found.token_s == pytest.approx(0.0115, rel=0.03)
    assert found.token_shape == pytest.approx(some.token_shape, rel=0.1)


def test_chance_is_not_taken_for_a_queue():
    free = KNOWN.model_copy(update={"slots": 1000, "first_sigma": 0.6})
    found = fit(observed(free, requests=100, loads=range(60), tokens=5), name="found")
    assert queue(found, 600) == 0


def test_a_run_with_one_length_of_prompt_puts_all_into_the_base():
    found = fit(observed(KNOWN, requests=60, loads=[0], words=(400,)), name="found")
    assert found.first_per_token_s == 0.0
    expected = KNOWN.first_s + KNOWN.first_per_token_s * 410
    assert found.first_s == pytest.approx(expected, rel=0.15)


def test_too_little_is_refused():
    with pytest.raises(DataError, match="3 whole answers"):
        fit(observed(KNOWN, requests=3, loads=[0]), name="found")


def test_arrays_of_different_lengths_are_refused():
    whole = observed(KNOWN, requests=30, loads=[0])
    short = Observed(**{**vars(whole), "load": whole.load[:-1]})
    with pytest.raises(DataError, match="different lengths"):
        fit(short, name="found")
