"""Which providers fail, and are left alone for a while: then one call at a time tries again."""

from __future__ import annotations

from dataclasses import dataclass

from mox.providers.pool.forms import Closing

OPENS_AT = 5.0
"""A provider's failures that close it to all: each counts one, each success halves the sum."""
CLOSED_S, CLOSED_AT_MOST_S = 1.0, 60.0
"""For how long, the first time and after several: twice as long each time that a try fails."""
PROBE_S = 15.0
"""How long one call may try a closed provider before the next one does."""


@dataclass(slots=True)
class Breaker:
    """Of one provider."""

    score: float = 0.0
    until: float = 0.0
    """Closed until then; after it, tried by one call at a time. 0 is open."""
    probe: float = 0.0
    by: str = ""
    """The lease of that call."""
    for_s: float = CLOSED_S


class Breakers:
    """Of all providers. Times are the books' own."""

    def __init__(self) -> None:
        self._breakers: dict[str, Breaker] = {}

    def until(self, provider: str) -> float:
        """Until when nothing of a provider may start, booked or not; 0 where it is open."""
        breaker = self._breakers.get(provider)
        return breaker.until if breaker is not None else 0.0

    def refuses_until(self, provider: str, now: float) -> float:
        """Until when none of its accounts may be booked: it is closed, or somebody tries it."""
        breaker = self._breakers.get(provider)
        if breaker is None or breaker.until == 0:
            return 0.0
        return breaker.until if breaker.until > now else breaker.probe

    def booked(self, provider: str, lease: str, start: float) -> None:
        """A call is booked that will start then: where it was closed, that one tries it."""
        breaker = self._breakers.get(provider)
        if breaker is not None and breaker.until > 0:
            breaker.probe, breaker.by = start + PROBE_S, lease

    def judge(self, provider: str, closing: Closing, now: float) -> None:
        """Take in that a provider answered, failed, or that nothing is known of it."""
        breaker, verdict = self._breakers.get(provider), closing.verdict
        if verdict < 0:
            breaker = self._breakers.setdefault(provider, Breaker())
            if breaker.until > now:
                return  # sent before it was closed
            breaker.score += 1
            if breaker.until > 0 or breaker.score >= OPENS_AT:
                breaker.until = now + max(breaker.for_s, closing.hold_s)
                breaker.probe = 0.0
                breaker.for_s = min(CLOSED_AT_MOST_S, breaker.for_s * 2)
        elif breaker is not None and verdict > 0:
            if 0 < breaker.until <= now or breaker.score < 0.01:
                del self._breakers[provider]
            else:
                breaker.score /= 2
        elif breaker is not None and breaker.until > 0 and breaker.by == closing.lease:
            breaker.probe = 0.0  # whoever tried has given up
