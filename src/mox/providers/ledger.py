"""Every call and what it cost, in one file of the state folder that is only ever added to.

It is SQLite in WAL mode. A budget has to be read, compared and held in one step over all tasks
and processes; with lines appended to a text file that would take a lock around reading all of
them. What was committed outlives kill -9. No call waits for the disk (`synchronous=NORMAL`): a
power failure may take the last moments' lines, and never damages earlier ones. Rows can't be
changed or removed: triggers refuse it.

What a call may cost at most is held from before it is sent until it is settled. What a process
held that has died is let go, by a line that says so: what its provider billed for it isn't known.
"""

from __future__ import annotations

import datetime as dt
import os
import sqlite3
import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mox.errors import BudgetError, StoreError
from mox.locks import Locks
from mox.providers.rates import ZERO, Price, added
from mox.types.providers import Call, Usage

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = 1
WAITS_S = 30.0
"""For other writers, each of which takes a fraction of a millisecond."""
ABANDONED = "abandoned"
"""The error of a call whose process died before it knew what it cost."""

_CALL = ("account", "provider", "model", "purpose", "trial", "simulated", "service_tier")
_WHO = ("run", "sweep", *_CALL, "price_table", "price_row")
_TOKENS = (
    "input_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
)
COLUMNS = ("at", *_WHO, *_TOKENS, "usd", "held_usd", "error", "note")
"""Of a call. `usd` and `held_usd` are exact decimals as text; `usd` is null where a call without
a price was allowed."""

_TABLES = f"""
CREATE TABLE IF NOT EXISTS calls (
    id INTEGER PRIMARY KEY, booking TEXT NOT NULL UNIQUE, {", ".join(COLUMNS)},
    balance TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS calls_of_run ON calls (run, simulated, id);
CREATE TABLE IF NOT EXISTS held (
    booking TEXT PRIMARY KEY, session TEXT NOT NULL, at, {", ".join(_WHO)}, usd TEXT
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS held_of_run ON held (run, simulated);
CREATE TRIGGER IF NOT EXISTS calls_stay BEFORE UPDATE ON calls
    BEGIN SELECT RAISE(ABORT, 'the ledger is only added to'); END;
CREATE TRIGGER IF NOT EXISTS calls_remain BEFORE DELETE ON calls
    BEGIN SELECT RAISE(ABORT, 'the ledger is only added to'); END;
PRAGMA user_version = {SCHEMA};
"""


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
        self._opened: _Opened | None = None
        self._parents: _Opened | None = None
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
            standing = _standing(db, purse)
            if self._over(standing, amount, limit) and self._let_go(db):
                standing = _standing(db, purse)
            over = self._over(standing, amount, limit)
            if not over:
                who = (purse.run, purse.sweep, *_fields(call), most.table, most.row)
                values = (booking, session, _now(), *who, _text(amount))
                marks = ", ".join("?" * len(values))
                db.execute(
                    f"INSERT INTO held (booking, session, at, {', '.join(_WHO)}, usd)"  # noqa: S608
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
            price: None for the most that was held: what it cost can't be said.

        Raises:
            StoreError: no such booking, or the ledger can't be written.
        """
        with self._writing() as (db, _):
            found = db.execute("SELECT * FROM held WHERE booking = ?", (booking,)).fetchone()
            if found is not None:
                usd = found["usd"] if price is None else _text(price.total)
                _append(db, found, usage or Usage(), usd, error=error, note=note)
        if found is None:
            raise StoreError(
                f"the ledger holds nothing for the call {booking!r}.",
                mend="settle each call once; a call that outlives its process is let go.",
            )

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
                held = db.execute("SELECT * FROM held WHERE session = ?", (session,)).fetchall()
                for one in held:
                    _append(db, one, Usage(), "0", error=ABANDONED, note=None)
        return bool(dead)

    @contextmanager
    def _writing(self) -> Iterator[tuple[sqlite3.Connection, str]]:
        """A transaction, alone over all processes; with the name of this process' session."""
        with self._guard, _said(self.file):
            opened = self._open()
            with _transaction(opened.db):
                yield opened.db, opened.session

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        if not self.file.exists():
            yield None
            return
        with _said(self.file), closing(_connected(self.file)) as db:
            yield db

    def _open(self) -> _Opened:
        """This process' connection: a forked child opens its own."""
        if self._opened is None or self._opened.process != os.getpid():
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with self._locks.hold("opening", wait_s=WAITS_S):
                db = _connected(self.file)
                db.executescript(_TABLES)
            session = uuid.uuid4().hex
            alive = ExitStack()
            alive.enter_context(self._locks.hold(session, wait_s=0))
            self._parents = self._opened
            self._opened = _Opened(db, session, alive, os.getpid())
            with _transaction(db):
                self._let_go(db)
        return self._opened


@dataclass(frozen=True)
class _Opened:
    db: sqlite3.Connection
    session: str
    alive: ExitStack
    """Holds the session's lock, which the kernel frees when the process dies."""
    process: int

    def close(self) -> None:
        self.db.close()
        self.alive.close()


def _connected(file: Path) -> sqlite3.Connection:
    db = sqlite3.connect(file, timeout=WAITS_S, isolation_level=None, check_same_thread=False)
    db.row_factory = sqlite3.Row
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    found = db.execute("PRAGMA user_version").fetchone()[0]
    if found > SCHEMA:
        db.close()
        raise StoreError(
            f"{file} was written by a newer Mox (ledger {found}; this one knows {SCHEMA}).",
            mend="upgrade Mox, or point MOX_HOME at another folder.",
        )
    return db


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # a full disk has ended it already
            db.execute("ROLLBACK")
        raise


def _standing(db: sqlite3.Connection, purse: Purse) -> Standing:
    of = (purse.run, int(purse.simulated))
    last = db.execute(
        "SELECT balance FROM calls WHERE run = ? AND simulated = ? ORDER BY id DESC LIMIT 1", of
    ).fetchone()
    held = db.execute("SELECT usd FROM held WHERE run = ? AND simulated = ?", of)
    return Standing(
        spent=Decimal(last["balance"]) if last else ZERO,
        held=added(Decimal(row["usd"]) for row in held if row["usd"] is not None),
    )


def _append(
    db: sqlite3.Connection,
    held: sqlite3.Row,
    usage: Usage,
    usd: str | None,
    *,
    error: str | None,
    note: str | None,
) -> None:
    """Write a call's line with its purse's new balance, and hold nothing for it any more."""
    purse = Purse(held["run"], simulated=bool(held["simulated"]))
    balance = added([_standing(db, purse).spent, Decimal(usd or "0")])
    who = tuple(held[name] for name in _WHO)
    tokens = tuple(getattr(usage, name) for name in _TOKENS)
    row = (
        held["booking"],
        held["at"],
        *who,
        *tokens,
        usd,
        held["usd"],
        error,
        note,
        _text(balance),
    )
    marks = ", ".join("?" * len(row))
    columns = ", ".join(["booking", *COLUMNS, "balance"])
    db.execute(f"INSERT INTO calls ({columns}) VALUES ({marks})", row)  # noqa: S608
    db.execute("DELETE FROM held WHERE booking = ?", (held["booking"],))


def _fields(call: Call) -> tuple[str | int | None, ...]:
    return tuple(
        int(value) if isinstance(value, bool) else value
        for value in (getattr(call, name) for name in _CALL)
    )


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:f}"


def _exceeded(call: Call, standing: Standing, most: Decimal, limit: Decimal) -> BudgetError:
    what = f"a call of {call.provider}/{call.model} for {call.purpose}"
    if limit == 0:
        return BudgetError(
            f"the budget is 0 USD: {what}, which may cost up to {most:f}, was not made.",
            mend="raise the budget; 0 lets through only what costs nothing.",
        )
    held = f", {standing.held:f} are held for calls under way" if standing.held else ""
    return BudgetError(
        f"the budget of {limit:f} USD would be exceeded: {standing.spent:f} are spent{held}, and"
        f" {what} may cost up to {most:f}. It was not made.",
        mend="raise the budget and run again: what was done is kept. A smaller max_output_tokens"
        " makes a call's most smaller.",
    )


@contextmanager
def _said(file: Path) -> Iterator[None]:
    """What SQLite and the system say, as a StoreError."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise StoreError(
            f"the ledger {file} can't be used: {reason}.",
            mend="free some space and make MOX_HOME writable; where the file is damaged, move it"
            " away: a new one begins with nothing spent.",
        ) from error
