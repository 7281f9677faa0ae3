"""What a request is expected to use, from what requests like it used."""

from __future__ import annotations

import pytest

from mox.providers.estimate import Estimates
from mox.providers.pool import Account, Limits
from mox.types.providers import Answer, Message, Request, Timings, Usage


def test_input_that_came_from_a_cache_is_expected_of_the_next_request_too() -> None:
    """It may be the first of another prompt, as long: then all of it counts at once."""
    account = Account("a", Limits(input_per_min=100_000, output_per_min=10_000))
    request = Request("m", (Message("user", "x" * 40_000),))
    estimates = Estimates("answer")
    assert estimates.need(account, request).input == 10_000  # a quarter of the characters
    answer = Answer("ok", Usage(10_100, cached_tokens=10_000), "stop", "m", None, Timings(0))
    for _ in range(20):
        estimates.learn(account, request, answer)
    assert estimates.need(account, request).input == pytest.approx(10_100)
