"""The pool's arithmetic in Python: one process's own books. `books.lua` is the same in Redis.

Of each resource a book keeps two counters that only make sense together:

- `booked`: all that was ever set aside; a booking's `mark` is where it begins.
- `granted`: how far bookings may have started by now. It grows with the rate, with what calls
  turned out not to need, and falls by what they used beyond. A booking starts once `granted`
  has reached its mark; so all who wait move up or back together, in the order in which they
  came, and whoever hears a new `granted` knows when its own turn is without asking.

`granted - booked` is the level of a bucket, negative while somebody waits. It never exceeds the
cap, less the output that is set aside and not made yet: a provider that counts output as it is
made has nothing to refill until then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mox.providers.pool.limits import Account

INF = float("inf")
GRACE_S = 10.0
"""How long after its expected end a stream that nobody reports of still counts."""
OPENS_AT = 5.0
"""A provider's failures that close it to all: each counts one, each success halves the sum."""
CLOSED_S, CLOSED_AT_MOST_S = 1.0, 60.0
PROBE_S = 15.0
"""How long one call may try a closed provider before the next one does."""
QUOTA_S = 600.0
"""How long an account whose quota is used up is put aside, unless somebody takes it back."""
ACTIVE_S, TENANT_AHEAD_S = 10.0, 1.0
"""A tenant counts that long after its last question; so far ahead of its share it may book."""
RAMP_START, RAMP_IDLE_S, RAMP_AFTER = 0.2, 60.0, 0.5
RISE = 0.01
"""How fast a limit that had been lowered rises again: of the stated limit, a second."""
SAFE = 0.5
"""Of the cap: how much more than the pool's level the provider's should be."""


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


class Booked(NamedTuple):
    account: int
    """Its place among those that were asked for."""
    wait_s: float
    marks: tuple[float, ...]
    ends: tuple[float, ...]
    """Where the next booking begins."""
    not_before_s: float
    """Until running streams will have ended."""
    view: View


class Refused(NamedTuple):
    why: str
    """`late`: after the deadline. `turn`: others are first. `closed`: the provider fails.
    `aside`: every account is put aside."""
    wait_s: float
    """Until it would start, or may be asked again; infinite where nobody knows."""
    detail: str = ""


class Closing(NamedTuple):
    """What a settlement changes."""

    lease: str
    give_back: tuple[float, ...]
    """Of each resource, what was set aside and not used; negative what was used beyond."""
    undo: bool = False
    """It never started: its place in the queue is free again, for those behind."""
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


@dataclass(slots=True)
class Book:
    """Of one account. All times are the books' own."""

    at: float
    granted: list[float]
    booked: list[float]
    corrected: list[float]
    share: list[float]
    """Of the stated limits, what is used."""
    target: list[float]
    """Where `share` rises to."""
    ramp: float
    used: float
    held: float = 0.0
    aside: float = 0.0
    why: str = ""
    owed: float = 0.0
    """Output that is set aside and not made yet."""
    streams: dict[str, list[float]] = field(default_factory=dict)
    """Lease → when its answer should have come, and what of `owed` is its own."""


@dataclass(slots=True)
class Breaker:
    """Of one provider."""

    score: float = 0.0
    until: float = 0.0
    """Closed until then; after it, tried by one call at a time. 0 is open."""
    probe: float = 0.0
    for_s: float = CLOSED_S


@dataclass(slots=True)
class _Best:
    at: int
    start: float
    room: float
    ahead: float
    not_before: float


class Books:
    """All accounts of one process. `now` is monotonic seconds."""

    def __init__(self, origin: int = 0) -> None:
        self._origin = origin
        self._books: dict[str, Book] = {}
        self._breakers: dict[str, Breaker] = {}
        self._tenants: dict[str, list[float]] = {}

    def book(self, account: Account, now: float) -> Book:
        """An account's book, brought up to now."""
        limits = account.limits
        book = self._books.get(account.name)
        if book is None:
            size = len(limits.resources)
            start = RAMP_START if limits.ramp_per_min else 1.0
            book = Book(
                now, list(limits.caps), [0.0] * size, [0.0] * size, [1.0] * size, [1.0] * size,
                start, now,
            )  # fmt: skip
            self._books[account.name] = book
        self._advance(book, account, now)
        return book

    def _advance(self, book: Book, account: Account, now: float) -> None:
        limits = account.limits
        passed = max(0.0, now - book.at)
        late = [name for name, (end, _) in book.streams.items() if end + GRACE_S < now]
        for name in late:
            book.owed -= book.streams.pop(name)[1]
        for at, (rate, cap) in enumerate(zip(limits.rates, limits.caps, strict=True)):
            book.granted[at] += rate * book.share[at] * book.ramp * passed
            top = book.booked[at] + cap * book.share[at]
            if limits.resources[at] == "output":
                top -= book.owed
            book.granted[at] = min(book.granted[at], top)
            book.share[at] = min(book.target[at], book.share[at] + RISE * passed)
        if limits.ramp_per_min and now - book.used > RAMP_IDLE_S:
            book.ramp = RAMP_START
        elif book.ramp < 1:
            book.ramp = min(
                1.0, book.ramp * (1 + (limits.ramp_per_min or RAMP_AFTER)) ** (passed / 60)
            )
        book.at = now

    def view(self, account: Account, now: float) -> View:
        """What those who wait for an account have to know."""
        book = self.book(account, now)
        held = max(book.held, book.aside)
        breaker = self._breakers.get(account.fails_with)
        if breaker is not None:
            held = max(held, breaker.until)
        rates = (
            rate * share * book.ramp
            for rate, share in zip(account.limits.rates, book.share, strict=True)
        )
        held_s = max(0.0, held - now)
        return View(tuple(book.granted), tuple(book.corrected), tuple(rates), held_s, self._origin)

    def place(self, ask: Ask, now: float) -> Booked | Refused:
        """Book on the account where a call can start first, or nowhere."""
        best: _Best | None = None
        free = 0
        closed, aside, why = INF, INF, ""
        for at, account in enumerate(ask.accounts):
            book = self.book(account, now)
            if book.aside > now:
                if book.aside - now <= aside:
                    aside, why = book.aside - now, book.why
                continue
            until = self._closed_until(account, now)
            if until > now:
                closed = min(closed, until - now)
                continue
            free += 1
            found = self._start(ask, at, book, now)
            if (
                best is None
                or found.start < best.start - 1e-6
                or (found.start <= best.start + 1e-6 and found.room > best.room)
            ):
                best = found
        if best is None:
            if closed < INF:
                return Refused("closed", closed)
            return Refused("aside", aside, why)
        if best.start > ask.max_wait_s:
            return Refused("late", best.start)
        turn = self._turn(ask, best, now)
        if turn > 0:
            return Refused("turn", turn)
        return self._booked(ask, best, free, now)

    def _closed_until(self, account: Account, now: float) -> float:
        breaker = self._breakers.get(account.fails_with)
        if breaker is None or breaker.until == 0:
            return 0.0
        return breaker.until if breaker.until > now else breaker.probe

    def _start(self, ask: Ask, at: int, book: Book, now: float) -> _Best:
        limits, costs = ask.accounts[at].limits, ask.costs[at]
        start, ahead, room, not_before = max(0.0, book.held - now), 0.0, INF, 0.0
        for j, cost in enumerate(costs):
            rate = limits.rates[j] * book.share[j] * book.ramp
            cap = limits.caps[j] * book.share[j]
            level = book.granted[j] - book.booked[j]
            start = max(start, (min(cost, cap) - level) / rate)
            ahead = max(ahead, -level / rate)
            room = min(room, (level - cost) / rate)
            if limits.resources[j] == "output" and ask.speeds[at] > 0 and cost > 0:
                most = int(max(1.0, rate / ask.speeds[at] + cap / cost))
                ends = sorted(end for end, _ in book.streams.values() if end > now)
                if len(ends) >= most:
                    not_before = ends[len(ends) - most] - now
        return _Best(at, max(start, not_before), room, ahead, not_before)

    def _turn(self, ask: Ask, best: _Best, now: float) -> float:
        """How long a call may not book yet, for others' sake; 0 where it may."""
        wait = 0.0
        if best.ahead > ask.ahead_s:
            wait = best.ahead - ask.ahead_s / 2
        if ask.tenant:
            mine = self._tenants.setdefault(ask.tenant, [0.0, now, ask.weight])
            mine[1], mine[2] = now, ask.weight
            ahead = mine[0] - now
            if self._share(ask.tenant, now) < 1 and best.start > 0.01 and ahead > TENANT_AHEAD_S:
                wait = max(wait, min(ahead - TENANT_AHEAD_S / 2, best.start))
        return wait

    def _share(self, tenant: str, now: float) -> float:
        active = [weight for _, seen, weight in self._tenants.values() if seen > now - ACTIVE_S]
        return self._tenants[tenant][2] / sum(active)

    def _booked(self, ask: Ask, best: _Best, free: int, now: float) -> Booked:
        account, costs = ask.accounts[best.at], ask.costs[best.at]
        limits, book = account.limits, self._books[account.name]
        marks, ends, longest = [], [], 0.0
        for j, cost in enumerate(costs):
            marks.append(book.booked[j] + min(cost, limits.caps[j] * book.share[j]))
            book.booked[j] += cost
            ends.append(book.booked[j])
            rate = limits.rates[j] * book.share[j] * book.ramp
            longest = max(longest, cost / rate)
            if limits.resources[j] == "output":
                book.owed += cost
                speed = ask.speeds[best.at]
                lasts = cost / speed if speed > 0 else 0.0
                book.streams[ask.lease] = [now + best.start + lasts, cost]
        book.used = now
        if ask.tenant:
            mine = self._tenants[ask.tenant]
            mine[0] = max(mine[0], now) + longest / free / self._share(ask.tenant, now)
        breaker = self._breakers.get(account.fails_with)
        if breaker is not None and breaker.until > 0:
            breaker.probe = now + best.start + PROBE_S
        view = self.view(account, now)
        return Booked(best.at, best.start, tuple(marks), tuple(ends), best.not_before, view)

    def progress(
        self, account: Account, lease: str, made: float, beyond: float, now: float
    ) -> View:
        """Output that has come since last told: within what was set aside, and beyond it."""
        book = self.book(account, now)
        stream = book.streams.get(lease)
        if stream is not None:
            taken = min(made, stream[1])
            book.owed -= taken
            stream[1] -= taken
            stream[0] = max(stream[0], now + 1.0)
        if beyond > 0:
            book.granted[account.limits.resources.index("output")] -= beyond
        return self.view(account, now)

    def settle(self, account: Account, closing: Closing, now: float) -> View:
        """End a booking."""
        book = self.book(account, now)
        stream = book.streams.pop(closing.lease, None)
        if stream is not None:
            book.owed -= stream[1]
        for j, back in enumerate(closing.give_back):
            if closing.undo:
                book.booked[j] -= back
            else:
                book.granted[j] += back
        self._correct(book, account, closing)
        if closing.hold_s > 0:
            book.held = max(book.held, now + closing.hold_s)
            for j, mark in enumerate(closing.hit):
                rate = account.limits.rates[j] * book.share[j] * book.ramp
                if mark == mark:  # a number
                    book.granted[j] = min(book.granted[j], mark - rate * closing.hold_s)
        if closing.slower:
            book.ramp = max(RAMP_START / 4, book.ramp / 2)
        if closing.aside_s > 0:
            book.aside, book.why = now + closing.aside_s, closing.why
        self._judge(account.fails_with, closing, now)
        return self.view(account, now)

    def _correct(self, book: Book, account: Account, closing: Closing) -> None:
        """Follow what the headers said."""
        for j, share in enumerate(closing.share):
            if share == share:
                book.target[j] = min(1.0, share)
                book.share[j] = min(book.share[j], book.target[j])
        for j, left in enumerate(closing.left):
            short = left - book.corrected[j] + SAFE * account.limits.caps[j] * book.share[j]
            if short > 0:  # not where it is no number
                book.granted[j] -= short
                book.corrected[j] += short

    def _judge(self, provider: str, closing: Closing, now: float) -> None:
        breaker = self._breakers.get(provider)
        if closing.verdict < 0:
            breaker = self._breakers.setdefault(provider, Breaker())
            if breaker.until > now:
                return  # sent before it was closed
            breaker.score += 1
            if breaker.until > 0 or breaker.score >= OPENS_AT:
                breaker.until = now + max(breaker.for_s, closing.hold_s)
                breaker.probe = 0.0
                breaker.for_s = min(CLOSED_AT_MOST_S, breaker.for_s * 2)
        elif breaker is not None and closing.verdict > 0:
            if 0 < breaker.until <= now or breaker.score < 0.01:
                del self._breakers[provider]
            else:
                breaker.score /= 2
        elif breaker is not None and breaker.until > 0:
            breaker.probe = 0.0  # whoever tried has given up

    def aside(self, account: Account, reason: str, until_s: float, now: float) -> None:
        """Put an account aside for so many seconds; 0 takes it back."""
        book = self.book(account, now)
        book.aside, book.why = (now + until_s, reason) if until_s > 0 else (0.0, "")

    def owe(self, account: Account, amounts: Sequence[float], now: float) -> None:
        """Take what is on its way already off a book's level."""
        book = self.book(account, now)
        for j, amount in enumerate(amounts):
            level = book.granted[j] - book.booked[j]
            book.granted[j] += min(0.0, level) - level - amount

    def state(self, accounts: Sequence[Account], now: float) -> list[dict[str, Any]]:
        """Of each account, what people want to see."""
        found = []
        for account in accounts:
            book, view = self.book(account, now), self.view(account, now)
            breaker = self._breakers.get(account.fails_with)
            found.append(
                {
                    "levels": [a - b for a, b in zip(book.granted, book.booked, strict=True)],
                    "rates": list(view.rates),
                    "held_s": max(0.0, book.held - now),
                    "aside": book.aside > now,
                    "aside_s": max(0.0, book.aside - now) if book.aside < INF else -1,
                    "why": book.why,
                    "owed": book.owed,
                    "streams": len(book.streams),
                    "closed_s": max(0.0, breaker.until - now) if breaker else 0.0,
                }
            )
        return found
