"""What of a failed call's booking an account gets back, where output is counted as it is made."""

from __future__ import annotations

import asyncio

import pytest

from mox.providers.pool import Account, Limits, Need, Outcome, memory_pool
from mox.types.providers import ErrorKind

ACCOUNT = Account("a", Limits(input_per_min=600, output_per_min=600, safety=1.0), "p")
"""10 of each a second, 5 of them at once."""


@pytest.mark.parametrize(
    ("error", "billable", "back"),
    [
        # (input, output): a 429 counts for neither, a failure for its input.
        ("rate_limit_requests", False, (True, True)),
        ("server", False, (False, True)),
        ("timeout_connect", None, (False, True)),
        # A gateway waited no longer; an error in mid-answer.
        ("server", True, (False, False)),
        ("overloaded", True, (False, False)),
        ("rate_limit_requests", True, (False, False)),
        # It may be billed (Azure), and wasn't answered.
        ("context_length", True, (False, True)),
        ("content_filter", True, (False, False)),
        ("truncated", None, (False, False)),
    ],
)
def test_what_may_have_been_made_is_not_given_back(
    error: ErrorKind, billable: bool | None, back: tuple[bool, bool]
) -> None:
    async def left() -> tuple[float, float]:
        pool = memory_pool()
        lease = await pool.acquire([ACCOUNT], Need(input=5, output=100))
        outcome = Outcome(error=error, billable=billable, retry_after_s=0.05)
        await pool.settle(lease, outcome)
        levels = (await pool.state([ACCOUNT]))["a"]["levels"]
        await pool.aclose()
        return levels["input"], levels["output"]

    # Of 5: what was given back is there; else 0, and 95 below.
    found = asyncio.run(left())
    assert (found[0] > 2.5, found[1] > -50) == back
