"""Where a text's sentences stand: nupunkt's, within blocks that blank lines and fences part."""

from __future__ import annotations

import re
from collections.abc import Iterator

LONGEST = 20_000
"""Characters given to nupunkt at once: its time grows with the square of a run of `!?`."""

# nupunkt's own rule for blank lines takes a minute for 40,000 of them, and knows `\n` alone.
# `?+`: `\r\n` is one line end, never two.
_BLANK = re.compile(r"(?:\r\n?+|[\n\x85\u2028\u2029])[^\S\r\n]*(?:\r\n?|[\n\x85\u2028\u2029])\s*")
# Full stops that are nothing else, in scripts that put no space behind them or that nupunkt
# hasn't learnt: CJK, Devanagari, Arabic, Armenian, Ethiopic; with what closes behind them.
_STOP = re.compile(r"[。！？｡।॥؟۔։።፧]+[\"'”’」』》〉】）)\]]*")
_FENCE = re.compile(r"^[ \t]*(`{3,}+(?=[^`\n]*$)|~{3,}+)([^\n]*)$", re.MULTILINE)


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Spans of a text's sentences, without the white space between them.

    English by nupunkt's model (Punkt, MIT, 26 kB inside its wheel): abbreviations, initials and
    numbers end nothing. A blank line always ends a sentence, as do a line that looks like a
    heading, and the line before a list item; a fenced block is one. Other languages that write
    `. ` are cut the same way without knowing their abbreviations; full stops of other scripts
    end a sentence always.
    """
    found: list[tuple[int, int]] = []
    start = 0
    for first, last in _fenced(text):
        found.extend(_prose(text, start, first))
        found.append((first, last))
        start = last
    found.extend(_prose(text, start, len(text)))
    return found


def _fenced(text: str) -> Iterator[tuple[int, int]]:
    """Blocks between fences, as CommonMark pairs them; one that nothing closes is none."""
    opening: re.Match[str] | None = None
    for fence in _FENCE.finditer(text):
        if opening is None:
            opening = fence
        elif fence[1].startswith(opening[1]) and not fence[2].strip():
            yield opening.start(1), fence.end(1)
            opening = None


def _prose(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    for gap in _BLANK.finditer(text, start, end):
        yield from _block(text, start, gap.start())
        start = gap.end()
    yield from _block(text, start, end)


def _block(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Sentences of a stretch without blank lines."""
    import nupunkt

    segmenter = nupunkt.segmenter()
    while start < end:
        stop = min(start + LONGEST, end)
        spans = segmenter.spans(text[start:stop], paragraph_breaks=False, line_breaks=True)
        if stop < end and len(spans) > 1:
            # The last one may go on behind `stop`: it is looked at again, whole.
            stop = start + spans.pop()[0]
        for first, last in spans:
            yield from _stops(text, start + first, start + last)
        start = stop


def _stops(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """A sentence cut behind each full stop that can be nothing else."""
    for stop in _STOP.finditer(text, start, end):
        yield start, stop.end()
        start = end - len(text[stop.end() : end].lstrip())
    if start < end:
        yield start, end
