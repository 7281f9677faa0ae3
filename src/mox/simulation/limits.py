"""Strict limits: buckets that refill all the time, by the accounting of either provider.

All times are real seconds of one monotonic clock, given by the caller: nothing here looks at one.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from mox.simulation.config import Limits
from mox.types.providers import Resource

Reason = Literal["requests", "tokens", "input", "output", "acceleration"]
ALWAYS_SHARE = 0.2
"""Of the requests a minute, what a limit on growth never refuses; one at least."""


class Bucket:
    """One resource: it refills at its rate up to its capacity, and may be overdrawn."""

    def __init__(self, per_min: float, burst_s: float, *, now_s: float) -> None:
        self.per_min = per_min
        self.rate = per_min / 60
        # One request, or one token, must always fit once it is full.
        self.capacity = max(self.rate * burst_s, 1.0)
        self.level = self.capacity
        self.charged = 0.0
        self._at_s = now_s

    def refill(self, now_s: float) -> None:
        """Bring it to a moment; an earlier one than before changes nothing."""
        if now_s > self._at_s:
            self.level = min(self.capacity, self.level + (now_s - self._at_s) * self.rate)
            self._at_s = now_s

    def take(self, amount: float) -> None:
        """Charge it, at the moment it was brought to."""
        self.level -= amount
        self.charged += amount

    def wait_s(self, amount: float) -> float:
        """Seconds until so much is there. More than it ever holds waits until it is full: what
        is taken then overdraws it, and the rate holds all the same."""
        missing = min(amount, self.capacity) - self.level
        # Within a billionth of a token it is there: sums of floats are off by less.
        return missing / self.rate if missing > 1e-9 else 0.0

    @property
    def full_in_s(self) -> float:
        """Seconds until it is full again."""
        return max(0.0, (self.capacity - self.level) / self.rate)


@dataclass(slots=True, eq=False)
class Production:
    """Output as it is produced, charged to a bucket when it is due."""

    due_s: Sequence[float]
    """Moments of the caller's clock, ascending."""
    tokens: Sequence[int]
    charged: int = 0
    """How many of them are charged already."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a request is charged when it is let in."""

    estimated_input: int
    """Characters / 4: all that OpenAI's limiter looks at."""
    fresh_input: int
    """Input tokens that came from no cache: what Anthropic's counts."""
    max_output: int


@dataclass(frozen=True, slots=True)
class Denied:
    """Why a request was refused, and when it would fit."""

    reason: Reason
    limit: float
    used: float
    requested: float
    wait_s: float | None
    """None: it never fits."""


@dataclass(slots=True)
class Gate:
    """The limits of one account for one class of models."""

    limits: Limits
    now_s: float
    buckets: dict[Resource, Bucket] = field(init=False)
    admitted: int = 0
    denied: dict[Reason, int] = field(default_factory=dict)
    _running: list[Production] = field(default_factory=list)
    _starts: deque[float] = field(default_factory=deque)

    def __post_init__(self) -> None:
        limits = self.limits
        per_min: dict[Resource, float | None] = {
            "requests": limits.rpm, "tokens": limits.tpm,
            "input": limits.itpm, "output": limits.otpm,
        }  # fmt: skip
        self.buckets = {
            name: Bucket(most, limits.burst_s, now_s=self.now_s)
            for name, most in per_min.items()
            if most is not None
        }

    def bring_to(self, now_s: float) -> None:
        """Refill all buckets, and charge what was produced until now, each at its own time."""
        due: list[tuple[float, int]] = []
        for running in self._running:
            until = bisect_right(running.due_s, now_s, lo=running.charged)
            span = slice(running.charged, until)
            due += zip(running.due_s[span], running.tokens[span], strict=True)
            running.charged = until
        if due:
            self._running = [one for one in self._running if one.charged < len(one.due_s)]
            output = self.buckets["output"]
            for at_s, tokens in sorted(due):
                output.refill(at_s)
                output.take(tokens)
        for bucket in self.buckets.values():
            bucket.refill(now_s)

    def costs(self, cost: Cost) -> dict[Resource, float]:
        """What each bucket must hold. Of output, Anthropic's only asks that some is left."""
        if self.limits.accounting == "openai":
            return {"requests": 1, "tokens": cost.estimated_input + cost.max_output}
        return {"requests": 1, "input": cost.fresh_input, "output": 1}

    def ask(self, cost: Cost, now_s: float) -> Denied | None:
        """Whether a request may go; nothing is charged yet. A refused one is counted."""
        self.bring_to(now_s)
        found = self._denied(cost, now_s)
        if found is not None:
            self.denied[found.reason] = self.denied.get(found.reason, 0) + 1
            requests = self.buckets["requests"]
            if self.limits.accounting == "openai" and requests.level >= 1:
                # "Unsuccessful requests contribute to your per-minute limit." And so this one
                # makes itself wait: whoever comes back when it was told to is let in.
                requests.take(1)
                if found.wait_s is not None:
                    found = replace(found, wait_s=max(found.wait_s, requests.wait_s(1)))
        return found

    def _denied(self, cost: Cost, now_s: float) -> Denied | None:
        found = self._too_steep(now_s)
        for name, amount in self.costs(cost).items():
            bucket = self.buckets[name]
            if name != "output" and amount > bucket.per_min:
                return Denied(name, bucket.per_min, self._used(bucket), amount, None)
            wait_s = bucket.wait_s(amount)
            if wait_s > 0 and (found is None or wait_s > (found.wait_s or 0.0)):
                found = Denied(name, bucket.per_min, self._used(bucket), amount, wait_s)
        return found

    @staticmethod
    def _used(bucket: Bucket) -> float:
        """Of a minute's limit, as the providers' messages say it."""
        return max(0.0, bucket.per_min * (1 - bucket.level / bucket.capacity))

    def _too_steep(self, now_s: float) -> Denied | None:
        """A minute's requests against those of the minute before."""
        growth = self.limits.growth_per_min
        if growth is None:
            return None
        while self._starts and self._starts[0] <= now_s - 120:
            self._starts.popleft()
        last = [at for at in self._starts if at > now_s - 60]
        before = len(self._starts) - len(last)
        most = max(self.limits.rpm * ALWAYS_SHARE, 1.0, (1 + growth) * before)
        if len(last) + 1 <= most:
            return None
        return Denied("acceleration", most, len(last), 1, last[0] + 60 - now_s)

    def charge(self, cost: Cost, now_s: float) -> None:
        """Charge a request that goes."""
        self.admitted += 1
        if self.limits.growth_per_min is not None:
            self._starts.append(now_s)
        for name, amount in self.costs(cost).items():
            if name != "output":
                self.buckets[name].take(amount)

    def produce(self, running: Production) -> None:
        """Charge an answer's output as it is produced, where output is limited by itself."""
        if "output" in self.buckets:
            self._running.append(running)

    def stop(self, running: Production, now_s: float) -> None:
        """The client went away: what isn't produced until now never is."""
        if any(one is running for one in self._running):
            self.bring_to(now_s)
            self._running = [one for one in self._running if one is not running]


def whole(value: float) -> int:
    """What is left, as headers say it: whole, and never under 0."""
    return max(0, math.floor(value + 1e-9))
