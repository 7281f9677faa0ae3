"""Comparisons at equal recall: what each type of index takes to find as much, never what it takes
at equal settings.

A build's searches make a curve: more effort finds more, more slowly. Where two of its points
lie around the recall that is asked for, what lies between is read off the line through their
logarithms; where none does, nothing is made up. Rows that are INVALID are no points of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mox.loadgen import Spread, ranks
from mox.results.load.table import CONDITIONS, LoadRow, LoadTable, said, spread

TARGETS = (0.90, 0.95, 0.99)


@dataclass(frozen=True)
class Point:
    """One search of a build under load."""

    recall: float
    """Tie-aware, of the answers under this load."""
    qps: Spread
    p95_ms: Spread
    row: LoadRow


@dataclass(frozen=True)
class AtRecall:
    """A type of index where it finds so much: the build of it with the highest throughput."""

    target: float
    type: str
    row: LoadRow
    """Of the build, at the nearest effort that finds as much or more."""
    qps: Spread
    p95_ms: Spread
    exceeds: float | None
    """What its least effort finds already, where that is more than was asked for."""
    marks: tuple[str, ...]
    """Of each row that it is read off."""
    job: str | None
    """What these were measured in; None where that isn't known, or not one."""
    rank: tuple[int, int] = (1, 1)

    def cells(self) -> dict[str, Any]:
        """Plain values, one a column."""
        facts, costs = self.row.facts, self.row.costs
        return {
            "recall": self.target,
            **{name: facts[name] for name in CONDITIONS},
            "k": self.row.k,
            "vectors": self.row.vectors_are,
            "type": self.type,
            "build": self.row.build,
            "qps": _plain(self.qps),
            "p95_ms": _plain(self.p95_ms),
            "qps_rank": said(self.rank),
            "index_mb": costs["index_mb"],
            "memory_mb": facts["memory_mb"],
            "build_s": costs["build_s"],
            "exceeds": self.exceeds,
            "marks": list(self.marks),
        }


def _plain(one: Spread) -> dict[str, float | None]:
    """Numbers that JSON has; null for a bound that isn't known."""
    return {name: v if math.isfinite(v) else None for name, v in one.document().items()}


@dataclass(frozen=True)
class EqualRecall:
    """All types at each recall, by condition; and which ones don't reach it."""

    rows: tuple[AtRecall, ...]
    missing: tuple[str, ...]
    """`FLAT_PQ reaches 0.871 of 0.9 (1 client, k=10)`, or that all its rows are INVALID."""

    def document(self) -> dict[str, Any]:
        return {"rows": [row.cells() for row in self.rows], "not_reached": list(self.missing)}


def equal_recall(table: LoadTable, targets: Sequence[float] = TARGETS) -> EqualRecall:
    """Read each type's throughput and latency off at each recall.

    Args:
        targets: recalls in (0, 1].
    """
    found: list[AtRecall] = []
    missing: list[str] = []
    for rows in _by(table.rows, _condition).values():
        where = rows[0].compared
        valid = _by((row for row in rows if not row.facts["invalid"]), _type)
        types = dict.fromkeys(map(_type, rows))
        missing += [f"{one} has only INVALID rows ({where})" for one in types if one not in valid]
        for target in targets:
            reached: list[AtRecall] = []
            for name, some in valid.items():
                builds = _by(some, lambda row: row.build).values()
                best = [one for build in builds if (one := _read(name, build, target))]
                if best:
                    reached.append(max(best, key=lambda one: one.qps.median))
                elif most := max((row.recall for row in some if row.recall), default=None):
                    missing.append(f"{name} reaches {most:.3f} of {target:g} ({where})")
            jobs = [one.job for one in reached]
            places = ranks([one.qps for one in reached], best="most", jobs=jobs)
            ranked = [_ranked(one, place) for one, place in zip(reached, places, strict=True)]
            found += sorted(ranked, key=lambda one: -one.qps.median)
    return EqualRecall(tuple(found), tuple(missing))


def _condition(row: LoadRow) -> tuple[Any, ...]:
    """What has to be equal besides the recall: the load, the hits asked for, the vectors."""
    return *(row.facts[name] for name in CONDITIONS), row.k, row.vectors


def _type(row: LoadRow) -> str:
    return row.type


def _by(rows: Iterable[LoadRow], key: Any) -> dict[Any, list[LoadRow]]:
    found: dict[Any, list[LoadRow]] = {}
    for row in rows:
        found.setdefault(key(row), []).append(row)
    return found


def _ranked(one: AtRecall, rank: tuple[int, int]) -> AtRecall:
    return AtRecall(**{**vars(one), "rank": rank})


def _read(name: str, rows: Iterable[LoadRow], target: float) -> AtRecall | None:
    """One build at a recall; None where it doesn't reach it."""
    points = curve(
        Point(row.recall, spread(row.facts, "qps"), spread(row.facts, "p95_ms"), row)
        for row in rows
        if row.recall is not None
    )
    above = [at for at, point in enumerate(points) if point.recall >= target]
    if not above:
        return None
    at = above[0]
    right = points[at]
    if at == 0 or right.recall == target:
        more = right.recall if right.recall > target else None
        return AtRecall(target, name, right.row, right.qps, right.p95_ms, more, *_known([right]))
    left = points[at - 1]
    share = (target - left.recall) / (right.recall - left.recall)
    return AtRecall(
        target,
        name,
        right.row,
        between(left.qps, right.qps, share),
        between(left.p95_ms, right.p95_ms, share),
        None,
        *_known([left, right]),
    )


def _known(points: Sequence[Point]) -> tuple[tuple[str, ...], str | None]:
    """The marks of all of them, and the job that they were measured in, if it is one."""
    marks = dict.fromkeys(mark for one in points for mark in one.row.marks)
    jobs = {one.row.facts.get("job") for one in points}
    return tuple(marks), jobs.pop() if len(jobs) == 1 else None


def curve(points: Iterable[Point]) -> list[Point]:
    """The points that are best at something, by recall ascending: of two that find as much, the
    faster; none that another beats in both."""
    best: list[Point] = []
    for point in sorted(points, key=lambda one: (-one.recall, -one.qps.median)):
        if not best or point.qps.median > best[-1].qps.median:
            best.append(point)
    return best[::-1]


def between(left: Spread, right: Spread, share: float) -> Spread:
    """A value between two, its interval with it; along the line through their logarithms."""

    def middle(a: float, b: float) -> float:
        if a <= 0 or b <= 0 or not math.isfinite(a + b):
            return a + share * (b - a) if math.isfinite(a + b) else b
        return math.exp((1 - share) * math.log(a) + share * math.log(b))

    return Spread(
        middle(left.median, right.median),
        middle(left.low, right.low),
        middle(left.high, right.high),
    )


def lines(found: EqualRecall) -> list[str]:
    """The comparison as text."""
    said_: list[str] = []
    for (target, condition), rows in _grouped(found.rows).items():
        said_.append(f"at recall {target:g}, {condition}:")
        for one in rows:
            extra = f" (its least effort finds {one.exceeds:.3f})" if one.exceeds else ""
            marks = f"  [{', '.join(one.marks)}]" if one.marks else ""
            qps, p95 = one.qps, one.p95_ms
            said_.append(
                f"  {said(one.rank):>4}  {one.type} {one.row.build}: {qps.median:,.0f}"
                f" [{qps.low:,.0f}, {qps.high:,.0f}] QPS, p95 {p95.median:.2f}"
                f" [{p95.low:.2f}, {p95.high:.2f}] ms{extra}{marks}"
            )
    said_ += [f"not reached: {one}" for one in found.missing]
    return said_


def _grouped(rows: Iterable[AtRecall]) -> Mapping[tuple[float, str], list[AtRecall]]:
    found: dict[tuple[float, str], list[AtRecall]] = {}
    for row in rows:
        found.setdefault((row.target, row.row.compared), []).append(row)
    return found
