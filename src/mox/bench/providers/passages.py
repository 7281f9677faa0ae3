"""The workload `rag`: a corpus' questions, with the passages that BM25 finds for each.

Its prompt is laid out so, and Mox' simulated providers know it:

```
Answer the question by the passages alone, and cite them by number, like [2]. If they don't
answer it, say so.

[1] text of the first passage

[2] text of the second one

Question: what is asked?
```

An answer's quality is the share of the gold evidence's words that it repeats: distinct words of
three letters and more, in lower case, stop words left out, the best span of each group of the
evidence, and the mean over groups. It is cheap, the same for every provider, and moves with
whether the right passage was found and used. It can't tell a well put answer from a copied
sentence: use a judge (`answer` metrics) for that.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mox.bench.providers.words import Draw, capped, vocabulary
from mox.errors import DataError
from mox.registry import validate
from mox.types.providers import Message, Request

if TYPE_CHECKING:
    from pathlib import Path

    from mox.bench.providers.sections import Rag
    from mox.types import Corpus, Evidence

TASK = (
    "Answer the question by the passages alone, and cite them by number, like [2]. If they don't"
    " answer it, say so."
)
NONCE = 8
"""Words of its own that a prompt begins with where the cache is off."""
_WORD = re.compile(r"[^\W_]{3,}")
STOP = frozenset({
    "the", "and", "for", "are", "was", "were", "that", "this", "with", "from", "has", "have", "had",
    "not", "but", "you", "can", "all", "any", "its", "they", "them", "their", "there", "then",
    "than", "which", "when", "where", "what", "who", "how", "why", "will", "would", "may", "might",
    "into", "also", "such", "each", "other", "some", "more", "most", "only", "same", "does", "did",
    "been", "being", "because", "about", "over", "under", "one", "two",
})  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """One question with its passages, and the words that a good answer has."""

    question: str
    passages: tuple[str, ...]
    gold: tuple[tuple[frozenset[str], ...], ...]
    """All of these groups, each any of its spans. Empty: nobody can tell."""


@dataclass(frozen=True)
class Questions:
    """Prompts of a corpus' questions, asked in turn."""

    name: str
    output_tokens: int
    shared: bool
    salt: str
    asked: tuple[Asked, ...] = field(repr=False)
    words: tuple[str, ...] = field(repr=False)
    tokens: tuple[int, ...] = field(repr=False)
    """Of each prompt, in o200k."""
    load: str = ""

    def __call__(self, round_: int, number: int) -> Request:
        prompt = laid_out(self._of(number))
        if not self.shared:
            draw = Draw(self.words, f"{self.salt}/{self.name}/{self.load}/{round_}/{number}")
            prompt = f"Request{draw(NONCE)}.\n\n{prompt}"
        return Request("", (Message("user", prompt),), capped(self.output_tokens, number))

    def under(self, load: str) -> Questions:
        return replace(self, load=load)

    def quality(self, number: int, answer: str) -> float | None:
        return quality(self._of(number).gold, answer)

    @property
    def input_tokens(self) -> int:
        return round(sum(self.tokens) / len(self.tokens)) + self._ahead

    @property
    def most_input_tokens(self) -> int:
        return max(self.tokens) + self._ahead

    @property
    def _ahead(self) -> int:
        """Tokens before a prompt that nobody shares."""
        return 0 if self.shared else NONCE + 2

    def _of(self, number: int) -> Asked:
        return self.asked[number % len(self.asked)]


def laid_out(one: Asked) -> str:
    """A prompt, as above."""
    passages = "\n\n".join(f"[{at}] {text}" for at, text in enumerate(one.passages, 1))
    return f"{TASK}\n\n{passages}\n\nQuestion: {one.question}"


def quality(gold: tuple[tuple[frozenset[str], ...], ...], answer: str) -> float | None:
    """Share of the gold evidence's words that an answer repeats; None without gold evidence."""
    if not gold:
        return None
    said = content_words(answer)
    best = (max(len(span & said) / len(span) for span in group) for group in gold)
    return sum(best) / len(gold)


def content_words(text: str) -> frozenset[str]:
    """Distinct words that carry a text's content."""
    return frozenset(_WORD.findall(text.lower())) - STOP


def asked(part: Rag, *, shared: bool, salt: str, base: Path) -> Questions:
    """The workload of a corpus.

    Raises:
        MoxError: the corpus can't be read, or has no question with an answer.
    """
    from mox.chunking.tokenizers import open_tokenizer
    from mox.corpus import corpora
    from mox.corpus.check import open_checked

    spec = corpora.parse(part.corpus)
    corpus = open_checked(spec, base)
    found = tuple(_found(part, corpus))
    count = open_tokenizer("o200k").count
    return Questions(
        name=f"{part.name}/cached" if shared else part.name,
        output_tokens=part.output,
        shared=shared,
        salt=salt,
        asked=found,
        words=vocabulary(),
        tokens=tuple(count(laid_out(one)) for one in found),
    )


def _found(part: Rag, corpus: Corpus) -> list[Asked]:
    """Questions that have an answer, with their passages, best first."""
    from mox.chunking.cut import chunk_corpus
    from mox.chunking.recursive import Recursive
    from mox.chunking.tokenizers import open_tokenizer
    from mox.retrieval.bm25 import Bm25, search

    questions = [one for one in corpus.questions if one.answerable][: part.questions]
    if not questions:
        raise DataError(
            f"{corpus.name} has no question with an answer.", mend="name a labelled corpus."
        )
    table = chunk_corpus(
        validate(Recursive, {"size": part.size}), corpus.documents, open_tokenizer("o200k")
    )
    rows, _ = search(validate(Bm25, {}), table.texts, [one.text for one in questions], k=part.k)
    texts = {document.id: document.text for document in corpus.documents}
    return [
        Asked(
            question.text,
            tuple(table.texts[row].strip() for row in hits if row >= 0),
            _gold(question.evidence, texts),
        )
        for question, hits in zip(questions, rows, strict=True)
    ]


def _gold(evidence: Evidence, texts: Mapping[str, str]) -> tuple[tuple[frozenset[str], ...], ...]:
    """Words of each span, by group. Graded documents have none: a whole one is no answer."""
    groups = []
    for group in evidence.groups:
        spans = [content_words(texts[s.document][s.start : s.end]) for s in group]
        kept = tuple(span for span in spans if span)
        if kept:
            groups.append(kept)
    return tuple(groups)
