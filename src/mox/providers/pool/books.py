"""The pool's arithmetic in Python: one process's own books. The folder `lua` does it in Redis.

`book` is of one account, `breaker` of one provider; here are all of them, and which is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mox.providers.pool.book import (
    Book,
    Coming,
    advance,
    heard_of,
    let_go,
    level,
    mean,
    opened,
    settle,
)
from mox.providers.pool.breaker import Breakers
from mox.providers.pool.forms import INF, Ask, Booked, Closing, Refused, View
from mox.providers.pool.holes import before
from mox.providers.pool.limits import Account, stated_otherwise

ACTIVE_S, TENANT_AHEAD_S = 10.0, 1.0
"""A tenant counts that long after its last question; so far ahead of its share it may book."""


@dataclass(slots=True)
class _Best:
    at: int
    start: float
    room: float
    ahead: float


class Books:
    """All accounts of one process. `now` is monotonic seconds.

    Args:
        tell_of: told which provider is closed, and for how many seconds: nothing of it may start,
            on whichever account it is booked.
    """

    def __init__(self, tell_of: Callable[[str, float], None], *, origin: int = 0) -> None:
        self._tell_of = tell_of
        self._origin = origin
        self._books: dict[str, Book] = {}
        self._breakers = Breakers()
        self._tenants: dict[str, list[float]] = {}

    def book(self, account: Account, now: float) -> Book:
        """An account's book, brought up to now."""
        book = self._books.get(account.name)
        if book is None:
            book = self._books[account.name] = opened(account.limits, now)
        elif book.what != account.limits.resources:
            raise stated_otherwise(account)
        advance(book, account.limits, now)
        return book

    def view(self, account: Account, now: float) -> View:
        """What those who wait for an account have to know."""
        book = self.book(account, now)
        held = max(book.held, book.aside, self._breakers.until(account.fails_with))
        rates = (
            rate * share * book.ramp
            for rate, share in zip(account.limits.rates, book.share, strict=True)
        )
        granted = list(book.granted)
        if (out := account.limits.output) is not None:
            skipped = before(book.holes[out], book.begins)  # as whoever waits reckons
            granted[out] = min(granted[out], book.begins - skipped + book.free)
        return View(
            tuple(granted), tuple(book.corrected), tuple(rates), max(0.0, held - now), self._origin,
            tuple(map(tuple, book.holes)),
        )  # fmt: skip

    def place(self, ask: Ask, now: float) -> Booked | Refused:
        """Book on the account where a call can start first, or nowhere."""
        best: _Best | None = None
        free = 0
        closed, aside, why, tried = INF, INF, "", False
        for at, account in enumerate(ask.accounts):
            book = self.book(account, now)
            if book.aside > now:
                if book.aside - now <= aside:
                    aside, why = book.aside - now, book.why
                continue
            until = self._breakers.refuses_until(account.fails_with, now)
            if until > now:
                closed = min(closed, until - now)
                tried = tried or self._breakers.until(account.fails_with) <= now
                continue
            free += 1
            found = self._start(ask, at, book, now)
            if (
                best is None
                or found.start < best.start - 1e-6
                or (found.start <= best.start + 1e-6 and found.room > best.room)
            ):
                best = found
        if best is None or best.start > ask.max_wait_s:
            refused = min(Refused("aside", aside, why), Refused("closed", closed), key=_wait_s)
            if best is not None:
                held = self._books[ask.accounts[best.at].name].held - now > ask.max_wait_s
                late = Refused("held" if held else "late", best.start)
                refused = min(refused, late, key=_wait_s)
            return refused._replace(why="tried", detail="") if tried else refused
        turn = self._turn(ask, best, now)
        if turn > 0:
            return Refused("turn", turn)
        return self._booked(ask, best, free, now)

    def _start(self, ask: Ask, at: int, book: Book, now: float) -> _Best:
        limits, costs = ask.accounts[at].limits, ask.costs[at]
        start, ahead, room = max(0.0, book.held - now), 0.0, INF
        for j, cost in enumerate(costs):
            rate = limits.rates[j] * book.share[j] * book.ramp
            cap = limits.caps[j] * book.share[j]
            left = level(book, j)
            # Output needs no room beforehand: it is charged as it is made.
            first = 0.0 if j == limits.output else min(cost, cap)
            start = max(start, (first - left) / rate)
            ahead = max(ahead, -left / rate)
            room = min(room, (left - cost) / rate)
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
        marks, ends, longest, speed = [], [], 0.0, 0.0
        for j, cost in enumerate(costs):
            first = 0.0 if j == limits.output else min(cost, limits.caps[j] * book.share[j])
            marks.append(book.booked[j] + first)
            book.booked[j] += cost
            ends.append(book.booked[j])
            longest = max(longest, cost / (limits.rates[j] * book.share[j] * book.ramp))
        if limits.output is not None:
            length, speed = costs[limits.output], ask.speeds[best.at]
            book.length = mean(book.length, length)
            if speed > 0:
                book.speed = mean(book.speed, speed)
            else:
                speed = book.speed
            book.waiting[ask.lease] = Coming(tuple(marks), speed, length)
        book.used = now
        if ask.tenant:
            mine = self._tenants[ask.tenant]
            mine[0] = max(mine[0], now) + longest / free / self._share(ask.tenant, now)
        self._breakers.booked(account.fails_with, ask.lease, now + best.start)
        view = self.view(account, now)
        return Booked(best.at, best.start, tuple(marks), tuple(ends), view, speed)

    def progress(
        self, account: Account, lease: str, flow: float, beyond: float, now: float
    ) -> View:
        """Output that has come: above what the book took it to be, and above what it set aside."""
        book, out = self.book(account, now), account.limits.output
        if out is not None:
            heard_of(book, lease, now)
            book.flow -= flow
            book.granted[out] -= beyond
        return self.view(account, now)

    def settle(self, account: Account, closing: Closing, now: float) -> View:
        """End a booking."""
        settle(self.book(account, now), account.limits, closing, now)
        provider = account.fails_with
        closed = self._breakers.until(provider)
        self._breakers.judge(provider, closing, now)
        if (until := self._breakers.until(provider)) > closed:
            self._tell_of(provider, until - now)
        return self.view(account, now)

    def aside(self, account: Account, reason: str, until_s: float, now: float) -> None:
        """Put an account aside for so many seconds; 0 takes it back, from its provider's hold
        too."""
        book = self.book(account, now)
        if until_s <= 0:
            let_go(book, account.limits, now)
        book.aside, book.why = (now + until_s, reason) if until_s > 0 else (0.0, "")

    def owe(self, account: Account, amounts: Sequence[float], now: float) -> None:
        """Take what is on its way already off a book's level."""
        book = self.book(account, now)
        for j, amount in enumerate(amounts):
            left = level(book, j)
            book.granted[j] += min(0.0, left) - left - amount

    def state(self, accounts: Sequence[Account], now: float) -> list[dict[str, Any]]:
        """Of each account, what people want to see."""
        found = []
        for account in accounts:
            book, view = self.book(account, now), self.view(account, now)
            found.append(
                {
                    "levels": [level(book, j) for j in range(len(book.booked))],
                    "rates": list(view.rates),
                    "held_s": max(0.0, book.held - now),
                    "aside": book.aside > now,
                    "aside_s": max(0.0, book.aside - now) if book.aside < INF else -1,
                    "why": book.why,
                    "flow": book.flow if account.limits.output is not None else 0.0,
                    "waiting": len(book.waiting),
                    "running": len(book.running),
                    "closed_s": max(0.0, self._breakers.until(account.fails_with) - now),
                }
            )
        return found


def _wait_s(refused: Refused) -> float:
    return refused.wait_s
