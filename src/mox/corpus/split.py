"""Splitting a corpus' questions by group, and taking only some of them."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import replace

from mox.corpus.labels import SPLITS
from mox.errors import DataError, SpecError
from mox.types import Corpus


def apply_split(corpus: Corpus, *, test: float, seed: int) -> Corpus:
    """Give each question a split, whole groups together; a corpus that brings one keeps it.

    Groups come in an order that `seed` and their names alone decide; each goes to the split
    that lacks more questions of its share. So the number of test questions is off its share
    by half of the largest group at most. A single group is all dev where `test` is at most
    half.

    Args:
        test: share of the questions, in [0, 1].

    Raises:
        SpecError: `test` is out of range.
    """
    if not 0 <= test <= 1:
        raise SpecError(f"a share of {test} for test.", mend="give `test` a value between 0 and 1.")
    if any(question.split for question in corpus.questions):
        return corpus
    sizes = Counter(question.group for question in corpus.questions)
    lacks = {"dev": (1 - test) * len(corpus.questions), "test": test * len(corpus.questions)}
    splits = {}
    for group in sorted(sizes, key=lambda group: _rank(group, seed)):
        split = "test" if lacks["test"] > lacks["dev"] else "dev"
        lacks[split] -= sizes[group]
        splits[group] = split
    return replace(
        corpus,
        questions=tuple(replace(q, split=splits[q.group]) for q in corpus.questions),
    )


def limit(corpus: Corpus, n: int | None = None, split: str | None = None) -> Corpus:
    """The first `n` questions of one split, in the corpus' order; None: all.

    Raises:
        SpecError: `n` is below 1, or `split` is neither dev nor test.
        DataError: no question is left.
    """
    if n is not None and n < 1:
        raise SpecError(f"a limit of {n} questions.", mend="take at least 1, or leave it out.")
    if split is not None and split not in SPLITS:
        raise SpecError(f"no split {split!r}.", mend="use dev or test.")
    questions = tuple(q for q in corpus.questions if split in (None, q.split))[:n]
    if not questions:
        raise DataError(
            f"{corpus.name}: no question is in {split or 'the corpus'}.",
            mend="take the other split, or split the corpus first.",
        )
    return replace(corpus, questions=questions)


def _rank(group: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}\0{group}".encode()).digest()
