"""Loads as a table in a terminal and in a notebook."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from mox.results.show import grid
from mox.results.show.grid import Column, Row

if TYPE_CHECKING:
    from rich.console import Console

    from mox.results.load.table import LoadRow, LoadTable

WIDTH = 150
NAMES = (
    Column("trial", words=True),
    Column("index", words=True, folds=True),
    Column("load", words=True, folds=True),
)
SPEED = (
    *NAMES,
    Column("QPS"),
    Column("p50 ms", minor=1),
    Column("p95 ms"),
    Column("p99 ms", minor=2),
    Column("first ms", minor=3),
    Column("marks", words=True, folds=True),
)
REST = (
    *NAMES,
    Column("recall by id"),
    Column("tied", minor=3),
    Column("ms engine", minor=1),
    Column("ms client", minor=3),
    Column("MB index", minor=1),
    Column("memory"),
    Column("disk", minor=2),
    Column("build s", minor=2),
    Column("answers", minor=3),
)


def text(table: LoadTable, width: int = WIDTH) -> str:
    """The table as plain text."""
    from rich.console import Console

    buffer = io.StringIO()
    console = Console(file=buffer, width=width, color_system=None, force_jupyter=False)
    show(table, console)
    return buffer.getvalue().rstrip()


def show(table: LoadTable, console: Console) -> None:
    """Print rows, what is wrong with each beneath it, and what holds of all."""
    from mox.results.load.equal import lines

    for columns, cells_of in ((SPEED, speed), (REST, rest)):
        rows = [Row(cells_of(row), "dim" if row.facts["invalid"] else "") for row in table.rows]
        grid.show(console, columns, rows)
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
        made = [row([column.name for column in columns], left=3, head=True)]
        for one in table.rows:
            shade = "rgba(128,128,128,.15)" if one.facts["invalid"] else ""
            made.append(row(cells_of(one), left=3, shade=shade))
        tables.append(html_table(made))
    compared = [small(line) for line in lines(table.equal_recall())]
    return str(div(*tables, *compared, *(small(note) for note in table.notes)))
