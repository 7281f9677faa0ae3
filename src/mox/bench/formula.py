"""Memory by the formula of an index's type: beside what was measured, and where nothing was."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mox.bench.memory import MB, formula_bytes
from mox.bench.points import Point, Way
from mox.errors import EngineError
from mox.indexes import indexes
from mox.spec import canonical


def formula_mb(index: Mapping[str, Any], rows: int, dims: int) -> float | None:
    """Megabytes (10⁶ bytes) that an index takes; None where its Spec has no formula.

    Args:
        index: its settings, with the `kind`.

    Raises:
        MoxError: no such kind, or settings that it refuses.
    """
    try:
        return formula_bytes(indexes.parse(index), rows, dims) / MB  # type: ignore[arg-type]
    except EngineError:
        return None


def estimates(
    points: Iterable[Point], others: Iterable[Way], sizes: Sequence[int], dims: int
) -> list[dict[str, Any]]:
    """Each index's memory by formula at those sizes at which it wasn't built.

    Args:
        points: what was measured.
        others: configurations that may have been measured at no size.
    """
    built: dict[str, set[int]] = {}
    indexes_: dict[str, Mapping[str, Any]] = {}
    for point in points:
        built.setdefault(canonical(point.way.index), set()).add(point.n)
        indexes_[canonical(point.way.index)] = point.way.index
    for way in others:
        indexes_.setdefault(canonical(way.index), way.index)
    return [
        {"index": dict(index), "n": n, "formula_mb": formula_mb(index, n, dims), "estimate": True}
        for name, index in indexes_.items()
        for n in sizes
        if n not in built.get(name, ())
    ]
