"""Words that prompts are made of: each is one token, and which they are is told by a name."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

from mox.vocabulary import vocabulary as opened

WORDS = 2000
"""Of the vocabulary: eleven bits each, so that the first eight tell any two prompts apart."""
OWN = 24
"""Words at random that a prompt begins with."""
WARM = 16
"""Tokens of an answer that nobody counts; OpenAI's Responses take no fewer."""


@dataclass(frozen=True)
class Draw:
    """Words by a name, each with the space before it: some at random, then a piece of a long text
    that all have. Making one takes microseconds, whatever its length: it is made while answers to
    others are being measured."""

    words: tuple[str, ...]
    name: str

    def __call__(self, count: int) -> str:
        seed = hashlib.blake2b(self.name.encode(), digest_size=8).digest()
        # Drawn, not secret; random.Random gives the same draws on every platform.
        rng = random.Random(int.from_bytes(seed, "big"))  # noqa: S311
        own = min(count, OWN)
        text = "".join(" " + word for word in rng.choices(self.words, k=own))
        return text + _piece(self.words, rng.randrange(len(self.words)), count - own)


def _piece(words: tuple[str, ...], start: int, count: int) -> str:
    """So many words of all of them in a circle, from one on."""
    text, begins = _circle(words)
    whole, rest = divmod(count, len(words))
    end = start + rest
    if end <= len(words):
        part = text[begins[start] : begins[end]]
    else:
        part = text[begins[start] :] + text[: begins[end - len(words)]]
    return part + text * whole


@lru_cache(maxsize=4)
def _circle(words: tuple[str, ...]) -> tuple[str, tuple[int, ...]]:
    """All words in an order that is nobody's, and where each begins."""
    mixed = list(words)
    random.Random(0).shuffle(mixed)  # noqa: S311
    pieces = [" " + word for word in mixed]
    return "".join(pieces), tuple(accumulate(map(len, pieces), initial=0))


@lru_cache(maxsize=1)
def vocabulary() -> tuple[str, ...]:
    """Words that are one token of o200k with the space before them, the commonest first."""
    found: list[str] = []
    for raw in opened("o200k_base").token_bytes:
        word = raw[1:]
        # Pieces of words are tokens too; what has four letters and more is a word, mostly.
        if raw[:1] == b" " and 4 <= len(word) <= 10 and word.isalpha() and word.islower():
            found.append(word.decode())
            if len(found) == WORDS:
                break
    return tuple(found)


def capped(output_tokens: int, number: int) -> int:
    """The most tokens that the answer to a number's prompt may have; one below 0 only warms up a
    connection, and is cut short."""
    return output_tokens if number >= 0 else min(WARM, output_tokens)
