"""Every call and what it cost, in one file of the state folder that is only ever added to.

It is SQLite in WAL mode. A budget has to be read, compared and held in one step over all tasks
and processes; with lines appended to a text file that would take a lock around reading all of
them. What was committed outlives kill -9. No call waits for the disk (`synchronous=NORMAL`): a
power failure may take the last moments' lines, and never damages earlier ones. Rows can't be
changed or removed: triggers refuse it.

What a call may cost at most is held from before it is sent until it is settled. What a process
held that has died is written by whoever comes next, as what it may have cost at most: nobody knows
what its provider billed for it (`mox.providers.charging`).
"""

from __future__ import annotations

import datetime as dt
import os
import sqlite3
import threading
import uuid
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mox.errors import BudgetError, StoreError
from mox.locks import Locks
from mox.providers.charging import UNCERTAIN
from mox.providers.ledger_file import (
    CALL,
    COLUMNS,
    TABLES,
    WAITS_S,
    WHO,
    Opened,
    append,
    as_text,
    connected,
    held,
    said,
    schema,
    spent,
    transaction,
)
from mox.providers.rates import ZERO, Price, added
from mox.types.providers import Call, Usage

if TYPE_CHECKING:
    import pandas as pd

ABANDONED = "abandoned"
"""The error of a call whose process died before it knew what it cost."""


@dataclass(frozen=True, slots=True)
class Purse:
    """Whose money it is: a run's, real or simulated. The two are never added together."""

    run: str = ""
    sweep: str | None = None
    simulated: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """A purse at one moment, in USD."""

    spent: Decimal = ZERO
    held: Decimal = ZERO
    """For calls that are under way."""


class Ledger:
    """The ledger of a state folder, for all threads and processes that use it.

    Args:
        root: the state folder; nothing is made there before the first call.
    """

    def __init__(self, root: Path) -> None:
        self.file = root / "ledger" / "calls.sqlite"
        self._locks = Locks(root / "locks" / "ledger")
        self._guard = threading.RLock()
        self._opened: Opened | None = None
        self._parents: Opened | None = None
        """What a forked child has inherited: SQLite's may be neither used nor closed here."""

    def hold(self, call: Call, purse: Purse, most: Price, *, limit: Decimal | None) -> str:
        """Set aside what a call may cost at most; returns the booking's name.

        Args:
            limit: what the purse may spend in all, in USD; no end to it where None.

        Raises:
            BudgetError: that would be more than the limit. Nothing is set aside.
            StoreError: the ledger can't be written.
        """
        amount = most.total
        booking = uuid.uuid4().hex
        with self._writing() as (db, session):
            # Without a limit nothing is summed: what is held may be thousands of calls.
            standing = Standing() if limit is None else _standing(db, purse)
            if self._over(standing, amount, limit) and self._let_go(db):
                standing = _standing(db, purse)  # the same sum, of which less is under way
            over = self._over(standing, amount, limit)
            if not over:
                who = (purse.run, purse.sweep, *_fields(call), most.table, most.row)
                values = (booking, session, _now(), *who, as_text(amount))
                marks = ", ".join("?" * len(values))
                db.execute(
                    f"INSERT INTO held (booking, session, at, {', '.join(WHO)}, usd)"  # noqa: S608
                    f" VALUES ({marks})",
                    values,
                )
        if over:
            raise _exceeded(call, standing, amount or ZERO, limit or ZERO)
        return booking

    def settle(
        self,
        booking: str,
        usage: Usage | None,
        price: Price | None,
        *,
        error: str | None = None,
        note: str | None = None,
    ) -> None:
        """Write what a held call cost.

        Args:
            price: None for the most that was held: what it cost can't be said, and `note` says
                why.

        Raises:
            StoreError: no such booking, or the ledger can't be written.
        """
        with self._writing() as (db, _):
            found = db.execute("SELECT * FROM held WHERE booking = ?", (booking,)).fetchone()
            if found is not None:
                usd = found["usd"] if price is None else as_text(price.total)
                append(db, found, usage or Usage(), usd, error=error, note=note)
        if found is None:
            raise StoreError(
                f"the ledger holds nothing for the call {booking!r}.",
                mend="settle each call once; a call that outlives its process is let go.",
            )

    def release(self, booking: str) -> None:
        """Hold nothing any more for a call that was never made: it leaves no line.

        Raises:
            StoreError: the ledger can't be written.
        """
        with self._writing() as (db, _):
            db.execute("DELETE FROM held WHERE booking = ?", (booking,))

    def standing(self, purse: Purse) -> Standing:
        """What a purse has spent, and what is held of it."""
        with self._reading() as db:
            return Standing() if db is None else _standing(db, purse)

    def rows(self) -> Iterator[dict[str, Any]]:
        """All calls, oldest first; COLUMNS of each."""
        with self._reading() as db:
            if db is not None:
                columns = ", ".join(COLUMNS)
                for row in db.execute(f"SELECT {columns} FROM calls ORDER BY id"):  # noqa: S608
                    yield dict(row)

    def frame(self) -> pd.DataFrame:
        """All calls as a pandas frame, a line each, oldest first; money as exact Decimals."""
        from mox.providers.costs import frame

        return frame(self.rows())

    def sums(self, *by: str) -> pd.DataFrame:
        """Sums of all calls, told apart by `simulated` and by what is named: `trial`, `sweep`,
        `run`, `day` (UTC), `purpose`, `model`, `provider`, `account`.

        Raises:
            SpecError: calls have no such property.
        """
        from mox.providers.costs import sums, sums_frame

        return sums_frame(sums(self, *by), *by)

    def close(self) -> None:
        """Let go what this ledger's process still holds open; a later use opens it again."""
        with self._guard:
            opened, self._opened = self._opened, None
            if opened is not None:
                opened.close()

    @staticmethod
    def _over(standing: Standing, amount: Decimal | None, limit: Decimal | None) -> bool:
        return (
            limit is not None
            and bool(amount)
            and added([standing.spent, standing.held, amount or ZERO]) > limit
        )

    def _let_go(self, db: sqlite3.Connection) -> bool:
        """Settle what the processes held that have died; whether there was something."""
        sessions = [row["session"] for row in db.execute("SELECT DISTINCT session FROM held")]
        with self._locks.claim(sessions) as dead:
            for session in dead:
                booked = db.execute("SELECT * FROM held WHERE session = ?", (session,)).fetchall()
                for one in booked:
                    append(db, one, Usage(), one["usd"], error=ABANDONED, note=UNCERTAIN)
        return bool(dead)

    @contextmanager
    def _writing(self) -> Iterator[tuple[sqlite3.Connection, str]]:
        """A transaction, alone over all processes; with the name of this process' session."""
        with self._guard, said(self.file):
            opened = self._open()
            with transaction(opened.db):
                yield opened.db, opened.session

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        if not self.file.exists():
            yield None
            return
        with said(self.file), closing(connected(self.file)) as db:
            yield db if schema(db) else None  # its maker is about to make its tables

    def _open(self) -> Opened:
        """This process' connection: a forked child opens its own."""
        if self._opened is None or self._opened.process != os.getpid():
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with self._locks.hold("opening", wait_s=WAITS_S):
                db = connected(self.file)
                db.executescript(TABLES)
            session = uuid.uuid4().hex
            alive = ExitStack()
            alive.enter_context(self._locks.hold(session, wait_s=0))
            self._parents = self._opened
            self._opened = Opened(db, session, alive, os.getpid())
            weakref.finalize(self, self._opened.close)
            with transaction(db):
                self._let_go(db)
        return self._opened


def _standing(db: sqlite3.Connection, purse: Purse) -> Standing:
    of = (purse.run, int(purse.simulated))
    return Standing(spent=spent(db, *of), held=held(db, *of))


def _fields(call: Call) -> tuple[str | int | None, ...]:
    return tuple(
        int(value) if isinstance(value, bool) else value
        for value in (getattr(call, name) for name in CALL)
    )


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")


def _exceeded(call: Call, standing: Standing, most: Decimal, limit: Decimal) -> BudgetError:
    what = f"a call of {call.provider}/{call.model} for {call.purpose}"
    if limit == 0:
        return BudgetError(
            f"the budget is 0 USD: {what}, which may cost up to {most:f}, was not made.",
            mend="raise the budget; 0 lets through only what costs nothing.",
        )
    smaller = "" if call.purpose == "embed" else (
        " A smaller max_output_tokens makes a call's most smaller."
    )  # fmt: skip
    rest = f", {standing.held:f} are held for calls under way" if standing.held else ""
    return BudgetError(
        f"the budget of {limit:f} USD would be exceeded: {standing.spent:f} are spent{rest}, and"
        f" {what} may cost up to {most:f}. It was not made.",
        mend=f"raise the budget and run again: what was done is kept.{smaller}",
    )
