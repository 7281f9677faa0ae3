"""Tables in a terminal. Where it is too narrow, minor columns go before any is cut off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

NARROWEST = 24
"""Characters of a column of words that folds; narrower it is all line ends."""
GAP = 2
"""Characters between two columns."""


@dataclass(frozen=True)
class Column:
    """A column: figures stand right and in one line, words stand left and may fold."""

    name: str
    words: bool = False
    folds: bool = False
    style: str = ""
    minor: int = 0
    """The higher, the sooner it is left out; 0: never."""


@dataclass(frozen=True)
class Row:
    """A row's cells, as they are written."""

    cells: Sequence[str]
    style: str = ""


def show(console: Console, columns: Sequence[Column], rows: Sequence[Row], title: str = "") -> None:
    """Print a table as wide as the console, and name what that has no room for.

    A minor column without a word in it is left out, and not named.
    """
    minor = [at for at in range(len(columns)) if columns[at].minor]
    empty = {at for at in minor if not any(row.cells[at] for row in rows)}
    gone = set(empty)
    for least in sorted(minor, key=lambda at: (columns[at].minor, at), reverse=True):
        if _least_width(columns, rows, gone) <= console.width:
            break
        gone.add(least)
    if title:
        console.print(title, style="italic", markup=False, highlight=False, soft_wrap=True)
    console.print(_table(columns, rows, gone))
    if gone - empty:
        names = ", ".join(columns[at].name for at in sorted(gone - empty))
        console.print(
            f"too narrow for: {names}; a wider terminal or --json shows them.",
            style="dim",
            markup=False,
            highlight=False,
        )


def _table(columns: Sequence[Column], rows: Sequence[Row], gone: set[int]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for at, column in enumerate(columns):
        if at not in gone:
            table.add_column(
                Text(column.name),
                justify="left" if column.words else "right",
                no_wrap=not column.folds,
                overflow="fold",
                min_width=NARROWEST if column.folds else None,
                style=column.style,
            )
    for row in rows:
        cells = (Text(cell) for at, cell in enumerate(row.cells) if at not in gone)
        table.add_row(*cells, style=row.style)
    return table


def _least_width(columns: Sequence[Column], rows: Sequence[Row], gone: set[int]) -> int:
    """Characters of a table whose folding columns are as narrow as they may be."""
    from rich.cells import cell_len

    widths = []
    for at, column in enumerate(columns):
        if at not in gone:
            longest = max(
                cell_len(text) for text in (column.name, *(row.cells[at] for row in rows))
            )
            widths.append(min(longest, NARROWEST) if column.folds else longest)
    return sum(widths) + GAP * (len(widths) - 1)
