"""How well a sentence is supported by others: words, meaning, numbers and negation."""

from __future__ import annotations

import math
import re
from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LONGEST_BLOCK = 4_000
"""Characters given to nupunkt at once: its time grows with the square of odd runs."""
LONGEST_SENTENCE = 600
"""Characters."""
REMEMBERED = 8_192
"""Sentences whose vectors are kept: 8 MB."""
LEXICAL = 0.5
"""Weight of shared words; the rest is the vectors' likeness."""
BESIDE = 0.9
"""What a word in a neighbouring sentence counts."""
COMPARED = 4
"""Sentences of a context that a claim is held against by their vectors."""

_BLANK = re.compile(r"\n[^\S\n]*\n\s*")
_WORD = re.compile(r"\d+(?:[.,]\d+)+|[^\W_]+(?:['’.][^\W_]+)*")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_NEGATIONS = frozenset(
    {
        "no", "not", "never", "none", "neither", "nor", "nothing", "nobody", "nowhere",
        "without", "cannot", "hardly",
    }
)  # fmt: skip
_STOPWORDS = frozenset(
    {
        "a", "about", "after", "all", "also", "an", "and", "any", "are", "as", "at", "be", "been",
        "before", "being", "between", "both", "but", "by", "can", "could", "did", "do", "does",
        "doing", "done", "during", "each", "for", "from", "had", "has", "have", "having", "he",
        "her", "here", "him", "his", "how", "i", "if", "in", "into", "is", "it", "it's", "its",
        "itself", "just", "me", "more", "most", "my", "of", "off", "on", "once", "one", "only",
        "or", "other", "our", "out", "over", "own", "same", "she", "should", "so", "some", "such",
        "than", "that", "the", "their", "them", "then", "there", "these", "they", "this", "those",
        "through", "to", "too", "under", "until", "up", "very", "was", "we", "were", "what",
        "when", "where", "which", "while", "who", "whom", "whose", "why", "will", "with", "would",
        "you", "your",
    }
)  # fmt: skip
_SILENT = _STOPWORDS | _NEGATIONS


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence and what it is compared by."""

    text: str
    stems: frozenset[str]
    numbers: frozenset[str]
    negated: bool


@lru_cache(2048)
def sentences(text: str) -> tuple[Sentence, ...]:
    """A text's sentences, in order; those without a word are left out."""
    return tuple(
        sentence for part in _parts(text) for sentence in [sentence_of(part)] if sentence.stems
    )


@lru_cache(8192)
def sentence_of(text: str) -> Sentence:
    """A text as one sentence."""
    words = [word.lower().replace("’", "'").replace(",", "") for word in _WORD.findall(text)]
    negated = any(word in _NEGATIONS or word.endswith("n't") for word in words)
    stems = frozenset(_stem(word) for word in words if word not in _SILENT)
    numbers = frozenset(number.replace(",", "") for number in _NUMBER.findall(text))
    return Sentence(text, stems, numbers, negated)


def weights(candidates: Sequence[Sentence], wanted: Iterable[str]) -> dict[str, float]:
    """Weight of each wanted stem: the rarer among the candidates, the more it tells."""
    held = Counter(stem for sentence in candidates for stem in sentence.stems)
    return {stem: math.log((len(candidates) + 1.5) / (held[stem] + 0.5)) for stem in wanted}


def coverage(weight: dict[str, float], sentence: Sentence) -> float:
    """Share of the wanted weight that a sentence has, in [0, 1]."""
    # Added up in one order: a set's own differs from process to process.
    whole = math.fsum(weight.values())
    shared = math.fsum(value for stem, value in weight.items() if stem in sentence.stems)
    return shared / whole if whole else 0.0


def likeness(one: str, others: Sequence[str]) -> list[float]:
    """Cosine of a text with each of others by wordllama, in [0, 1], to six places."""
    import numpy as np

    if not others:
        return []
    vectors = _vectors([one, *others])
    found = np.clip(vectors[1:] @ vectors[0], 0.0, 1.0)
    return [round(float(value), 6) for value in found]


def support(claim: str, context: Sequence[Sentence]) -> float:
    """How far a context says what a claim says, in [0, 1].

    The best sentence's shared words and likeness. A sentence and its two neighbours are read
    together, since "He was born there" says who and where only beside the one before. Nought
    where a number of the claim stands in none of them, or where one of claim and context denies
    what the other says.
    """
    wanted = sentence_of(claim)
    if not wanted.stems or not context:
        return 0.0
    shared = [len(wanted.stems & sentence.stems) for sentence in context]
    order = sorted(range(len(context)), key=lambda at: (-shared[at], at))[:COMPARED]
    chosen = [at for at in order if shared[at] and _agree(wanted, context, at)]
    alike = likeness(claim, [context[at].text for at in chosen])
    best = 0.0
    for at, like in zip(chosen, alike, strict=True):
        joined = frozenset().union(*(sentence.stems for sentence in _near(context, at)))
        words = max(shared[at], BESIDE * len(wanted.stems & joined)) / len(wanted.stems)
        best = max(best, LEXICAL * words + (1 - LEXICAL) * like)
    return round(best, 6)


def _near(context: Sequence[Sentence], at: int) -> Sequence[Sentence]:
    return context[max(at - 1, 0) : at + 2]


def _agree(wanted: Sentence, context: Sequence[Sentence], at: int) -> bool:
    """Whether the numbers are there, and neither denies the other."""
    near = _near(context, at)
    if not wanted.numbers <= frozenset().union(*(sentence.numbers for sentence in near)):
        return False
    if wanted.negated != context[at].negated:
        return False
    missing = wanted.stems - context[at].stems
    return wanted.negated or not any(one.negated and one.stems & missing for one in near)


def _parts(text: str) -> list[str]:
    """Sentences as nupunkt has them; of one that is longer than any, a table or code, its lines."""
    import nupunkt

    found: list[str] = []
    for block in _BLANK.split(text):
        for start in range(0, len(block), LONGEST_BLOCK):
            for part in map(str, nupunkt.sent_tokenize(block[start : start + LONGEST_BLOCK])):
                found += part.splitlines() if len(part) > LONGEST_SENTENCE else [part]
    return [part.strip() for part in found if part.strip()]


@lru_cache(1 << 16)
def _stem(word: str) -> str:
    stem: str = _stemmer().stemWord(word)
    return stem


@cache
def _stemmer() -> Any:
    import Stemmer

    return Stemmer.Stemmer("english")


_kept: OrderedDict[str, NDArray[np.float32]] = OrderedDict()
_lock = Lock()


def _vectors(texts: Sequence[str]) -> NDArray[np.float32]:
    """(texts, dims) of length 1, each made once."""
    import numpy as np

    from mox.simulation.vectors import unit

    with _lock:
        missing = [text for text in dict.fromkeys(texts) if text not in _kept]
        for text, vector in zip(missing, unit(missing) if missing else (), strict=True):
            _kept[text] = vector
        rows = []
        for text in texts:
            _kept.move_to_end(text)
            rows.append(_kept[text])
        while len(_kept) > REMEMBERED:
            _kept.popitem(last=False)
    return np.stack(rows)
