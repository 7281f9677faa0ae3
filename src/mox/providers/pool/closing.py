"""What came of a call, as the books are told: by the provider's own accounting."""

from __future__ import annotations

import time

from mox.providers.charging import may_be_billed
from mox.providers.pool.forms import Closing
from mox.providers.pool.limits import PER_MIN
from mox.providers.pool.nouns import Lease, Outcome, limited
from mox.types.providers import Resource

NAN = float("nan")
HELD_S, HELD_AT_LEAST_S, HELD_AT_MOST_S = 1.0, 0.05, 86_400.0
"""How long a 429 stops an account: where it doesn't say, and the bounds of what is believed. A
limit by the day is the longest there is; who doesn't wait so long hears of it at once."""
QUOTA_S = 600.0
"""How long an account whose quota is used up is put aside, unless somebody takes it back."""
FAILS = frozenset({"overloaded", "server"})
SILENT = frozenset(
    {"timeout_connect", "timeout_first_byte", "timeout_stall", "timeout_total", "connection",
     "cancelled", "client_limited"}
)  # fmt: skip
"""What says neither that a provider answers nor that it fails."""


def undone(lease: Lease) -> Closing:
    """Of a booking that never started."""
    return Closing(lease.id, lease.costs, undo=True, ends=lease.ends)


def taken(lease: Lease) -> float:
    """Output that an account's book takes a running call to have made by now."""
    return lease.reported + lease.speed * (time.monotonic() - lease.reported_s)


def closing(lease: Lease, outcome: Outcome) -> Closing:
    """What to change in an account's book."""
    error = outcome.error
    named = limited(error)
    verdict = 0 if error in SILENT or not outcome.sent else -1 if error in FAILS else 1
    back = tuple(_back(lease, outcome, at) for at in range(len(lease.costs)))
    hold = 0.0
    if named is not None or outcome.retry_after_s:
        hold = min(max(outcome.retry_after_s or HELD_S, HELD_AT_LEAST_S), HELD_AT_MOST_S)
    hit: tuple[float, ...] = ()
    if named is not None:
        resources = lease.account.limits.resources
        hit = tuple(
            mark if not named or name in named else NAN
            for name, mark in zip(resources, lease.mark, strict=True)
        )
    quota = error == "quota_exhausted"
    return Closing(
        lease.id,
        back,
        flow=_made(lease, outcome) - taken(lease) if lease.began_s else 0.0,
        hit=hit,
        hold_s=0.0 if quota else hold,
        slower=error == "acceleration",
        verdict=verdict,
        aside_s=QUOTA_S if quota else 0.0,
        why="its quota is used up" if quota else "",
        left=_left(lease, outcome),
        share=_share(lease, outcome),
    )


def _back(lease: Lease, outcome: Outcome, at: int) -> float:
    """Of one resource, what was set aside and isn't charged."""
    limits, cost = lease.account.limits, lease.costs[at]
    name, usage = limits.resources[at], outcome.usage
    reserved = max(cost, lease.reported) if name == "output" else cost
    if not outcome.sent:
        return reserved
    if limits.counts == "openai":
        return 0.0  # charged whole when it came in, refused or not
    if limited(outcome.error) is not None and _made_nothing(outcome):
        return reserved
    if usage is None:
        return reserved - lease.reported if name == "output" and _made_nothing(outcome) else 0.0
    read = usage.input_tokens - usage.cached_tokens
    used: dict[Resource, float] = {
        "requests": cost,
        "tokens": read + usage.output_tokens,
        "input": read,
        "output": usage.output_tokens,
    }
    return reserved - used[name]


def _made(lease: Lease, outcome: Outcome) -> float:
    """Output that came, as far as anybody knows."""
    if outcome.usage is not None:
        return outcome.usage.output_tokens
    return lease.reported if _made_nothing(outcome) else taken(lease)


def _made_nothing(outcome: Outcome) -> bool:
    """Whether no output is charged, though nobody counted. A prompt that is too long may be billed,
    and yet isn't answered."""
    if outcome.error == "context_length":
        return True
    return not may_be_billed(outcome.error, outcome.billable)


def _left(lease: Lease, outcome: Outcome) -> tuple[float, ...]:
    """Of each resource, what the pool took to be left, less what the headers say."""
    if outcome.standing is None or outcome.error is not None:
        return ()
    standing = outcome.standing
    return tuple(
        level - standing.remaining[name] - (1.0 if name == "requests" else standing.rounded_to)
        if name in standing.remaining
        else NAN
        for name, level in zip(lease.account.limits.resources, lease.level, strict=True)
    )


def _share(lease: Lease, outcome: Outcome) -> tuple[float, ...]:
    """Of each resource, the limit that the headers name, by the stated one."""
    if outcome.standing is None:
        return ()
    limits, said = lease.account.limits, outcome.standing.limit
    return tuple(
        said[name] / getattr(limits, PER_MIN[name]) if said.get(name) else NAN
        for name in limits.resources
    )
