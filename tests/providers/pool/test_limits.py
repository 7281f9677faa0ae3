"""What an account may be said to have."""

from __future__ import annotations

import random

import pytest

from mox.errors import SpecError
from mox.providers.pool import Account, Limits, Need
from mox.providers.pool.books import Books
from mox.providers.pool.forms import Ask, Booked, Closing
from mox.registry import validate
from mox.simulation.config import Limits as Strict
from mox.simulation.limits import Cost, Gate


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ({}, "no limit is stated: take requests_per_min"),
        ({"unlimited": True, "requests_per_min": 5}, "unlimited, and requests_per_min is stated"),
        ({"tokens_per_min": 5, "output_per_min": 5}, "tokens_per_min counts input and output"),
        ({"output_per_min": 5, "accounting": "openai"}, "`openai` has one limit of tokens"),
        ({"requests_per_min": 0}, "greater than 0"),
        ({"requests_per_min": 5, "burst_s": 0}, "greater than 0"),
        ({"tokens_per_minute": 5}, "did you mean 'tokens_per_min'"),
    ],
)
def test_limits_that_can_not_be_meant_are_refused(stated: dict[str, float], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        validate(Limits, stated, name="limits")


@pytest.mark.parametrize(
    ("stated", "counts"),
    [
        ({"requests_per_min": 60}, "openai"),
        ({"tokens_per_min": 60}, "openai"),
        ({"output_per_min": 60}, "anthropic"),
        ({"input_per_min": 60}, "anthropic"),
        ({"tokens_per_min": 60, "accounting": "anthropic"}, "anthropic"),
        ({"unlimited": True}, "openai"),
    ],
)
def test_the_accounting_follows_from_what_is_stated(stated: dict[str, float], counts: str) -> None:
    assert Limits(**stated).counts == counts


def test_half_of_a_second_is_free_at_once_and_one_request_at_least() -> None:
    limits = Limits(requests_per_min=90, tokens_per_min=6000, safety=1.0)
    assert limits.rates == (1.5, 100)
    assert limits.caps == (1, 50)


@pytest.mark.parametrize(
    ("per_min", "burst_s", "apart_s"),
    [
        (20, 1, 3.2),
        (60, 1, 1.2),
        (66.6666, 1, 1.0),  # 0.9 s apart: a tenth of a second's worth is left in the bucket
        (75, 1, 0.8),
        (600, 1, 0.1),
        (60, 2, 1.0),
    ],
)
def test_where_one_request_is_all_that_fits_they_go_far_enough_apart_to_arrive_late(
    per_min: float, burst_s: float, apart_s: float
) -> None:
    (rate,) = Limits(requests_per_min=per_min, burst_s=burst_s, safety=1.0).rates
    assert 1 / rate == pytest.approx(apart_s, rel=1e-5)


@pytest.mark.parametrize("per_min", [20, 50, 60, 65, 75, 100])
def test_a_small_limit_of_requests_is_never_met_however_late_they_arrive(per_min: float) -> None:
    """Ours against the simulator's strict gate, in virtual time: the network takes 20 ms in the
    mean, a twentieth of the requests above 60 ms."""
    account = Account("a", Limits(requests_per_min=per_min))
    gate = Gate(Strict(accounting="openai", rpm=per_min, tpm=1e9, burst_s=1), now_s=0.0)
    books, draws, now, arrivals = Books(lambda *_: None), random.Random(1), 0.0, []  # noqa: S311
    for number in range(1000):
        booked = books.place(Ask([account], [(1.0,)], f"l{number}", 1e9, 1e9, speeds=[0.0]), now)
        assert isinstance(booked, Booked)
        now += booked.wait_s
        arrivals.append(now + draws.expovariate(50))
        books.settle(account, Closing(f"l{number}", (0.0,), verdict=1), now)
    refused = 0
    for moment in sorted(arrivals):
        if gate.ask(Cost(1, 1, 1), moment) is None:
            gate.charge(Cost(1, 1, 1), moment)
        else:
            refused += 1
    assert refused == 0
    assert now <= 1000 * (60 / per_min / 0.995 + 0.2)


def test_each_accounting_sets_its_own_aside() -> None:
    need = Need(input=100, output=30, max_output=500)
    openai = Account("a", Limits(requests_per_min=1, tokens_per_min=1))
    anthropic = Account("b", Limits(requests_per_min=1, input_per_min=1, output_per_min=1))
    assert need.costs(openai) == (1, 600)
    assert need.costs(anthropic) == (1, 100, 30)
