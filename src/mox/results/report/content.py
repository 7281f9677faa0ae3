"""The report of a run as content: what a lead reads, in order, whatever it is shown as.

MLflow's description (Markdown) and the file that is mailed (HTML) are made of this one model, so
that they cannot say different things. It holds text, tables and figures, and no markup.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from mox.results.lineage.inspection import Inspection
    from mox.results.reading import Interval
    from mox.results.results import Results
    from mox.results.show.figures import Figure

Tone = Literal["chosen", "refused", "plain"]


@dataclass(frozen=True)
class Code:
    """A cell that is an id or a command."""

    text: str


@dataclass(frozen=True)
class Bar:
    """A cell that is an interval: drawn where that can be, on the scale that its column shares.

    `signed`: a difference, drawn around 0. `minor`: shown in figures only, so that a measure that
    decides nothing doesn't look as if it did.
    """

    interval: Interval
    signed: bool = False
    minor: bool = False


Cell = str | Code | Bar


@dataclass(frozen=True)
class Table:
    """Rows under named columns.

    `words`: how many of the first columns hold words; the others hold numbers. `marked`: rows
    that are set off: the chosen trial. `shown`: rows before the rest is folded; all where None.
    `wide`: columns that only a page has room for.
    """

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    words: int = 1
    marked: frozenset[int] = frozenset()
    shown: int | None = None
    note: str = ""
    wide: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Lines:
    """Sentences, each a point of its own."""

    said: tuple[str, ...]


@dataclass(frozen=True)
class Commands:
    """What to type, or a file's text, as it is."""

    text: str


@dataclass(frozen=True)
class Picture:
    """A chart. `alt` says in words what it shows; `file`: a page of its own, where it has one."""

    figure: Figure
    alt: str
    file: str = ""


@dataclass(frozen=True)
class Looked:
    """A question looked at closely. `said` is it in a line, where it can't be drawn."""

    said: str
    view: Inspection


@dataclass(frozen=True)
class Folded:
    """Parts that matter to few readers: behind a line where that can be, else left out."""

    title: str
    parts: tuple[Block, ...]


Block = Table | Lines | Commands | Picture | Looked | Folded


@dataclass(frozen=True)
class Section:
    """A part of the report. `weight`: the greater, the sooner it is left out for want of room."""

    title: str
    blocks: tuple[Block, ...]
    weight: int = 0


@dataclass(frozen=True)
class Report:
    """All that a report says.

    `unfinished`: what keeps it from being final, to be read first; empty where nothing does.
    `verdict`: the recommendation, its first sentence first. `facts`: the run in a line.
    """

    title: str
    unfinished: str
    verdict: tuple[str, ...]
    tone: Tone
    facts: str
    sections: tuple[Section, ...]

    def mapped(self, change: Callable[[str], str]) -> Report:
        """The same with every text changed, but for those of documents that are looked into."""
        return _mapped(self, change)  # type: ignore[no-any-return]

    def html(self) -> str:
        """One page that needs nothing else: no network, no script; without secrets."""
        from mox.results.report.page import page
        from mox.secrets import hide, scrub

        return hide(page(self.mapped(scrub)))

    def save(self, path: str | Path) -> Path:
        """Write it as an .html file.

        Raises:
            SpecError: another ending.
            StoreError: it can't be written there.
        """
        from mox.results.show.markup import html_file, written

        return written(html_file(path), self.html())

    def document(self) -> dict[str, Any]:
        """The JSON form: what it says, without figures and documents."""
        return {
            "title": self.title,
            "final": not self.unfinished,
            "unfinished": self.unfinished or None,
            "verdict": list(self.verdict),
            "facts": self.facts,
            "sections": [
                {
                    "title": section.title,
                    "parts": [part for block in section.blocks for part in _plain(block)],
                }
                for section in self.sections
            ],
        }

    def __repr__(self) -> str:
        said = [self.unfinished, *self.verdict, self.facts]
        return "\n".join([self.title, *(line for line in said if line)])


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, tuple):
        return tuple(_mapped(part, change) for part in value)
    if isinstance(value, Report | Section | Table | Lines | Commands | Folded | Code):
        fields = {name: _mapped(part, change) for name, part in vars(value).items()}
        return replace(value, **fields)
    if isinstance(value, Picture):
        return replace(value, alt=change(value.alt))
    if isinstance(value, Looked):
        return replace(value, said=change(value.said))
    return value


def _plain(block: Block) -> list[Any]:
    if isinstance(block, Table):
        rows = [[words(cell) for cell in row] for row in block.rows]
        return [{"table": block.title, "head": list(block.head), "rows": rows}]
    if isinstance(block, Lines):
        return list(block.said)
    if isinstance(block, Commands):
        return [{"text": block.text}]
    if isinstance(block, Folded):
        return [part for inner in block.parts for part in _plain(inner)]
    return [{"picture": block.alt}] if isinstance(block, Picture) else [block.said]


def words(cell: Cell) -> str:
    """A cell as text."""
    if isinstance(cell, Bar):
        return interval_text(cell)
    return cell.text if isinstance(cell, Code) else cell


def interval_text(cell: Bar) -> str:
    """A mean, and its interval where that is to be read."""
    i = cell.interval
    sign = "+" if cell.signed else ""
    if cell.minor or i.low != i.low:
        return f"{i.mean:{sign}.3f}"
    return f"{i.mean:{sign}.3f} [{i.low:{sign}.3f}, {i.high:{sign}.3f}]"


def report(results: Results) -> Report:
    """The report of a run."""
    from mox.results.report.about import about
    from mox.results.report.parts import opening, sections

    title, unfinished, verdict, tone, facts = opening(results)
    return Report(
        title=title,
        unfinished=unfinished,
        verdict=tuple(verdict),
        tone=tone,
        facts=facts,
        sections=(*sections(results), *about(results)),
    )
