"""What passes between a desk and its books, wherever those lie."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mox.providers.pool.holes import Hole, before
from mox.providers.pool.limits import Account

INF = float("inf")


class Ask(NamedTuple):
    """A question to the books."""

    accounts: Sequence[Account]
    costs: Sequence[tuple[float, ...]]
    lease: str
    max_wait_s: float
    ahead_s: float
    tenant: str = ""
    weight: float = 1.0
    speeds: Sequence[float] = ()
    """Of each account, tokens a second of one answer; 0 where unknown."""


class View(NamedTuple):
    """What a book says now."""

    granted: tuple[float, ...]
    corrected: tuple[float, ...]
    """All that headers ever took off."""
    rates: tuple[float, ...]
    held_s: float = 0.0
    """For how long nothing may start."""
    origin: int = 0
    """Which books say so: what others count has nothing to do with it."""
    holes: tuple[tuple[Hole, ...], ...] = ()
    """Of each resource, what was undone and isn't reached yet."""

    def skipped(self, j: int, place: float) -> float:
        """Of a resource, what nobody waits for any more before a place."""
        return before(self.holes[j], place) if self.holes else 0.0


class Booked(NamedTuple):
    account: int
    """Its place among those that were asked for."""
    wait_s: float
    marks: tuple[float, ...]
    ends: tuple[float, ...]
    """Where the next booking begins."""
    view: View
    speed: float = 0.0
    """Tokens a second that its answer is taken to make."""


class Refused(NamedTuple):
    why: str
    """Of the account that opens first. `late`: after the deadline. `held`: its provider asked to
    wait longer. `turn`: others are first. `closed`: the provider fails. `tried`: one call tries a
    provider that failed, and it may open sooner. `aside`: it is put aside."""
    wait_s: float
    """Until it would start, or may be asked again; infinite where nobody knows."""
    detail: str = ""


class Closing(NamedTuple):
    """What a settlement changes."""

    lease: str
    give_back: tuple[float, ...]
    """Of each resource, what was set aside and not used; negative what was used beyond."""
    flow: float = 0.0
    """Output that was made, less what the book had taken it to make."""
    undo: bool = False
    """It never started: its place in the queue is free again, for those behind."""
    ends: tuple[float, ...] = ()
    """Of each resource, where that place ends; only where it is undone."""
    hit: tuple[float, ...] = ()
    """Of each resource that a 429 named, the lease's mark; NaN of the others."""
    hold_s: float = 0.0
    slower: bool = False
    """A limit on acceleration was met."""
    verdict: int = 0
    """1 the provider answers, -1 it fails, 0 neither."""
    aside_s: float = 0.0
    why: str = ""
    left: tuple[float, ...] = ()
    """Of each resource, the lease's level less what headers said is left; NaN where unknown."""
    share: tuple[float, ...] = ()
    """Of each resource, the headers' limit by the stated one; NaN where unknown."""
