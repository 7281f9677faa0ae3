"""Loads as a table in a terminal and in a notebook."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from mox.results.load.table import LoadRow, LoadTable

WIDTH = 160
COLUMNS = (
    "trial", "index", "load", "recall\nby id", "\ntied", "\nQPS", "\nrank", "\np50 ms",
    "\np95 ms", "\nrank", "\np99 ms", "CPU ms\nengine", "\nclient", "MB\nindex", "\nmemory",
    "\ndisk", "\nbuild s", "\nmarks",
)  # fmt: skip


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

    shown = Table(box=None, pad_edge=False)
    for name in COLUMNS:
        words = name.strip() in ("trial", "index", "load", "marks")
        shown.add_column(
            name, justify="left" if words else "right", no_wrap=not words, overflow="fold"
        )
    for row in table.rows:
        shown.add_row(
            *(escape(cell) for cell in cells(row)), style="dim" if row.facts["invalid"] else ""
        )
    console.print(shown)
    for note in table.notes:
        console.print(note, style="dim", highlight=False, markup=False)


def cells(row: LoadRow) -> list[str]:
    """A row as text, in the order of `COLUMNS`."""
    facts, recall, costs = row.facts, row.facts["recall"], row.costs
    return [
        row.trial,
        row.label,
        row.condition,
        number(recall["by_id"], 3),
        number(recall["tie_aware"], 3),
        _spread(facts["qps"], 0),
        _rank(row.qps_rank),
        _spread(facts["p50_ms"], 2),
        _spread(facts["p95_ms"], 2),
        _rank(row.p95_rank),
        _spread(facts["p99_ms"], 2),
        number(facts["engine_cpu_ms"], 2),
        number(facts["client_cpu_ms"], 2),
        *(number(one, 1) for one in (costs["index_mb"], facts["memory_mb"], facts["disk_mb"])),
        number(costs["build_s"], 1),
        ", ".join(row.marks),
    ]


def _rank(rank: tuple[int, int]) -> str:
    from mox.results.load.table import said

    return said(rank)


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
    from mox.results.show.markup import div, row, small
    from mox.results.show.markup import table as html_table

    lines = [row(COLUMNS, left=3, head=True)]
    for one in table.rows:
        shade = "rgba(128,128,128,.15)" if one.facts["invalid"] else ""
        lines.append(row(cells(one), left=3, shade=shade))
    return str(div(html_table(lines), *(small(note) for note in table.notes)))
