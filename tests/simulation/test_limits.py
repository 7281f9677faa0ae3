"""Limits against buckets reckoned by hand: exact fractions, and the other way round in time."""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from mox.simulation.config import Limits
from mox.simulation.limits import Bucket, Cost, Gate, Production
from mox.simulation.wire import headers


class ByHand:
    """A bucket as the moment at which it will be full again: no levels, no floats."""

    def __init__(self, per_s: int, capacity: int) -> None:
        self.per_s, self.capacity, self.full_at = per_s, capacity, Fraction(0)

    def wait(self, amount: int, now: Fraction) -> Fraction:
        # It is `capacity - (full_at - now) * per_s` full, and has to be `amount` full.
        needed = self.full_at - Fraction(self.capacity - min(amount, self.capacity), self.per_s)
        return max(Fraction(0), needed - now)

    def take(self, amount: int, now: Fraction) -> None:
        self.full_at = max(self.full_at, now) + Fraction(amount, self.per_s)


REQUESTS = st.lists(
    st.tuples(st.integers(0, 4000), st.integers(0, 300), st.integers(1, 300)), max_size=40
)
"""Milliseconds since the one before, input in characters / 4, `max_tokens`."""


@settings(deadline=None)
@given(REQUESTS, st.integers(1, 20), st.integers(1, 5))
def test_openai_admits_what_buckets_by_hand_admit(
    requests: list[tuple[int, int, int]], per_s: int, burst_s: int
) -> None:
    """One bucket of requests, one of input + max_tokens; nothing comes back."""
    limits = Limits(rpm=60 * per_s, tpm=6000 * per_s, burst_s=burst_s)
    gate = Gate(limits, 0.0)
    by_hand = {1: ByHand(per_s, per_s * burst_s), 100: ByHand(100 * per_s, 100 * per_s * burst_s)}
    ms = 0
    for wait_ms, characters4, max_tokens in requests:
        ms += wait_ms
        now = Fraction(ms, 1000)
        amounts = {1: 1, 100: characters4 + max_tokens}
        waits = [by_hand[of].wait(amount, now) for of, amount in amounts.items()]
        cost = Cost(characters4, fresh_input=0, max_output=max_tokens)
        denied = gate.ask(cost, ms / 1000)
        assert (denied is not None) == (max(waits) > 0)
        if denied is None:
            gate.charge(cost, ms / 1000)
            for of, amount in amounts.items():
                by_hand[of].take(amount, now)
        else:
            if waits[0] != waits[1]:  # else either may be named
                assert denied.reason == ("requests" if waits[0] > waits[1] else "tokens")
            if waits[0] == 0:  # a refused request counts as a request, where one is left
                by_hand[1].take(1, now)
            wait = max(by_hand[of].wait(amount, now) for of, amount in amounts.items())
            assert denied.wait_s == pytest.approx(float(wait), abs=1e-6)


@settings(deadline=None)
@given(REQUESTS, st.integers(1, 20), st.integers(1, 5))
def test_anthropic_admits_by_fresh_input_whatever_max_tokens_says(
    requests: list[tuple[int, int, int]], per_s: int, burst_s: int
) -> None:
    gate = Gate(
        Limits(
            accounting="anthropic", rpm=60_000, itpm=6000 * per_s, otpm=60 * per_s, burst_s=burst_s
        ),
        0.0,
    )
    by_hand = ByHand(100 * per_s, 100 * per_s * burst_s)
    ms = 0
    for wait_ms, fresh, max_tokens in requests:
        ms += wait_ms
        cost = Cost(10**9, fresh_input=fresh, max_output=max_tokens * 10**6)
        wait = by_hand.wait(fresh, Fraction(ms, 1000))
        denied = gate.ask(cost, ms / 1000)
        assert (denied.reason if denied else None) == ("input" if wait > 0 else None)
        if denied is None:
            gate.charge(cost, ms / 1000)
            by_hand.take(fresh, Fraction(ms, 1000))


@settings(deadline=None)
@given(REQUESTS)
def test_no_stretch_of_time_gets_more_than_its_refill_and_one_burst(
    requests: list[tuple[int, int, int]],
) -> None:
    gate = Gate(Limits(rpm=60_000, tpm=6000, burst_s=4), 0.0)
    ms, taken = 0, []
    for wait_ms, characters4, max_tokens in requests:
        ms += wait_ms
        cost = Cost(characters4, fresh_input=0, max_output=min(max_tokens, 400 - characters4))
        if gate.ask(cost, ms / 1000) is None:
            gate.charge(cost, ms / 1000)
            taken.append((ms, cost.estimated_input + cost.max_output))
    for first in range(len(taken)):
        total = 0
        for at, amount in taken[first:]:
            total += amount
            # 6,000 a minute are 100 a second; 4 seconds of them fit into the bucket
            assert total <= 400 + 100 * (at - taken[first][0]) / 1000 + 1e-6


@settings(deadline=None)
@given(REQUESTS, st.integers(10, 60), st.integers(4, 8))
def test_whoever_comes_back_at_the_told_time_is_let_in(
    requests: list[tuple[int, int, int]], per_min: int, burst_s: int
) -> None:
    """With nobody else about. Few requests a minute, so that a refused one is dear."""
    gate = Gate(Limits(rpm=per_min, tpm=6000, burst_s=burst_s), 0.0)
    now_s = 0.0
    for wait_ms, characters4, max_tokens in requests:
        now_s += wait_ms / 1000
        cost = Cost(characters4, fresh_input=0, max_output=max_tokens)
        denied = gate.ask(cost, now_s)
        if denied is not None:
            assert denied.wait_s is not None
            now_s += denied.wait_s + 1e-9  # sums of floats
            assert gate.ask(cost, now_s) is None
        gate.charge(cost, now_s)


def test_a_refused_request_counts_as_a_request_at_openais() -> None:
    """30 a minute and 4 s of burst: 2 requests fit, and half of one comes back in a second.

    The first takes all 400 tokens, the second is refused for tokens. A second later there are
    100 tokens for the third, and half a request: without the second's it would be 1.5.
    """
    gate = Gate(Limits(rpm=30, tpm=6000, burst_s=4), 0.0)
    all_of_it = Cost(100, fresh_input=0, max_output=300)
    assert gate.ask(all_of_it, 0.0) is None
    gate.charge(all_of_it, 0.0)
    assert gate.ask(all_of_it, 0.0) is not None
    denied = gate.ask(Cost(1, fresh_input=0, max_output=49), 1.0)
    assert denied is not None
    assert denied.reason == "requests"
    assert denied.wait_s == pytest.approx(1.0)


def test_output_is_charged_when_it_is_produced() -> None:
    """600 a minute are 10 a second, 10 fit. A stream makes 20 a second, the first after 50 ms.

    Until the first token the bucket is full, and 0.5 of its refill is lost: after a second it
    holds 10 + 9.5 - 20 = -0.5, and one token is there after 0.15 s more.
    """
    gate = Gate(Limits(accounting="anthropic", rpm=6000, itpm=6000, otpm=600, burst_s=1), 0.0)
    cost = Cost(1, fresh_input=1, max_output=40)
    assert gate.ask(cost, 0.0) is None
    gate.charge(cost, 0.0)
    gate.produce(Production([0.05 * (at + 1) for at in range(40)], [1] * 40))
    assert gate.ask(cost, 0.5) is None
    denied = gate.ask(cost, 1.0)
    assert denied is not None
    assert denied.reason == "output"
    assert denied.wait_s == pytest.approx(0.15)


def test_what_a_client_left_before_it_was_produced_is_not_charged() -> None:
    gate = Gate(Limits(accounting="anthropic", rpm=6000, itpm=6000, otpm=6000), 0.0)
    stream = Production([1.0, 2.0, 3.0], [5, 7, 11])
    gate.produce(stream)
    gate.stop(stream, 2.5)
    gate.bring_to(60.0)
    assert gate.buckets["output"].charged == 5 + 7


def test_a_request_of_more_than_a_minutes_tokens_never_fits() -> None:
    gate = Gate(Limits(rpm=10, tpm=1000), 0.0)
    denied = gate.ask(Cost(500, fresh_input=0, max_output=501), 0.0)
    assert denied is not None
    assert denied.wait_s is None


def test_a_request_larger_than_the_burst_goes_once_the_bucket_is_full_and_overdraws_it() -> None:
    gate = Gate(Limits(rpm=600, tpm=6000, burst_s=1), 0.0)  # 100 a second, 100 fit
    cost = Cost(50, fresh_input=0, max_output=250)
    assert gate.ask(cost, 0.0) is None
    gate.charge(cost, 0.0)
    denied = gate.ask(cost, 1.0)  # at -200 + 100
    assert denied is not None
    assert denied.wait_s == pytest.approx(2.0)
    assert gate.ask(cost, 3.0) is None


def test_growth_is_held_against_the_minute_before() -> None:
    """100 a minute: a fifth is always allowed; with growth of half, 20 and then 30."""
    gate = Gate(Limits(rpm=100, tpm=10**6, growth_per_min=0.5), 0.0)
    cost = Cost(1, fresh_input=0, max_output=1)
    let_in = {0: 0, 1: 0}
    for second in range(120):
        denied = gate.ask(cost, float(second))
        if denied is None:
            gate.charge(cost, float(second))
            let_in[second // 60] += 1
        else:
            assert denied.reason == "acceleration"
    assert let_in == {0: 20, 1: 30}


def test_growth_from_few_requests_a_minute_lets_one_in() -> None:
    """3 a minute: a fifth of them is less than one request."""
    gate = Gate(Limits(rpm=3, tpm=10**6, growth_per_min=0.5), 0.0)
    cost = Cost(1, fresh_input=0, max_output=1)
    assert gate.ask(cost, 0.0) is None
    gate.charge(cost, 0.0)
    denied = gate.ask(cost, 21.0)
    assert denied is not None
    assert (denied.reason, denied.wait_s) == ("acceleration", 39.0)


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(0, "0ms"), (0.12, "120ms"), (1, "1s"), (2.598, "2.598s"), (360, "6m0s"), (3723, "1h2m3s")],
)
def test_durations_are_written_as_openai_writes_them(seconds: float, written: str) -> None:
    """`120ms`, `1s`, `2.598s` and `6m0s` stand in OpenAI's documents and messages."""
    assert headers.duration(seconds) == written


def test_openais_headers() -> None:
    gate = Gate(Limits(rpm=60, tpm=6000, project_headers=True), 0.0)
    gate.charge(Cost(200, fresh_input=0, max_output=400), 0.0)
    assert headers.standing(gate, "chat", datetime.now(UTC)) == {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-limit-tokens": "6000",
        "x-ratelimit-remaining-tokens": "5400",
        "x-ratelimit-reset-tokens": "6s",
        "x-ratelimit-limit-project-tokens": "6000",
        "x-ratelimit-remaining-project-tokens": "5400",
        "x-ratelimit-reset-project-tokens": "6s",
    }


def test_anthropics_headers_round_tokens_to_thousands_and_name_moments() -> None:
    gate = Gate(Limits(accounting="anthropic", rpm=60, itpm=60_000, otpm=6000), 0.0)
    gate.charge(Cost(1, fresh_input=2600, max_output=9), 0.0)
    at = datetime(2026, 11, 26, 12, 0, 0, tzinfo=UTC)
    found = headers.standing(gate, "messages", at)
    short = {name.removeprefix("anthropic-ratelimit-"): value for name, value in found.items()}
    assert short == {
        "requests-limit": "60",
        "requests-remaining": "59",
        "requests-reset": "2026-11-26T12:00:01Z",
        "input-tokens-limit": "60000",
        "input-tokens-remaining": "57000",  # 57,400
        "input-tokens-reset": "2026-11-26T12:00:03Z",  # 2.6 s, in whole seconds
        "output-tokens-limit": "6000",
        "output-tokens-remaining": "6000",
        "output-tokens-reset": "2026-11-26T12:00:00Z",
        "tokens-limit": "66000",
        "tokens-remaining": "63000",  # 63,400
        "tokens-reset": "2026-11-26T12:00:03Z",
    }


def test_each_resource_keeps_its_name_where_a_wire_meets_the_other_accounting() -> None:
    anthropics = Gate(Limits(accounting="anthropic", rpm=60, itpm=6000, otpm=600), 0.0)
    found = headers.standing(anthropics, "responses", datetime.now(UTC))
    assert found["x-ratelimit-remaining-input-tokens"] == "6000"
    assert found["x-ratelimit-remaining-output-tokens"] == "600"
    openais = headers.standing(Gate(Limits(rpm=60, tpm=6000), 0.0), "messages", datetime.now(UTC))
    assert openais["anthropic-ratelimit-tokens-remaining"] == "6000"
    assert "anthropic-ratelimit-input-tokens-remaining" not in openais


@settings(deadline=None)
@given(st.integers(1, 10**6), st.integers(1, 600))
def test_a_full_bucket_always_holds_one(per_min: int, burst_s: int) -> None:
    assert Bucket(per_min, burst_s, now_s=0.0).wait_s(1) == 0.0


@pytest.mark.parametrize(
    "limits",
    [
        {"rpm": 1},
        {"rpm": 1, "tpm": 1, "otpm": 1},
        {"accounting": "anthropic", "rpm": 1, "tpm": 1},
        {"accounting": "anthropic", "rpm": 1, "itpm": 1},
        {"accounting": "anthropic", "rpm": 1, "itpm": 1, "otpm": 1, "tpm": 1},
    ],
)
def test_limits_of_the_other_accounting_are_refused(limits: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="accounting has"):
        Limits.model_validate(limits)
