"""Sections of a document by its headings, each with the path of titles that leads to it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import Literal

from pydantic import Field

from mox.chunking import chunkers
from mox.chunking.pieces import LEAST, pieces
from mox.chunking.structure import (
    Heading,
    Section,
    adorned_headings,
    markdown_headings,
    sections,
)
from mox.errors import DataError
from mox.registry import versions
from mox.spec import Spec
from mox.types import Chunk, Document, Tokenizer

_READERS = {
    "text/markdown": markdown_headings,
    "text/x-rst": adorned_headings,
    "text/plain": adorned_headings,
}


class Headings(Spec):
    """A chunk never crosses a heading; a section over the size is cut like `recursive`."""

    kind: Literal["headings"] = "headings"
    size: int = Field(200, ge=4 * LEAST)
    """Most tokens of a chunk, the path included. 200 of cl100k are up to some 240 word pieces,
    which an embedder that reads 256 reads whole."""
    path: bool = True
    """Put the titles that lead to a section before its text, in what is embedded only. A title
    that stands in the chunk's own text isn't put before it again."""


@chunkers.register(
    Headings,
    fingerprint=lambda _: versions("semchunk", "markdown-it-py", "bpe-openai", version="2"),
    size=lambda spec: spec.size,
    context=True,
)
def headings(spec: Headings, document: Document, tokenizer: Tokenizer) -> Iterator[Chunk]:
    """Cut between sections, then within those that are too long.

    Raises:
        DataError: a media type whose headings are unknown.
    """
    for section in sections(document.text, _headings(document)):
        before = _Path(section, spec.size // 2 if spec.path else 0, tokenizer).before
        for start, end in _cut(document, section, before, spec.size, tokenizer):
            yield Chunk(document.id, ((start, end),), before(start) + document.text[start:end])


def _headings(document: Document) -> Iterator[Heading]:
    media_type = document.media_type.partition(";")[0].strip().lower()
    if media_type not in _READERS and media_type.startswith("text/x-"):
        return iter(())  # source code has none: it is one section
    if media_type not in _READERS:
        raise DataError(
            f"headings cannot be found in document {document.id!r}, which is"
            f" {document.media_type!r}; they can in {', '.join(_READERS)}.",
            mend="use another chunker, such as recursive, or parse the document to one of these.",
        )
    return _READERS[media_type](document.text)


class _Path:
    """What is put before a section's chunks: at most `limit` tokens of the titles above them."""

    def __init__(self, section: Section, limit: int, tokenizer: Tokenizer) -> None:
        self._section = section
        prefixes = [_prefix(section.path[:n], limit, tokenizer) for n in range(len(section.path))]
        self._prefixes = (*prefixes, _prefix(section.path, limit, tokenizer))

    def before(self, start: int) -> str:
        """Of a chunk that begins at `start`: what begins there or later stands in its own text."""
        return self._prefixes[bisect_left(self._section.begins, start)]


def _prefix(path: tuple[str, ...], limit: int, tokenizer: Tokenizer) -> str:
    """The path as it is embedded, without as many outer titles as `limit` tokens demand."""
    for outer in range(len(path)):
        prefix = " > ".join(path[outer:]) + "\n\n"
        if tokenizer.count(prefix) <= limit:
            return prefix
    return ""


def _cut(
    document: Document,
    section: Section,
    before: Callable[[int], str],
    size: int,
    tokenizer: Tokenizer,
) -> list[tuple[int, int]]:
    """Spans of a section whose text has at most `size` tokens after what is put `before` it.

    The lines of its heading stay with the text below them: by themselves they would be found
    and answer nothing. Unless there is no such text, or too little room for it beside them.
    """
    text = document.text
    start = section.start + _indent(text[section.start : section.end])
    body = section.body + _indent(text[section.body : section.end])
    end = section.start + len(text[section.start : section.end].rstrip())
    if tokenizer.count(before(start) + text[start:end]) <= size:
        return [(start, end)]
    heading = tokenizer.count(before(start) + text[start:body])
    budget = size - tokenizer.count(before(body))
    room = min(budget, size - heading)
    if body < end and room >= size // 4 + LEAST:
        budget = room
    else:
        body = start
    while True:
        first, *rest = pieces(document, body, end, size=budget, tokenizer=tokenizer)
        spans = [(start, first[1]), *rest]
        longest = max(tokenizer.count(before(a) + text[a:b]) for a, b in spans)
        if longest <= size:
            return spans
        budget -= longest - size  # tokens that the seams between the parts cost


def _indent(text: str) -> int:
    """Characters of white space that a text begins with."""
    return len(text) - len(text.lstrip())
