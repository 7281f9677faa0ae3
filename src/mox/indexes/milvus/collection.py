"""A collection as a whole: made or not at all, counted, removed."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from mox.errors import EngineError
from mox.indexes.milvus import lite
from mox.indexes.milvus.build import blank_rows, held_rows
from mox.indexes.milvus.client import Link, connected
from mox.types import Place

T = TypeVar("T")


def whole(
    place: Place, begin: Callable[[Link], None], fill: Callable[[Link], T]
) -> tuple[T, float]:
    """Build a collection that is there whole afterwards, or not at all.

    Args:
        begin: checks and creates it. fill: all the rest.

    Returns:
        What `fill` returned, and the seconds of both. Connecting isn't in them: a process' first
        connection waits for the import of pymilvus, and an embedded engine is opened by it.

    Raises:
        EngineError: the engine is away, refuses, or built something else.
    """
    made = False
    try:
        with connected(place) as link:
            started = time.perf_counter()
            begin(link)
            made = True
            filled = fill(link)
            return filled, time.perf_counter() - started
    except Exception:
        # An engine may try an index that it cannot build again and again, for ever. What cannot
        # be dropped now either is nobody's: `mox gc` names it.
        with suppress(EngineError):
            if made:
                drop(place)
        raise


def rows_of(place: Place) -> int | None:
    """How many rows a collection has; None where there is none."""
    if place.uri is None and not lite.folder(place).exists():
        return None
    with connected(place) as link:
        if not link.client.has_collection(link.name, timeout=link.limits.answer):
            return None
        return held_rows(link) + len(blank_rows(link))


def drop(place: Place) -> None:
    """Remove a collection; no error where there is none."""
    if place.uri is None:
        lite.drop(place)
        return
    with connected(place) as link:
        if link.client.has_collection(link.name, timeout=link.limits.answer):
            link.client.drop_collection(link.name, timeout=link.limits.step)
