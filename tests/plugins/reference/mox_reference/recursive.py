"""LangChain's recursive splitter as in Chroma's copy, written anew; offsets are carried along."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Literal

from mox.chunking import chunkers
from mox.registry import versions
from mox.spec import Spec
from mox.types import Chunk, Document, Tokenizer

SEPARATORS = ("\n\n", "\n", ".", "?", "!", " ", "")

Place = tuple[int, int]


class Recursive(Spec):
    """Pieces between separators, joined while the sum of their tokens fits."""

    kind: Literal["reference-recursive"] = "reference-recursive"
    size: int = 200
    """Most tokens of a chunk's pieces, counted one by one; the chunk itself may have one more."""
    overlap: int = 0
    """Most tokens of the pieces that a chunk takes over from the one before it."""


@chunkers.register(Recursive, fingerprint=lambda _: versions("mox-reference"), size=lambda _: None)
def recursive(spec: Recursive, document: Document, tokenizer: Tokenizer) -> Iterator[Chunk]:
    """README § 3 b, Parameters: a separator stays at the start of what follows it."""
    text = document.text
    for start, end in _split(spec, document, (0, len(text)), SEPARATORS, tokenizer):
        piece = text[start:end]
        start, end = start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())
        if start < end:
            yield Chunk(document.id, ((start, end),), text[start:end])


def _split(
    spec: Recursive,
    document: Document,
    place: Place,
    separators: tuple[str, ...],
    tokenizer: Tokenizer,
) -> Iterator[Place]:
    text = document.text[slice(*place)]
    at = next(i for i, one in enumerate(separators) if not one or one in text)
    rest, good = separators[at + 1 :], []
    for start, end in _parts(text, separators[at]):
        part = (place[0] + start, place[0] + end)
        tokens = tokenizer.count(text[start:end])
        if tokens < spec.size:
            good.append((part, tokens))
            continue
        yield from _merged(spec, good)
        good = []
        if rest:
            yield from _split(spec, document, part, rest, tokenizer)
        else:
            yield part
    yield from _merged(spec, good)


def _parts(text: str, separator: str) -> list[Place]:
    """Stretches of the text that begin where a separator does."""
    if separator:
        cuts = [found.start() for found in re.finditer(re.escape(separator), text)]
    else:
        cuts = list(range(len(text)))
    bounds = [0, *cuts, len(text)]
    return [(a, b) for a, b in itertools.pairwise(bounds) if a < b]


def _merged(spec: Recursive, pieces: list[tuple[Place, int]]) -> Iterator[Place]:
    """LangChain's `_merge_splits`: neighbours joined while their tokens' sum fits."""
    current: list[tuple[Place, int]] = []
    total = 0
    for place, tokens in pieces:
        if current and total + tokens > spec.size:
            yield current[0][0][0], current[-1][0][1]
            while total > spec.overlap or (total + tokens > spec.size and total > 0):
                total -= current.pop(0)[1]
        current.append((place, tokens))
        total += tokens
    if current:
        yield current[0][0][0], current[-1][0][1]
