"""The ledger's file: its tables, who has it open, and what is written in one transaction."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from mox.errors import StoreError
from mox.providers.rates import ZERO, added
from mox.types.providers import Usage

SCHEMA = 1
WAITS_S = 30.0
"""For other writers, each of which takes a fraction of a millisecond."""
CALL = ("account", "provider", "model", "purpose", "trial", "simulated", "service_tier")
WHO = ("run", "sweep", *CALL, "price_table", "price_row")
_TOKENS = (
    "input_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
)
COLUMNS = ("at", *WHO, *_TOKENS, "usd", "held_usd", "error", "note")
"""Of a call. `usd` and `held_usd` are exact decimals as text; `usd` is null where a call without
a price was allowed. A `note` says why `usd` is only the most that it may have cost."""

TABLES = f"""
CREATE TABLE IF NOT EXISTS calls (
    id INTEGER PRIMARY KEY, booking TEXT NOT NULL UNIQUE, {", ".join(COLUMNS)},
    balance TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS calls_of_run ON calls (run, simulated, id);
CREATE TABLE IF NOT EXISTS held (
    booking TEXT PRIMARY KEY, session TEXT NOT NULL, at, {", ".join(WHO)}, usd TEXT
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS held_of_run ON held (run, simulated);
CREATE TRIGGER IF NOT EXISTS calls_stay BEFORE UPDATE ON calls
    BEGIN SELECT RAISE(ABORT, 'the ledger is only added to'); END;
CREATE TRIGGER IF NOT EXISTS calls_remain BEFORE DELETE ON calls
    BEGIN SELECT RAISE(ABORT, 'the ledger is only added to'); END;
PRAGMA user_version = {SCHEMA};
"""


@dataclass(frozen=True)
class Opened:
    """What one process has open."""

    db: sqlite3.Connection
    session: str
    alive: ExitStack
    """Holds the session's lock, which the kernel frees when the process dies."""
    process: int

    def close(self) -> None:
        """Close it, in the process that opened it: a forked child leaves its parent's alone."""
        if self.process == os.getpid():
            self.db.close()
            self.alive.close()


def connected(file: Path) -> sqlite3.Connection:
    """A connection to a ledger, made if need be.

    Raises:
        StoreError: a newer Mox wrote it.
    """
    db = sqlite3.connect(file, timeout=WAITS_S, isolation_level=None, check_same_thread=False)
    db.row_factory = sqlite3.Row
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        found = schema(db)
    except sqlite3.Error:
        db.close()
        raise
    if found > SCHEMA:
        db.close()
        raise StoreError(
            f"{file} was written by a newer Mox (ledger {found}; this one knows {SCHEMA}).",
            mend="upgrade Mox, or point MOX_HOME at another folder.",
        )
    return db


def schema(db: sqlite3.Connection) -> int:
    """Of a ledger; 0 before its tables are made."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All of it or nothing, alone over all processes."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # a full disk has ended it already
            db.execute("ROLLBACK")
        raise


def spent(db: sqlite3.Connection, run: str, simulated: int) -> Decimal:
    """What a purse's last line says that it has spent in all."""
    last = db.execute(
        "SELECT balance FROM calls WHERE run = ? AND simulated = ? ORDER BY id DESC LIMIT 1",
        (run, simulated),
    ).fetchone()
    return Decimal(last["balance"]) if last else ZERO


def held(db: sqlite3.Connection, run: str, simulated: int) -> Decimal:
    """What is held of a purse for calls under way."""
    rows = db.execute("SELECT usd FROM held WHERE run = ? AND simulated = ?", (run, simulated))
    return added(Decimal(row["usd"]) for row in rows if row["usd"] is not None)


def append(
    db: sqlite3.Connection,
    booked: sqlite3.Row,
    usage: Usage,
    usd: str | None,
    *,
    error: str | None,
    note: str | None,
) -> None:
    """Write a call's line with its purse's new balance, and hold nothing for it any more."""
    balance = added([spent(db, booked["run"], booked["simulated"]), Decimal(usd or "0")])
    who = tuple(booked[name] for name in WHO)
    tokens = tuple(getattr(usage, name) for name in _TOKENS)
    row = [booked["booking"], booked["at"], *who, *tokens]
    row += [usd, booked["usd"], error, note, as_text(balance)]
    marks = ", ".join("?" * len(row))
    columns = ", ".join(["booking", *COLUMNS, "balance"])
    db.execute(f"INSERT INTO calls ({columns}) VALUES ({marks})", row)  # noqa: S608
    db.execute("DELETE FROM held WHERE booking = ?", (booked["booking"],))


def as_text(amount: Decimal | None) -> str | None:
    """Money as it is written."""
    return None if amount is None else f"{amount:f}"


@contextmanager
def said(file: Path) -> Iterator[None]:
    """What SQLite and the system say of a ledger, as a StoreError."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise StoreError(
            f"the ledger {file} can't be used: {reason}.",
            mend="free some space and make MOX_HOME writable; where the file is damaged, move it"
            " away: a new one begins with nothing spent.",
        ) from error
