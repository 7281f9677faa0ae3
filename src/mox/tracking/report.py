"""A report as Markdown: MLflow's description of a run, from the same content as the page."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from mox.results.report.content import (
    Bar,
    Code,
    Commands,
    Lines,
    Looked,
    Picture,
    Table,
    words,
)
from mox.secrets import scrub
from mox.tracking.keys import TAG, shortened
from mox.tracking.links import PAGE

if TYPE_CHECKING:
    from mox.results.report.content import Block, Cell, Report, Section
    from mox.tracking.links import Place

NOTE = TAG
"""Most characters of a run's description."""
REPORT = "report.md"
FIGURE = "pareto.html"
"""The figure of quality against size: of a sweep without a finished trial of known size there is
none."""
LONGEST = 600
"""Characters of a sentence, a cell or a message in a description."""
TOP = 8
"""Rows of a table; the rest is on the page."""


def markdown(report: Report, place: Place, *, drawn: bool = True, most: int | None = None) -> str:
    """A sweep's report; see `described`.

    Args:
        place: where the run stands in MLflow, for links.
        drawn: whether `FIGURE` is among its artifacts.
    """
    return described(report, _pages(place, report, drawn=drawn), most=most)


def described(
    report: Report, pages: Sequence[tuple[str, str]], *, page: str = PAGE, most: int | None = None
) -> str:
    """A report, without what only a page can show: charts, and what is folded there.

    Args:
        pages: (what, where) to look, as links.
        page: the artifact that holds the whole report.
        most: characters that it may have; sections that matter least are left out first.
    """
    said = report.mapped(scrub)
    if most is not None:
        said = said.mapped(lambda text: shortened(text, LONGEST, see=page))
    opening = list(_opening(said, pages))
    kept = list(said.sections)
    while True:
        text = _joined([*opening, *map(_section, kept), _left_out(said, kept, page)])
        if most is None or len(text) <= most:
            return text
        if not kept:
            break
        kept.remove(max(kept, key=lambda section: section.weight))
    end = f"\n\n… The rest is in the artifact `{page}`.\n"
    return text[: most - len(end)] + end


def _joined(parts: list[str]) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"


def _opening(report: Report, pages: Sequence[tuple[str, str]]) -> Iterator[str]:
    if report.unfinished:
        yield f"**{plain(report.unfinished)}**"
    first, *rest = report.verdict
    yield f"**{plain(first)}**" if report.tone != "plain" else plain(first)
    yield from map(plain, rest)
    yield f"Look: {' · '.join(f'[{title}]({path})' for title, path in pages)}"
    yield plain(report.facts)


def _pages(place: Place, report: Report, *, drawn: bool) -> list[tuple[str, str]]:
    blocks = [block for section in report.sections for block in section.blocks]
    figures = [one for one in blocks if isinstance(one, Picture) and one.file]
    return [
        ("the whole report", place.artifact(PAGE)),
        ("all trials, sorted", place.trials),
        ("leaderboard", place.artifact("leaderboard.json")),
        *([("quality against cost", place.artifact(FIGURE))] if drawn else []),
        *((one.alt.split(" of ")[0].lower(), place.artifact(one.file)) for one in figures),
        ("plan", place.artifact("plan.json")),
    ]


def _left_out(report: Report, kept: list[Section], page: str) -> str:
    names = [section.title for section in report.sections if section not in kept]
    if not names:
        return ""
    return f"Left out here for want of room, and in `{page}`: {plain(', '.join(names))}."


def _section(section: Section) -> str:
    parts = [part for block in section.blocks if (part := _block(block))]
    return "\n\n".join([f"## {plain(section.title)}", *_run_together(parts)]) if parts else ""


def _run_together(parts: list[str]) -> list[str]:
    """Points that follow each other are one list."""
    found: list[str] = []
    for part in parts:
        if found and part.startswith("- ") and found[-1].startswith("- "):
            found[-1] += f"\n{part}"
        else:
            found.append(part)
    return found


def _block(block: Block) -> str:
    if isinstance(block, Lines):
        return "\n".join(f"- {plain(line)}" for line in block.said)
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Commands):
        return f"```\n{block.text.strip().replace('```', '')}\n```"
    return f"- {plain(block.said)}" if isinstance(block, Looked) else ""


def _table(table: Table) -> str:
    columns = [at for at in range(len(table.head)) if at not in table.wide]
    rule = ["---" if at < table.words else "--:" for at in columns]
    lines = [_row([plain(table.head[at]) for at in columns]), _row(rule)]
    shown = [at for at in range(len(table.rows)) if at < TOP or at in table.marked]
    for at in shown:
        cells = table.rows[at]
        lines.append(_row([_cell(cells[n], bold=at in table.marked and n == 1) for n in columns]))
    rest = len(table.rows) - len(shown)
    notes = [f"… and {rest} more."] if rest else []
    notes += [plain(table.note)] if table.note else []
    return "\n".join([*lines, *(["", " ".join(notes)] if notes else [])])


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(cell: Cell, *, bold: bool) -> str:
    if isinstance(cell, Code):
        return f"`{cell.text}`"
    if isinstance(cell, Bar):
        return words(cell).replace(" ", "\u00a0")
    # MLflow sets table cells without a gap.
    return f"**{plain(cell)}**" if bold else f"{plain(cell)}\u00a0" if cell else ""


def plain(text: str) -> str:
    """Text that Markdown shows as it is, on one line, also inside a table.

    What HTML reads is an entity: MLflow's pages show a backslash before it.
    """
    flat = " ".join(text.split())
    for mark in "\\`*_|[]~":
        flat = flat.replace(mark, f"\\{mark}")
    return html.escape(flat, quote=False)
