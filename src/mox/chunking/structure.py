"""Where a text's headings stand: Markdown's, and titles underlined as in reStructuredText."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from markdown_it.token import Token


class Heading(NamedTuple):
    """A heading's lines are [start, end) of the text; level 1 is the outermost."""

    start: int
    end: int
    level: int
    title: str


class Section(NamedTuple):
    """[start, end) of a text, from its heading to the next one; its text begins at `body`.

    `path`: the titles that lead to it, its own the last; none before the first heading.
    `begins`: where the heading of each does, past white space; from `start` on they stand in its
    own first lines.
    """

    start: int
    body: int
    end: int
    path: tuple[str, ...]
    begins: tuple[int, ...]


def sections(text: str, headings: Iterable[Heading]) -> Iterator[Section]:
    """Cut a text before each heading; one with no text below it stays with what follows."""
    start, body, path = 0, 0, list[Heading]()
    for heading in headings:
        if text[body : heading.start].strip():
            yield _section(text, (start, body, heading.start), path)
            start = heading.start
        path = [*(above for above in path if above.level < heading.level), heading]
        body = heading.end
    if text[start:].strip():
        yield _section(text, (start, body, len(text)), path)


def _section(text: str, bounds: tuple[int, int, int], path: list[Heading]) -> Section:
    titled = [heading for heading in path if heading.title]
    begins = (at.end - len(text[at.start : at.end].lstrip()) for at in titled)
    return Section(*bounds, tuple(heading.title for heading in titled), tuple(begins))


_LINE = re.compile(r"[^\r\n]*(?:\r\n?|\n|\Z)")
# Front matter: CommonMark would take its closing line for the underline of a heading.
_FRONT_MATTER = re.compile(
    r"\ufeff?---[ \t]*\r?\n[\w-]+[ \t]*:.*?^---[ \t]*\r?$", re.DOTALL | re.MULTILINE
)


def markdown_headings(text: str) -> Iterator[Heading]:
    """Headings of CommonMark, `#` and underlined, in order; none within lists and quotations.

    Titles are without markup. YAML front matter holds no headings.
    """
    from markdown_it import MarkdownIt

    # Inline markup matters in titles only, and parsing it is most of the time.
    parser = MarkdownIt("commonmark").disable("inline")
    front = _FRONT_MATTER.match(text)
    begins = [line.start() for line in _LINE.finditer(text)]
    links: dict[str, Any] = {}
    for opening, inline in itertools.pairwise(parser.parse(text, links)):
        if opening.type != "heading_open" or opening.level or opening.map is None:
            continue
        start, end = begins[opening.map[0]], begins[opening.map[1]]
        if front is None or start >= front.end():
            title = _plain(parser.inline.parse(inline.content, parser, links, []))
            yield Heading(start, end, int(opening.tag[1]), title)


def _plain(inline: list[Token]) -> str:
    """The text of inline Markdown without its markup."""
    parts = [
        " " if token.type in ("softbreak", "hardbreak") else token.content
        for token in inline
        if token.type != "html_inline"
    ]
    return " ".join("".join(parts).split())


_ADORNMENT = re.compile(r"([!-/:-@\[-`{-~])\1*\Z")
# What docutils reads as a list, a doctest, a directive, a line block or a field, not a title.
_NO_TITLE = re.compile(r"(?:[-+*•‣⁃]|>>>|\.\.|__|\|)(?:\s|$)|:[^:\s][^:]*:(?:\s|$)|\s")
_SURE = 4
"""An adornment of so many characters counts though it is shorter than its title."""


def adorned_headings(text: str) -> Iterator[Heading]:
    """Titles underlined, or over- and underlined, with one repeated ASCII punctuation character.

    The title begins a block of text at the margin. Each style of adornment is a level, in
    the order in which they first come.

    Source: docutils' reStructuredText parser (states Body, Text and Line).
    """
    spans = [(line.start(), line.end()) for line in _LINE.finditer(text)]
    lines = [text[start:end].rstrip() for start, end in spans]
    levels: dict[str, int] = {}
    fresh, at = True, 0
    while at < len(lines):
        first, *rest = lines[at : at + 3]
        if fresh and (style := _style(first, *rest)):
            length, title = len(style) + 1, rest[0] if len(style) == 2 else first
            level = levels.setdefault(style, len(levels) + 1)
            yield Heading(spans[at][0], spans[at + length - 1][1], level, title.strip())
            at += length
        else:
            fresh = not first
            at += 1


def _style(first: str, second: str = "", third: str = "") -> str:
    """The adornment of a heading that begins with these lines: `=`, or `==` where it has an
    overline too; empty where it is none.
    """
    if _ADORNMENT.match(first):
        same = first == third and not _ADORNMENT.match(second)
        return first[0] * 2 if same and second and _reaches(first, second) else ""
    if first and not _NO_TITLE.match(first) and _ADORNMENT.match(second):
        return second[0] if _reaches(second, first) else ""
    return ""


def _reaches(adornment: str, title: str) -> bool:
    return len(adornment) >= min(_SURE, _width(title))


def _width(text: str) -> int:
    """Columns that a text takes in a fixed-width font."""
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide - sum(bool(unicodedata.combining(character)) for character in text)
