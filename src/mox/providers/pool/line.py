"""Who waits for one account in this process, in the order of booking."""

from __future__ import annotations

import asyncio
import time
from collections import deque

from mox.providers.pool.forms import INF, View


class Ticket:
    """A booking that waits for its turn."""

    __slots__ = ("ends", "future", "level", "marks")

    def __init__(self, marks: tuple[float, ...], ends: tuple[float, ...]) -> None:
        self.marks, self.ends = marks, ends
        self.future: asyncio.Future[bool] | None = None
        self.level: tuple[float, ...] = ()


class Line:
    """Of one account. Only the first of it is watched: no later booking starts before it.

    Args:
        patience_s: how late a booking may be used. Later, the provider's bucket ran over and
            kept no room for it: it is given back and made anew.
    """

    def __init__(self, patience_s: float, provider: str) -> None:
        self._patience_s = patience_s
        self.provider = provider
        self._view = View((), (), ())
        self._heard = 0.0
        self._held = 0.0
        self._tickets: deque[Ticket] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def hear(self, view: View) -> None:
        """How the account stands now."""
        now = time.monotonic()
        if self._tickets:
            self._drop_stale(now)  # by the old view: the new one has granted it long ago
        self._view, self._heard, self._held = view, now, now + view.held_s
        if self._tickets:
            self._move()

    def hold(self, for_s: float) -> None:
        """Let nobody go for a while."""
        self._held = max(self._held, time.monotonic() + for_s)
        if self._tickets:
            self._move()

    async def wait(self, ticket: Ticket, until: float) -> bool:
        """Whether a booking's turn came, in time and by `until`."""
        now = time.monotonic()
        if not self._tickets and max(self._due(ticket), self._held) <= now:
            self._note(ticket, now)
            return True
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bool] = loop.create_future()
        ticket.future = future
        self._tickets.append(ticket)
        if len(self._tickets) == 1:
            self._move()
        timer = loop.call_later(until - now, self._give_up, ticket)
        try:
            return await future
        finally:
            timer.cancel()
            if ticket in self._tickets:  # cancelled
                self._tickets.remove(ticket)
                self._move()

    def wait_of(self, ticket: Ticket) -> float:
        """How long a booking still has to wait, as things stand."""
        return max(0.0, max(self._due(ticket), self._held) - time.monotonic())

    def dismiss(self) -> None:
        """Send everybody away."""
        for ticket in list(self._tickets):
            self._end(ticket)

    def _due(self, ticket: Ticket) -> float:
        """When a ticket's turn comes, never before it was known."""
        due = self._heard
        view = self._view
        rows = zip(ticket.marks, view.granted, view.rates, strict=True)
        for j, (mark, granted, rate) in enumerate(rows):
            due = max(due, self._heard + (mark - view.skipped(j, mark) - granted) / rate)
        return due

    def _move(self) -> None:
        """Let go whose turn it is, and set the clock for the next."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = time.monotonic()
        while self._tickets:
            due = self._due(self._tickets[0])
            if due < now - self._patience_s:
                self._end(self._tickets[0])
            elif max(due, self._held) <= now:
                ticket = self._tickets.popleft()
                self._note(ticket, now)
                if ticket.future is not None and not ticket.future.done():
                    ticket.future.set_result(True)
            else:
                wake = due if self._held <= due else min(self._held, due + self._patience_s)
                if wake < INF:
                    loop = asyncio.get_running_loop()
                    self._timer = loop.call_later(max(0.0, wake - now) + 0.0002, self._move)
                return

    def _drop_stale(self, now: float) -> None:
        while self._tickets and self._due(self._tickets[0]) < now - self._patience_s:
            self._end(self._tickets[0])

    def _note(self, ticket: Ticket, now: float) -> None:
        """What the account has left after it, as the pool takes it."""
        view, passed = self._view, now - self._heard
        ticket.level = tuple(
            granted + view.skipped(j, end) + rate * passed + corrected - end
            for j, (granted, rate, corrected, end) in enumerate(
                zip(view.granted, view.rates, view.corrected, ticket.ends, strict=True)
            )
        )

    def _give_up(self, ticket: Ticket) -> None:
        self._end(ticket)
        self._move()

    def _end(self, ticket: Ticket) -> None:
        if ticket in self._tickets:
            self._tickets.remove(ticket)
        if ticket.future is not None and not ticket.future.done():
            ticket.future.set_result(False)
