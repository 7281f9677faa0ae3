"""Finding quotations in documents, white space normalised: every place where they stand."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from mox.corpus.text import shown
from mox.types import Document, Question, Span

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mox.types import Ints

# Normalised text has no white space but single spaces, so no quotation reaches over this.
_SEAM = "\n"
_LAST_WHITE = 0x3000
_ESCAPES = "abfnrtv"
"""Letters that stand for a control character after a backslash, in C, Python, JSON and others."""


@dataclass(frozen=True)
class Pages:
    """Documents end to end, each run of white space one space, with the way back.

    `origin`: (len(text),) where each character stands in its document, -1 at the seams.
    `first`: where each document begins in `text`, ascending.
    """

    text: str
    origin: Ints
    first: tuple[int, ...]
    ids: tuple[str, ...]


def lay_out(documents: Sequence[Document]) -> Pages:
    """Documents ready for finding; about 10 ns a character, done once."""
    texts, origins, first = [], [], []
    at = 0
    for document in documents:
        text, origin = _normalise(document.text)
        texts.append(text)
        origins += [origin, np.array([-1], np.int32)]
        first.append(at)
        at += len(text) + len(_SEAM)
    return Pages(
        text="".join(text + _SEAM for text in texts),
        origin=np.concatenate(origins) if origins else np.empty(0, np.int32),
        first=tuple(first),
        ids=tuple(document.id for document in documents),
    )


def find(pages: Pages, quotation: str) -> Iterator[Span]:
    """Every span whose words are the quotation's, in order; they may overlap.

    Two texts are the same here when they are equal with each run of white space (as
    `str.split` has it) turned into one space, and none at the ends. A span begins and ends
    with a character that isn't white space, and not within a word or number of ASCII letters
    and digits: `10` doesn't stand in `2010`. Scripts without spaces have no such edges, and
    the letter of an escape (the n of `\\n` in source code) is part of no word.

    Args:
        quotation: with at least one character that isn't white space.
    """
    for at, end in _stands(pages.text, quotation):
        if not (_goes_on(pages.text, at) or _goes_on(pages.text, end)):
            yield _span(pages, at, end)


def find_within(pages: Pages, quotation: str) -> Iterator[tuple[Span, Span]]:
    """Every span that `find` refuses, since a word or number goes on beyond it; and the same
    with all of that word.

    Args:
        quotation: as for `find`.
    """
    for at, end in _stands(pages.text, quotation):
        first, last = at, end
        while _goes_on(pages.text, first):
            first -= 1
        while _goes_on(pages.text, last):
            last += 1
        if (first, last) != (at, end):
            yield _span(pages, at, end), _span(pages, first, last)


def _stands(text: str, quotation: str) -> Iterator[tuple[int, int]]:
    """Where a quotation stands in normalised text, be it within a word."""
    wanted = " ".join(quotation.split())
    at = text.find(wanted)
    while at >= 0:
        yield at, at + len(wanted)
        at = text.find(wanted, at + 1)


def _span(pages: Pages, at: int, end: int) -> Span:
    document = pages.ids[bisect_right(pages.first, at) - 1]
    return Span(document, int(pages.origin[at]), int(pages.origin[end - 1]) + 1)


def _goes_on(text: str, at: int) -> bool:
    """Whether an ASCII word or number stands on both sides of the border before `at`."""
    pair = text[max(at - 1, 0) : at + 1]
    return len(pair) == 2 and pair.isascii() and pair.isalnum() and not _escapes(text, at - 1)


def _escapes(text: str, at: int) -> bool:
    """Whether a character is the letter of an escape: after a backslash that none escapes."""
    if text[at] not in _ESCAPES:
        return False
    first = at
    while first and text[first - 1] == "\\":
        first -= 1
    return (at - first) % 2 == 1


def several(questions: Iterable[Question], documents: Iterable[Document]) -> Iterator[str]:
    """Names, a line each, the evidence that stands at several places, any of which will do."""
    texts = {document.id: document.text for document in documents}
    for question in questions:
        for group in question.evidence.groups:
            places: dict[str, list[str]] = {}
            for name, start, end in dict.fromkeys(group):
                words = " ".join(texts[name][start:end].split())
                places.setdefault(words, []).append(name)
            for words, names in places.items():
                if len(names) > 1:
                    files = len({*names})
                    yield (
                        f"{question.id}: {shown(words)} at {len(names)} places in {files}"
                        f" file{'s' if files > 1 else ''}"
                    )


def _normalise(text: str) -> tuple[str, Ints]:
    """The text with one space for each run, none at its start; and each character's origin."""
    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    white = _white()[np.minimum(codes, _LAST_WHITE + 1)]
    keep = ~white
    keep[1:] |= keep[:-1].copy()
    origin = np.flatnonzero(keep).astype(np.int32)
    kept = np.where(white, ord(" "), codes).astype(np.uint32)[origin]
    return kept.tobytes().decode("utf-32-le"), origin


@cache
def _white() -> NDArray[np.bool_]:
    """(0x3002,) whether a code point is white space; the last stands for all beyond."""
    return np.array([chr(code).isspace() for code in range(_LAST_WHITE + 2)])
