"""Text of a wanted length in tokens, for prompts that give nothing to answer from."""

from __future__ import annotations

from functools import cache

from mox.simulation.draws import Draws
from mox.simulation.tokens import Pieces, pieces

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


def filler(draws: Draws, tokens: int, *, name: str = "filler") -> Pieces:
    """So many pieces of one token each, in sentences drawn by the name; the last is cut short."""
    sentences = _sentences()
    drawn = draws.bytes(name, tokens // min(map(len, sentences)) + 1)
    texts: list[str] = []
    for byte in drawn:
        texts += sentences[byte % len(sentences)]
    del texts[tokens:]
    if texts:
        texts[0] = texts[0].lstrip()
    if len(texts) > 1 and texts[-2] != ".":
        texts[-1] = "."
    return Pieces(texts, [1] * len(texts))


@cache
def _sentences() -> tuple[list[str], ...]:
    """Some 190 sentences, of whole words of one token each; every one begins with a space."""
    texts = (f" {subject} {predicate}." for subject in _SUBJECTS for predicate in _PREDICATES)
    return tuple(pieces(text).texts for text in texts)
