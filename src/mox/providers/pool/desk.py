"""Where callers of one process wait: it asks the books, holds tickets, and lets calls go.

The books (`memory`, `redis`) say where a booking begins; when its turn comes is worked out here,
anew whenever a reply says how an account stands. Nobody asks again and again, but for the first of
those whom the books send away for others' sake.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol
from uuid import uuid4

from mox.errors import PoolError
from mox.providers.pool.closing import closing, taken, undone
from mox.providers.pool.forms import INF, Ask, Booked, Closing, Refused, View
from mox.providers.pool.limits import Account
from mox.providers.pool.line import Line, Ticket
from mox.providers.pool.nouns import AHEAD_S, DEADLINE_S, Lease, Need, Needs, Outcome, Priority
from mox.providers.pool.refusals import names, refusal
from mox.providers.pool.turns import Queue, Sleepers, Turn

LEAST_S, TRIED_S = 0.005, 0.25
"""Between two questions of a caller that others are before, at least; and at most, where one of
them tries a provider that failed: how long that takes nobody knows."""


Tell = Callable[[str, View], None]
"""An account stands otherwise than its own calls say."""
TellOf = Callable[[str, float], None]
"""A provider fails: nothing of it may start for so many seconds."""


class Keeper(Protocol):
    """The books, wherever they lie. Cancelled in `place`, it undoes what was booked."""

    def listen(self, tell: Tell, tell_of: TellOf) -> None: ...
    async def place(self, ask: Ask) -> Booked | Refused: ...
    async def settle(self, account: Account, closing: Closing, origin: int) -> View | None: ...
    async def progress(
        self, account: Account, lease: str, flow: float, beyond: float, origin: int
    ) -> View | None: ...
    async def aside(self, account: Account, reason: str, until_s: float) -> View | None: ...
    async def state(self, accounts: Sequence[Account]) -> list[dict[str, Any]]: ...
    async def aclose(self) -> None: ...


class Desk:
    """A `Pool` over books.

    Args:
        weights: of tenants; 1 of those that it doesn't name.
    """

    def __init__(self, keeper: Keeper, *, weights: Mapping[str, float] | None = None) -> None:
        self._keeper = keeper
        self._weights = dict(weights or {})
        self._lines: dict[tuple[str, int], Line] = {}
        self._turns: dict[Queue, Turn] = {}
        self._sleepers = Sleepers()
        self._name = uuid4().hex[:12]
        self._leases = 0
        self._closed = False
        keeper.listen(self._told, self._told_of)

    async def acquire(
        self,
        accounts: Sequence[Account],
        need: Needs,
        *,
        deadline_s: float = DEADLINE_S,
        priority: Priority = "interactive",
        tenant: str = "",
    ) -> Lease:
        """See `Pool`."""
        self._check_open()
        if not accounts:
            raise PoolError("no account is named.", mend="name one account at least.")
        asked = time.monotonic()
        needs = [need if isinstance(need, Need) else need[each.name] for each in accounts]
        costs = [each.costs(account) for each, account in zip(needs, accounts, strict=True)]
        speeds = [each.tokens_per_s or 0.0 for each in needs]
        ahead, weight = AHEAD_S[priority], self._weights.get(tenant, 1.0)
        until = asked + deadline_s
        while True:
            self._leases += 1
            lease = f"{self._name}.{self._leases}"
            left = until - time.monotonic()
            ask = Ask(accounts, costs, lease, left, ahead, tenant, weight, speeds)
            booked = await self._placed(
                ask, (tenant, priority, *(each.name for each in accounts)), until
            )
            account = accounts[booked.account]
            held = Lease(
                account, costs[booked.account], lease, asked, mark=booked.marks,
                ends=booked.ends, origin=booked.view.origin, speed=booked.speed,
                tenant=tenant,
            )  # fmt: skip
            if await self._leave(held, booked, until):
                return held

    async def _placed(self, ask: Ask, key: Queue, until: float) -> Booked:
        """A booking; behind those of the same queue who may not book yet."""
        turn, wait = self._turns.get(key), 0.0
        if turn is None:
            placed = await self._keeper.place(ask)
            if isinstance(placed, Booked):
                return placed
            wait = self._wait_s(placed, ask, until)
            turn = self._turns.setdefault(key, Turn())
        await self._come_first(turn, ask, until)
        try:
            while True:
                if wait > 0:
                    await self._sleepers.sleep(max(wait, LEAST_S))
                self._check_open()
                ask = ask._replace(max_wait_s=until - time.monotonic())
                placed = await self._keeper.place(ask)
                if isinstance(placed, Booked):
                    return placed
                wait = self._wait_s(placed, ask, until)
        finally:
            turn.leave()
            if turn.users == 0 and self._turns.get(key) is turn:
                del self._turns[key]

    async def _come_first(self, turn: Turn, ask: Ask, until: float) -> None:
        """Wait until those who came before have booked."""
        try:
            async with asyncio.timeout(until - time.monotonic()):
                await turn.take()
        except TimeoutError:
            raise PoolError(
                f"{names(ask)} had no turn for it by the deadline, others being first.",
                mend="allow a longer deadline, or add an account.",
                why="turn",
            ) from None

    def _wait_s(self, refused: Refused, ask: Ask, until: float) -> float:
        """How long to wait before asking again; refuses at once what can't be had in time."""
        wait, left = refused.wait_s, until - time.monotonic()
        if refused.why == "tried" and left > 0:
            return min(wait, left, TRIED_S)
        if refused.why not in ("late", "held") and wait <= left:
            return wait
        raise refusal(refused, ask)

    async def _leave(self, lease: Lease, booked: Booked, until: float) -> bool:
        """Wait for a booking's turn; False where it came too late to be used, and was undone."""
        line = self._line(lease.account, lease.origin)
        line.hear(booked.view)
        ticket = Ticket(booked.marks, booked.ends)
        try:
            came = await line.wait(ticket, until)
        except BaseException:
            await self._undo(lease)
            raise
        if came:
            lease.level = ticket.level
            lease.began_s = lease.reported_s = time.monotonic()
            lease.waited_s = lease.began_s - lease.asked_s
            return True
        await self._undo(lease)
        self._check_open()
        if time.monotonic() >= until:
            raise PoolError(
                f"{lease.account.name} was not free by the deadline: it has less than it had when"
                " the call was booked.",
                mend="allow a longer deadline, or add an account.",
                would_wait_s=line.wait_of(ticket),
                why="late",
            )
        return False

    async def progress(self, lease: Lease, output_tokens: float) -> None:
        """See `Pool`."""
        out = lease.account.limits.output
        if out is None or output_tokens <= lease.reported or lease.closed:
            return
        cost = lease.costs[out]
        beyond = max(output_tokens, cost) - max(lease.reported, cost)
        flow = output_tokens - taken(lease)
        lease.reported, lease.reported_s = output_tokens, time.monotonic()
        view = await self._keeper.progress(lease.account, lease.id, flow, beyond, lease.origin)
        self._hear(lease.account, view)

    async def settle(self, lease: Lease, outcome: Outcome) -> None:
        """See `Pool`."""
        if lease.closed:
            return
        lease.closed = True
        view = await self._keeper.settle(lease.account, closing(lease, outcome), lease.origin)
        self._hear(lease.account, view)

    async def put_aside(self, account: Account, reason: str, until_s: float | None = None) -> None:
        """See `Pool`."""
        for_s = INF if until_s is None else max(until_s, LEAST_S)
        self._hear(account, await self._keeper.aside(account, reason, for_s))

    async def take_back(self, account: Account) -> None:
        """See `Pool`."""
        self._hear(account, await self._keeper.aside(account, "", 0.0))

    async def state(self, accounts: Sequence[Account]) -> dict[str, dict[str, Any]]:
        """See `Pool`."""
        found = await self._keeper.state(accounts)
        return {
            account.name: {
                **said,
                "levels": dict(zip(account.limits.resources, said["levels"], strict=True)),
                "rates": dict(zip(account.limits.resources, said["rates"], strict=True)),
            }
            for account, said in zip(accounts, found, strict=True)
        }

    async def aclose(self) -> None:
        """See `Pool`."""
        self._closed = True
        self._sleepers.wake()
        for line in self._lines.values():
            line.dismiss()
        await asyncio.sleep(0)  # those who waited give back
        await self._keeper.aclose()

    async def _undo(self, lease: Lease) -> None:
        lease.closed = True
        view = await self._keeper.settle(lease.account, undone(lease), lease.origin)
        self._hear(lease.account, view)

    def _line(self, account: Account, origin: int) -> Line:
        line = self._lines.get((account.name, origin))
        if line is None:
            line = self._lines[account.name, origin] = Line(
                account.limits.burst_s / 4, account.fails_with
            )
        return line

    def _hear(self, account: Account, view: View | None) -> None:
        if view is not None:
            self._line(account, view.origin).hear(view)

    def _told(self, account: str, view: View) -> None:
        line = self._lines.get((account, view.origin))
        if line is not None:
            line.hear(view)

    def _told_of(self, provider: str, closed_s: float) -> None:
        for line in self._lines.values():
            if line.provider == provider:
                line.hold(closed_s)

    def _check_open(self) -> None:
        if self._closed:
            raise PoolError("the pool is closed.", mend="open another one.")
