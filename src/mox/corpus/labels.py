"""What all of our own question formats share: a head, a split, evidence or none, and what is said
of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from mox.corpus.jsonl import Row
from mox.corpus.text import shown
from mox.errors import DataError
from mox.types import Evidence, Question

UNANSWERABLE = "unanswerable"
SPLITS = ("dev", "test")

LEFT_OUT = "files left out"
SEVERAL = "evidence at several places"
UNREAD = "qrels not read"
UNLABELLED = "unlabelled queries"
"""What loaders say `about` a corpus that can change its values: a plan's notes repeat it."""


def sha256(text: str) -> str:
    """SHA-256 of a text's UTF-8 bytes: the source's, where a text has no file of its own."""
    return hashlib.sha256(text.encode()).hexdigest()


def evidence_field(row: Row) -> list[Any]:
    """The `evidence` of a question, which has to be written even when it is empty.

    Raises:
        DataError: it is missing, or isn't a list.
    """
    if "evidence" not in row.fields:
        raise DataError(
            f"{row.place}: the question has no field `evidence`.",
            mend='add its evidence; for one without an answer `"evidence": []` and'
            f' `"kind": "{UNANSWERABLE}"`.',
        )
    return row.need("evidence", list)


def agree(row: Row, kind: str, evidence: Evidence) -> None:
    """Refuse evidence that the question's kind contradicts.

    Raises:
        DataError: no evidence and another kind, or evidence and `unanswerable`.
    """
    if not evidence.groups and kind != UNANSWERABLE:
        raise DataError(
            f"{row.place}: no evidence, and its kind is {kind or 'not given'}.",
            mend=f'add its evidence, or say `"kind": "{UNANSWERABLE}"`.',
        )
    if evidence.groups and kind == UNANSWERABLE:
        raise DataError(
            f"{row.place}: {UNANSWERABLE}, and yet there is evidence.",
            mend="drop the evidence, or give the question another kind.",
        )


def split_field(row: Row) -> str | None:
    """The `split` of a question: `dev`, `test` or none.

    Raises:
        DataError: another word.
    """
    split = row.get("split", str)
    if split is not None and split not in SPLITS:
        raise DataError(
            f"{row.place}: the split is {split!r}.", mend="use dev (to choose on) or test."
        )
    return split


def all_or_none(splits: dict[str, str | None]) -> None:
    """Refuse a corpus that splits only some of its questions: the others would vanish.

    Args:
        splits: the place of each question → its split.

    Raises:
        DataError: names a question without a split, and one with.
    """
    without = [place for place, split in splits.items() if split is None]
    if without and len(without) < len(splits):
        split = next(place for place, split in splits.items() if split is not None)
        raise DataError(
            f"{without[0]}: no split, and the question at {split} has one.",
            mend="give every question a `split`, or none of them.",
        )


def one_side(questions: Mapping[str, Question]) -> None:
    """Refuse a group that its own author parted: what is chosen on one half, the other confirms.

    Args:
        questions: the place of each question whose group is written out → the question.

    Raises:
        DataError: names two questions of one group and of different splits.
    """
    first: dict[str, tuple[str, Question]] = {}
    for place, question in questions.items():
        there, other = first.setdefault(question.group, (place, question))
        if other.split != question.split:
            raise DataError(
                f"{place}: the question {shown(question.id)} of the group {shown(question.group)}"
                f" is for {question.split}, and {shown(other.id)} of the same group, at {there},"
                f" for {other.split}.",
                mend="give a group one `split`, or parts of it groups of their own; or leave every"
                " `split` out here and write `split: {test: 0.5}` in the experiment.",
            )
