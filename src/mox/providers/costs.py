"""What calls cost, summed up: by day, purpose, model, trial. Real and simulated money never mix."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from mox.errors import SpecError
from mox.providers.ledger import Ledger
from mox.providers.ledger_file import COLUMNS
from mox.providers.rates import ZERO, added
from mox.registry import nearest

if TYPE_CHECKING:
    import pandas as pd

BY = ("day", "purpose", "model", "provider", "account", "trial", "run", "sweep")
"""What calls may be told apart by."""


@dataclass(slots=True)
class Sum:
    """What some calls cost together, in USD."""

    simulated: bool
    by: Mapping[str, str]
    """What these calls have in common. Days are UTC."""
    calls: int = 0
    failed: int = 0
    """Of the calls, those that ended in an error."""
    uncertain: int = 0
    """Of the calls, those of which isn't known what their provider bills: they broke off after
    they were sent, their process died, or their answer wasn't counted, or in a way that has no
    price (`mox.providers.charging`)."""
    unpriced: int = 0
    """Calls that have no price: they are in no sum."""
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    usd: Decimal = ZERO
    uncertain_usd: Decimal = ZERO
    """Of `usd`, what the uncertain calls may have cost at most."""
    tables: set[str] = field(default_factory=set)
    """The versions of the price tables that it goes by."""

    def document(self) -> dict[str, Any]:
        """As JSON; money as text, so that it stays exact."""
        names = ("calls", "failed", "uncertain", "unpriced")
        tokens = ("input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens")
        return {
            "simulated": self.simulated,
            **self.by,
            **{name: getattr(self, name) for name in (*names, *tokens)},
            "usd": f"{self.usd:f}",
            "uncertain_usd": f"{self.uncertain_usd:f}",
            "tables": sorted(self.tables),
        }


def sums(ledger: Ledger, *by: str, since: dt.date | None = None) -> list[Sum]:
    """Sums of a ledger's calls, sorted; whether they are simulated always tells them apart.

    Args:
        by: what else tells them apart, of BY; where nothing does, all real calls are one sum, and
            all simulated ones another.
        since: the first day that counts (UTC).

    Raises:
        SpecError: calls have no such property.
    """
    for name in by:
        if name not in BY:
            raise SpecError(
                f"costs can't be summed by {name!r}{nearest(name, BY)}.",
                mend=f"use {', '.join(BY)}.",
            )
    found: dict[tuple[Any, ...], Sum] = {}
    for row in ledger.rows():
        if since is not None and row["at"][:10] < since.isoformat():
            continue
        named = {name: _value(row, name) for name in by}
        key = (bool(row["simulated"]), *named.values())
        _add(found.setdefault(key, Sum(bool(row["simulated"]), named)), row)
    return [found[key] for key in sorted(found)]


def _value(row: Mapping[str, Any], name: str) -> str:
    if name == "day":
        return str(row["at"])[:10]
    if name == "model":
        return f"{row['provider']}/{row['model']}"
    return str(row[name] or "")


def _add(to: Sum, row: Mapping[str, Any]) -> None:
    to.calls += 1
    to.failed += row["error"] is not None
    for name in ("input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens"):
        setattr(to, name, getattr(to, name) + row[name])
    if row["price_table"]:
        to.tables.add(row["price_table"])
    if row["usd"] is None:
        to.unpriced += 1
    else:
        to.usd = added([to.usd, Decimal(row["usd"])])
    if row["note"] is not None:
        to.uncertain += 1
        to.uncertain_usd = added([to.uncertain_usd, Decimal(row["usd"] or "0")])


def frame(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Calls as a pandas frame, a line each, oldest first; money as exact Decimals.

    Add up only what `simulated` tells to be alike.
    """
    import pandas as pd

    table = pd.DataFrame([tuple(row.values()) for row in rows], columns=list(COLUMNS))
    table["at"] = pd.to_datetime(table["at"], utc=True, format="ISO8601")
    table["simulated"] = table["simulated"].astype(bool)
    for name in ("usd", "held_usd"):
        known = [None if value is None else Decimal(value) for value in table[name]]
        table[name] = pd.Series(known, index=table.index, dtype=object)
    return table


def sums_frame(found: Sequence[Sum], *by: str) -> pd.DataFrame:
    """Sums as a pandas frame, a line each; money as exact Decimals.

    Args:
        by: what tells them apart: columns too where there is no sum.
    """
    import pandas as pd

    money = ("usd", "uncertain_usd")
    rows = [{**one.document(), **{name: getattr(one, name) for name in money}} for one in found]
    return pd.DataFrame(rows, columns=list(Sum(False, dict.fromkeys(by, "")).document()))


def text(found: Sequence[Sum], *, since: dt.date | None = None) -> str:
    """Sums as a table for a reader: real money first, and what is simulated says so.

    Args:
        since: the first day that counts, to be said where there is none.
    """
    if not found:
        when = "here" if since is None else f"since {since.isoformat()}"
        return f"no call has been made {when}."
    lines = []
    for simulated in (False, True):
        some = [one for one in found if one.simulated == simulated]
        if some:
            lines += ["SIMULATED (nobody was paid):" if simulated else "paid:", *_table(some), ""]
    tables = sorted(set().union(*(one.tables for one in found)))
    return "\n".join([*lines, *(f"prices: {name}" for name in tables)])


def _table(some: Sequence[Sum]) -> list[str]:
    heads = [*some[0].by, "calls", "failed", "input", "cached", "output", "USD"]
    rows = [
        [
            *one.by.values(),
            f"{one.calls:,}",
            f"{one.failed:,}",
            f"{one.input_tokens:,}",
            f"{one.cached_tokens:,}",
            f"{one.output_tokens:,}",
            shown(one.usd),
        ]
        for one in some
    ]
    total = shown(added(one.usd for one in some))
    if len(some) > 1:
        blank = [""] * len(some[0].by)
        calls = sum(one.calls for one in some)
        rows.append([*blank[:-1], *["all"][: len(blank)], f"{calls:,}", "", "", "", "", total])
    names = len(some[0].by)
    widths = [max(len(row[at]) for row in [heads, *rows]) for at in range(len(heads))]
    lines = [
        "  "
        + "  ".join(
            cell.ljust(width) if at < names else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in [heads, *rows]
    ]
    return lines + list(_notes(some))


def _notes(some: Sequence[Sum]) -> Iterable[str]:
    if unpriced := sum(one.unpriced for one in some):
        said = "call has no price and is" if unpriced == 1 else "calls have no price and are"
        yield f"  {unpriced:,} {said} in no sum"
    most = added(one.uncertain_usd for one in some)
    if most > 0:
        uncertain = sum(one.uncertain for one in some)
        what, which, whom = ("call", "it", "it") if uncertain == 1 else ("calls", "they", "them")
        said = f"of {uncertain:,} {what} nobody knows what {which} cost"
        yield f"  {said}: {shown(most)} USD of the sum is the most that may be billed for {whom}"


def shown(usd: Decimal) -> str:
    """Money for a reader: to the hundredth of a cent, or to two digits where it is less."""
    if usd == 0:
        return "0"
    if usd >= Decimal("0.01"):
        return f"{usd:,.4f}"
    return f"{usd:.2g}" if usd >= Decimal("0.0001") else f"{usd:.1e}"
