"""Loads as a table in a terminal and in a notebook."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from mox.results.load.table import LoadRow, LoadTable

WIDTH = 150
SPEED = ("trial", "index", "load", "QPS", "p50 ms", "p95 ms", "p99 ms", "first ms", "marks")
REST = (
    "trial", "index", "load", "recall by id", "tied", "ms engine", "ms client", "MB index",
    "memory", "disk", "build s", "answers",
)  # fmt: skip
WORDS = ("trial", "index", "load", "marks")
"""Columns that stand left, and fold; numbers do neither."""


def text(table: LoadTable, width: int = WIDTH) -> str:
    """The table as plain text."""
    from rich.console import Console

    buffer = io.StringIO()
    console = Console(file=buffer, width=width, color_system=None, force_jupyter=False)
    show(table, console)
    return buffer.getvalue().rstrip()


def show(table: LoadTable, console: Console) -> None:
    """Print rows, what is wrong with each beneath it, and what holds of all."""
    from rich.markup import escape
    from rich.table import Table

    from mox.results.load.equal import lines

    for columns, cells_of in ((SPEED, speed), (REST, rest)):
        shown = Table(box=None, pad_edge=False)
        for name in columns:
            words = name in WORDS
            justify: Any = "left" if words else "right"
            shown.add_column(name, justify=justify, no_wrap=not words, overflow="fold")
        for row in table.rows:
            dim = "dim" if row.facts["invalid"] else ""
            shown.add_row(*(escape(cell) for cell in cells_of(row)), style=dim)
        console.print(shown)
        console.print()
    for line in lines(table.equal_recall()):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    console.print()
    for note in table.notes:
        console.print(note, style="dim", highlight=False, markup=False)


def speed(row: LoadRow) -> list[str]:
    """How fast it was, in the order of `SPEED`."""
    facts = row.facts
    return [
        row.trial,
        row.label,
        row.condition,
        _spread(facts["qps"], 0),
        _spread(facts["p50_ms"], 2),
        _spread(facts["p95_ms"], 2),
        _spread(facts["p99_ms"], 2),
        _spread(facts.get("first_ms"), 1),
        ", ".join(row.marks),
    ]


def rest(row: LoadRow) -> list[str]:
    """What it found and took, in the order of `REST`."""
    facts, recall, costs = row.facts, row.facts["recall"], row.costs
    return [
        row.trial,
        row.label,
        row.condition,
        number(recall["by_id"], 3),
        number(recall["tie_aware"], 3),
        number(facts["engine_cpu_ms"], 2),
        number(facts["client_cpu_ms"], 2),
        *(number(one, 1) for one in (costs["index_mb"], facts["memory_mb"], facts["disk_mb"])),
        number(costs["build_s"], 1),
        f"{facts['answers']:,}",
    ]


def _spread(one: Any, digits: int) -> str:
    if one is None:
        return "–"
    middle, low, high = (number(one[name], digits) for name in ("median", "low", "high"))
    return f"{middle} [{low}, {high}]"


def number(value: float | None, digits: int) -> str:
    """A number, or a dash where there is none."""
    return "–" if value is None else f"{value:,.{digits}f}"


def drawn(table: LoadTable) -> str:
    """The table as HTML, for notebooks."""
    from mox.results.load.equal import lines
    from mox.results.show.markup import div, row, small
    from mox.results.show.markup import table as html_table

    tables = []
    for columns, cells_of in ((SPEED, speed), (REST, rest)):
        made = [row(columns, left=3, head=True)]
        for one in table.rows:
            shade = "rgba(128,128,128,.15)" if one.facts["invalid"] else ""
            made.append(row(cells_of(one), left=3, shade=shade))
        tables.append(html_table(made))
    compared = [small(line) for line in lines(table.equal_recall())]
    return str(div(*tables, *compared, *(small(note) for note in table.notes)))
