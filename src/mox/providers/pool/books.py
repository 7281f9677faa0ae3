"""The pool's arithmetic in Python: one process's own books. `books.lua` is the same in Redis.

Of each resource a book keeps two counters that only make sense together:

- `booked`: all that was ever set aside; a booking's `mark` is where it begins.
- `granted`: how far bookings may have started by now. It grows with the rate, with what calls
  turned out not to need, and falls by what they used beyond. A booking starts once `granted`
  has reached its mark; so all who wait move up or back together, in the order in which they
  came, and whoever hears a new `granted` knows when its own turn is without asking.

`granted - booked` is the level of a bucket, negative while somebody waits.

Output that is charged as it is made needs one thing more. Bookings pace how many answers begin;
how much they make meanwhile is noise, and where the provider's bucket runs over or empty by it
the pool's doesn't. So a book keeps `flow` too, the provider's bucket as it should be now: it
refills, and falls by what the running answers make (their number times the speed of one, put
right whenever one reports). The next answer begins only where `flow` covers what is yet to come
above the rate from those that run: with long answers that is Little's law, their number times
their speed within the limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import gt
from typing import Any, NamedTuple

from mox.providers.pool.limits import Account, Limits

INF = float("inf")
GRACE_S = 10.0
"""How long after its expected end an answer that nobody reports of still counts."""
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
WEIGHT = 0.2
"""Of the newest in a mean."""
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
    flow: float = 0.0
    """Output that was made, less what the book had taken it to make."""
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
    flow: float = 0.0
    """Of a limit of output, the provider's own level."""
    free: float = 0.0
    """Of `flow`, what the next answer may count on; it doesn't begin where that is negative."""
    begins: float = 0.0
    """The mark of that answer."""
    speed: float = 0.0
    """Of one answer, in tokens a second."""
    length: float = 0.0
    """Of one answer, as is set aside."""
    waiting: dict[str, tuple[float, ...]] = field(default_factory=dict)
    """Lease → its marks, in order: who hasn't begun, where output is limited."""
    running: dict[str, float] = field(default_factory=dict)
    """Lease → when its answer counts no more if nobody reports of it."""


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
            if limits.output is not None:
                book.flow = 2 * limits.caps[limits.output]
            self._books[account.name] = book
        self._advance(book, account, now)
        return book

    def _advance(self, book: Book, account: Account, now: float) -> None:
        limits = account.limits
        passed = max(0.0, now - book.at)
        for j, (rate, cap) in enumerate(zip(limits.rates, limits.caps, strict=True)):
            book.granted[j] += rate * book.share[j] * book.ramp * passed
            book.granted[j] = min(book.granted[j], book.booked[j] + cap * book.share[j])
        if limits.output is not None:
            self._flow(book, limits, limits.output, passed, now)
        for j in range(len(limits.resources)):
            book.share[j] = min(book.target[j], book.share[j] + RISE * passed)
        if limits.ramp_per_min and now - book.used > RAMP_IDLE_S:
            book.ramp = RAMP_START
        elif book.ramp < 1:
            by = limits.ramp_per_min or RAMP_AFTER
            book.ramp = min(1.0, book.ramp * (1 + by) ** (passed / 60))
        book.at = now

    @staticmethod
    def _flow(book: Book, limits: Limits, out: int, passed: float, now: float) -> None:
        """Follow the provider's own bucket of output, and let nobody begin on what isn't there."""
        rate = limits.rates[out] * book.share[out]
        cap = limits.caps[out] * book.share[out]
        for name in [name for name, end in book.running.items() if end < now]:
            del book.running[name]
        made = rate - len(book.running) * book.speed
        book.flow = min(2 * cap, book.flow + made * passed)
        while True:
            book.free = book.flow - cap - _to_come(book, rate)
            name, marks = next(iter(book.waiting.items()), ("", None))
            book.begins = book.booked[out] if marks is None else marks[out]
            if marks is None or book.free < 0 or any(map(gt, marks, book.granted)):
                break
            del book.waiting[name]
            lasts = book.length / book.speed if book.speed > 0 else 0.0
            book.running[name] = now + lasts + GRACE_S
        book.granted[out] = min(book.granted[out], book.begins + max(0.0, book.free))

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
        granted = list(book.granted)
        if (out := account.limits.output) is not None:
            granted[out] = min(granted[out], book.begins + book.free)
        return View(
            tuple(granted), tuple(book.corrected), tuple(rates), max(0.0, held - now), self._origin
        )

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
        start, ahead, room = max(0.0, book.held - now), 0.0, INF
        for j, cost in enumerate(costs):
            rate = limits.rates[j] * book.share[j] * book.ramp
            cap = limits.caps[j] * book.share[j]
            level = book.granted[j] - book.booked[j]
            # Output needs no room beforehand: it is charged as it is made.
            first = 0.0 if j == limits.output else min(cost, cap)
            start = max(start, (first - level) / rate)
            ahead = max(ahead, -level / rate)
            room = min(room, (level - cost) / rate)
        return _Best(at, start, room, ahead)

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
            first = 0.0 if j == limits.output else min(cost, limits.caps[j] * book.share[j])
            marks.append(book.booked[j] + first)
            book.booked[j] += cost
            ends.append(book.booked[j])
            longest = max(longest, cost / (limits.rates[j] * book.share[j] * book.ramp))
        if limits.output is not None:
            book.waiting[ask.lease] = tuple(marks)
            book.length = _mean(book.length, costs[limits.output])
            if ask.speeds[best.at] > 0:
                book.speed = _mean(book.speed, ask.speeds[best.at])
        book.used = now
        if ask.tenant:
            mine = self._tenants[ask.tenant]
            mine[0] = max(mine[0], now) + longest / free / self._share(ask.tenant, now)
        breaker = self._breakers.get(account.fails_with)
        if breaker is not None and breaker.until > 0:
            breaker.probe = now + best.start + PROBE_S
        view = self.view(account, now)
        return Booked(best.at, best.start, tuple(marks), tuple(ends), view)

    def progress(
        self, account: Account, lease: str, flow: float, beyond: float, now: float
    ) -> View:
        """Output that has come: above what the book took it to be, and above what it set aside."""
        book, out = self.book(account, now), account.limits.output
        if out is not None:
            if lease in book.running:
                book.running[lease] = max(book.running[lease], now + GRACE_S)
            book.flow -= flow
            book.granted[out] -= beyond
        return self.view(account, now)

    def settle(self, account: Account, closing: Closing, now: float) -> View:
        """End a booking."""
        book = self.book(account, now)
        book.waiting.pop(closing.lease, None)
        book.running.pop(closing.lease, None)
        book.flow -= closing.flow
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
                    "flow": book.flow if account.limits.output is not None else 0.0,
                    "waiting": len(book.waiting),
                    "running": len(book.running),
                    "closed_s": max(0.0, breaker.until - now) if breaker else 0.0,
                }
            )
        return found


def _to_come(book: Book, rate: float) -> float:
    """What all answers that run, and one more, will make above the rate: half of each is left."""
    if book.speed <= 0:
        return 0.0
    count = len(book.running) + 1
    return max(0.0, 1 - rate / (count * book.speed)) * count * book.length / 2


def _mean(old: float, new: float) -> float:
    return new if old == 0 else old + WEIGHT * (new - old)
