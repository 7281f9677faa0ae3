"""What an account may be said to have."""

from __future__ import annotations

import pytest

from mox.errors import SpecError
from mox.providers.pool import Account, Limits, Need
from mox.registry import validate


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
    limits = Limits(requests_per_min=60, tokens_per_min=6000, safety=1.0)
    assert limits.rates == (1, 100)
    assert limits.caps == (1, 50)


def test_each_accounting_sets_its_own_aside() -> None:
    need = Need(input=100, output=30, max_output=500)
    openai = Account("a", Limits(requests_per_min=1, tokens_per_min=1))
    anthropic = Account("b", Limits(requests_per_min=1, input_per_min=1, output_per_min=1))
    assert need.costs(openai) == (1, 600)
    assert need.costs(anthropic) == (1, 100, 30)
