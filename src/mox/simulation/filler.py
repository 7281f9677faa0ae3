"""Text of a wanted length in tokens, for prompts that give nothing to answer from."""

from __future__ import annotations

from functools import cache
from itertools import chain

from mox.simulation.draws import Draws
from mox.simulation.tokens import Piece, pieces

_SUBJECTS = (
    "The first part", "This answer", "A simulated model", "The second point", "Such a text",
    "The next step", "An example", "The usual case", "Each of them", "The other side",
    "A longer sentence", "The rest", "This line", "The whole matter", "One more word",
    "A careful reader",
)  # fmt: skip
_PREDICATES = (
    "stands here only to take up room", "says nothing that a question asked for",
    "is as long as it was meant to be", "comes after the one before it",
    "would be read by no one in a hurry", "has been made up by a machine",
    "follows from a seed and from nothing else", "is the same each time it is asked for",
    "tells you how fast the words arrive", "keeps the line busy for a while",
    "holds no fact about the world", "ends where the limit says that it ends",
)  # fmt: skip
_STOP = Piece(".", 1)


def filler(draws: Draws, tokens: int, *, name: str = "filler") -> list[Piece]:
    """So many pieces of one token each, in sentences drawn by the name; the last is cut short."""
    sentences = _sentences()
    shortest = min(len(sentence) for sentence in sentences)
    drawn = draws.bytes(name, tokens // shortest + 1)
    whole = chain.from_iterable(sentences[byte % len(sentences)] for byte in drawn)
    found = [piece for piece, _ in zip(whole, range(tokens), strict=False)]
    if found:
        found[0] = Piece(found[0].text.lstrip(), 1)
    if len(found) > 1 and found[-2] != _STOP:
        found[-1] = _STOP
    return found


@cache
def _sentences() -> tuple[tuple[Piece, ...], ...]:
    """Some 190 sentences, of whole words of one token each; every one begins with a space."""
    texts = (f" {subject} {predicate}." for subject in _SUBJECTS for predicate in _PREDICATES)
    return tuple(tuple(pieces(text)) for text in texts)
