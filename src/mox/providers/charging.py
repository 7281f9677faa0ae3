"""What a call is taken to cost that did not end well. One rule: whatever was sent may be billed.

- The provider counted: its price. So too of an answer that can't be used.
- It was never sent, or the provider refused it before it made anything: 0.
- All else (cut off, silent, given up, interrupted, filtered, its process dead, a gateway that
  waited no longer, a 400 for an over-long prompt): nobody here knows what was made of it. The most
  that it may cost is written, with a note that says so.

Budgets count all three: what may be billed can't be spent again. Sums tell how much of them is of
the last kind (`uncertain`).
"""

from __future__ import annotations

from mox.types.providers import ErrorKind

MAKES_NOTHING: frozenset[str] = frozenset(
    {
        "rate_limit_requests", "rate_limit_tokens", "rate_limit_input", "rate_limit_output",
        "acceleration", "quota_exhausted", "overloaded", "server", "timeout_connect",
        "bad_request", "auth", "model_not_found", "context_length", "client_limited",
    }
)  # fmt: skip
"""Kinds of refusals, and of what was never sent. In mid-answer they come too (Anthropic's
`overloaded_error`), and a 400 for an over-long prompt Azure may bill: then who raises the error
says that it is billable."""
GAVE_UP: frozenset[int] = frozenset({408, 499, 504, 524})
"""Statuses by which a request ends that was begun: the server, or a gateway before it, waited no
longer, or took it for left. Azure may bill a 408 (its page on managing costs); of the others nobody
here knows."""
UNCERTAIN = "the most that it may have cost: what was made of it is not known"
"""Written beside the price of a call of the last kind."""


def may_be_billed(error: ErrorKind | None, told: bool | None = None) -> bool:
    """Whether a call may be charged though nobody counted.

    Args:
        error: how it failed; None where it did not, and yet wasn't counted.
        told: by whoever saw it fail, where that is known better than by the kind.
    """
    return error not in MAKES_NOTHING if told is None else told
