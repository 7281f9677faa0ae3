"""What all of our own question formats share: a head, a split, and evidence or none."""

from __future__ import annotations

import hashlib
from typing import Any

from mox.corpus.jsonl import Row
from mox.errors import DataError
from mox.types import Evidence

UNANSWERABLE = "unanswerable"
SPLITS = ("dev", "test")


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
