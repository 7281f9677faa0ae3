"""Rounds that say nothing of how a provider answers: nobody was reached, or nobody let in."""

from __future__ import annotations

from collections.abc import Sequence

from mox.bench.providers.record import Record

PERMANENT = frozenset({"auth", "model_not_found", "quota_exhausted"})
"""What no waiting mends, only a person."""
BARREN = PERMANENT | {"connection", "timeout_connect"}


def refused(records: Sequence[Record]) -> str | None:
    """Why asking on is hopeless: all of a round's requests were refused for good; else None."""
    return _said(records) if _kinds(records) <= PERMANENT else None


def barren(records: Sequence[Record]) -> str | None:
    """Why a round says nothing of the provider; None where it does."""
    return _said(records) if _kinds(records) <= BARREN else None


def _kinds(records: Sequence[Record]) -> set[str | None]:
    return {record.error for record in records} or {None}


def _said(records: Sequence[Record]) -> str:
    first = records[0]
    return f"every request of a round ended in {first.error} ({first.said})"
