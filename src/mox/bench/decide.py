"""Which store a corpus of some size needs: pgvector as long as it suffices, else Milvus.

Decided from measured curves alone. Where neither store has any on this host, nothing is decided.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from mox.bench.bound import Bound
from mox.bench.fits import Crossing, Estimate, Power, fits
from mox.bench.points import Point, Way, by_way, engine_name
from mox.errors import MissingError, SpecError
from mox.results.growth.words import is_lite, named

STORES: Mapping[str, str] = {"postgres": "pgvector", "milvus": "Milvus"}
"""Service of an index → how it is called, the simpler one first."""
Holds = Literal["yes", "perhaps", "no"]
_RANK: Mapping[Holds, int] = {"yes": 0, "perhaps": 1, "no": 2}


@dataclass(frozen=True)
class Prediction:
    """One configuration at one size, by its curves."""

    store: str
    way: Way
    p95_ms: Estimate
    recall: Estimate
    engine: Mapping[str, str]
    """Name and version of what the curves were measured in."""
    holds: Holds
    """Whether it keeps the bound: with its whole interval, by its curve alone, or not. An interval
    that reaches the bound says too little of a curve that breaks it."""

    @property
    def outside(self) -> bool:
        return self.p95_ms.outside or self.recall.outside

    def __str__(self) -> str:
        ms, share = self.p95_ms, self.recall
        mark = ", an estimate for a size that wasn't measured" if self.outside else ""
        return (
            f"{self.store} ({self.way.name}) on {engine_name(self.engine)}: p95 {ms.value:.3g} ms"
            f" [{ms.low:.3g}, {ms.high:.3g}], recall {share.value:.3f} [{share.low:.3f},"
            f" {share.high:.3f}]{mark}"
        )

    def document(self) -> dict[str, Any]:
        return {
            "store": self.store,
            **self.way.document(),
            "p95_ms": self.p95_ms._asdict(),
            "recall": self.recall._asdict(),
            "engine": dict(self.engine),
            "holds": self.holds,
            "estimate": self.outside,
        }


@dataclass(frozen=True)
class Decision:
    """What is taken, and why."""

    rows: int
    bound: Bound
    taken: Prediction
    other: Prediction
    why: str
    """One sentence for whoever reads nothing else."""

    def document(self) -> dict[str, Any]:
        taken, other = self.taken, self.other
        return {
            "rows": self.rows,
            "bound": {
                "p95_ms": self.bound.p95_ms,
                "recall": self.bound.recall,
                "clients": self.bound.clients,
            },
            "store": taken.store,
            **taken.way.document(),
            "why": self.why,
            "estimate": taken.outside or other.outside,
            "predictions": {one.store: one.document() for one in (taken, other)},
        }

    def text(self) -> str:
        """The same for a reader."""
        lines = [f"{self.taken.store}: {self.taken.way.name}", f"  {self.why}"]
        return "\n".join([*lines, *(f"  {one}" for one in (self.taken, self.other))])


def store_of(point: Point) -> str | None:
    """`pgvector` or `Milvus`; None for exact search, for a third party's, and for Milvus Lite.

    Lite's latencies are a Python loop over all rows, and say nothing of Milvus.
    """
    if is_lite(point.engine):
        return None
    return STORES.get(str(service_of(point.way.index["kind"])))


def service_of(kind: str) -> str | None:
    """The service that an index of a kind lives in."""
    from mox.indexes import indexes

    found: str | None = indexes.entry(kind).traits.get("service")
    return found


def decide(points: Iterable[Point], rows: int, bound: Bound) -> Decision:
    """Pick a store and a configuration for a size.

    pgvector is taken where it keeps the bound, whatever Milvus does: it is one thing less to
    run. Milvus is taken where it does and pgvector doesn't surely do. Where neither surely
    does, the one that is faster by more than both intervals is taken, else pgvector.

    Configurations without a valid curve aren't considered, and are named.

    Raises:
        MissingError: a store has no curves for so many clients.
        SpecError: neither store can keep the bound at this size.
    """
    every = list(points)
    sides = _predictions(every, rows, bound)
    simple, large = (min(sides[name], key=_order) for name in STORES.values())
    found = _decided(rows, bound, simple, large)
    return replace(found, why=f"{found.why}{_unheard(every, sides, bound)}")


def _decided(rows: int, bound: Bound, simple: Prediction, large: Prediction) -> Decision:
    verdicts = (simple.holds, large.holds)
    where = f"{bound} at {rows:,} vectors"
    if verdicts == ("no", "no"):
        raise SpecError(
            f"neither store keeps {where}: {simple}; {large}.",
            mend="loosen the bound, or measure further settings with `mox bench growth`.",
        )
    if bound.p95_ms is None and simple.holds == large.holds:
        may = "" if simple.holds == "yes" else "may "
        return _faster(rows, bound, simple, large, f"both {may}keep {where}")
    if simple.holds == "yes":
        return Decision(rows, bound, simple, large, f"pgvector keeps {where}, and is simpler.")
    if large.holds == "yes" or simple.holds == "no":
        lacks = "does not keep" if simple.holds == "no" else "may not keep"
        does = "keeps it" if large.holds == "yes" else "may keep it"
        return Decision(rows, bound, large, simple, f"pgvector {lacks} {where}; Milvus {does}.")
    if large.holds == "no":
        why = f"pgvector may keep {where}; Milvus does not."
        return Decision(rows, bound, simple, large, why)
    return _faster(rows, bound, simple, large, f"both may keep {where}")


def _faster(rows: int, bound: Bound, simple: Prediction, large: Prediction, start: str) -> Decision:
    """Milvus where it is faster beyond both intervals; a tie goes to what is simpler."""
    if large.p95_ms.high < simple.p95_ms.low:
        return Decision(rows, bound, large, simple, f"{start}, and Milvus is faster.")
    if simple.p95_ms.high < large.p95_ms.low:
        return Decision(rows, bound, simple, large, f"{start}, and pgvector is faster.")
    why = f"{start}, their latencies are not told apart, and pgvector is simpler."
    return Decision(rows, bound, simple, large, why)


def _unheard(points: Iterable[Point], sides: Mapping[str, list[Prediction]], bound: Bound) -> str:
    """Which configurations had no say, for want of three sizes that were validly measured."""
    heard = {one.way.key for side in sides.values() for one in side}
    names = dict.fromkeys(
        named(point.way.index, point.way.search)
        for point in points
        if store_of(point) and point.way.clients == bound.clients and point.way.key not in heard
    )
    return f" Without a valid curve, so not considered: {'; '.join(names)}." if names else ""


def _order(one: Prediction) -> tuple[int, float]:
    return _RANK[one.holds], one.p95_ms.value


def _predictions(points: list[Point], rows: int, bound: Bound) -> dict[str, list[Prediction]]:
    found: dict[str, list[Prediction]] = {}
    for name in STORES.values():
        mine = [point for point in points if store_of(point) == name]
        found[name] = [
            Prediction(name, way, p95, recall, engine, _holds(p95, recall, bound))
            for way, engine, p95, recall in _curves(mine, rows, bound.clients)
        ]
        if not found[name]:
            raise _lacking(name, mine, points, bound)
    return found


def _curves(
    points: list[Point], rows: int, clients: int
) -> Iterable[tuple[Way, Mapping[str, str], Estimate, Estimate]]:
    ways = by_way(points)
    for key, (way, curves) in fits(ways).items():
        if way.clients == clients and {"p95_ms", "recall"} <= set(curves):
            yield way, ways[key][0].engine, curves["p95_ms"].at(rows), curves["recall"].at(rows)


def _lacking(store: str, mine: list[Point], points: list[Point], bound: Bound) -> MissingError:
    """Why a store has no curve."""
    clients = sorted({point.way.clients for point in mine} - {bound.clients})
    lite = any(is_lite(point.engine) for point in points)
    if clients:
        why = f"its curves are of {', '.join(map(str, clients))} clients, not {bound.clients}"
    elif mine:
        why = "three sizes at least, validly measured, make one"
    elif store == "Milvus" and lite:
        why = "those of Milvus Lite say nothing of a server"
    else:
        why = "none of its indexes was measured"
    return MissingError(
        f"there is no curve of {store} for {bound.clients} clients on this host: {why}.",
        mend="run `mox bench growth FILE` with indexes of both stores and that many clients.",
    )


def _holds(p95: Estimate, recall: Estimate, bound: Bound) -> Holds:
    limit = bound.p95_ms if bound.p95_ms is not None else float("inf")
    if p95.high <= limit and recall.low >= bound.recall:
        return "yes"
    return "perhaps" if p95.value <= limit and recall.value >= bound.recall else "no"


@dataclass(frozen=True)
class Suffices:
    """The size up to which a store keeps a bound, and the configuration that does so longest."""

    way: Way
    size: Crossing
    because: Literal["p95_ms", "recall"]
    """What breaks first there."""

    def document(self) -> dict[str, Any]:
        size = self.size
        return {
            **self.way.document(),
            "n": size.n,
            "low": size.low,
            "high": size.high,
            "estimate": size.outside,
            "because": self.because,
        }


def suffices_until(
    points: Iterable[Point], bound: Bound, store: str = STORES["postgres"]
) -> Suffices | None:
    """The size at which a store stops keeping a bound: None where it has no curve.

    A configuration stops at the smaller of two sizes, where its latency rises above the bound
    and where its recall falls below; the store at the largest over its configurations. The
    interval is combined in the same way from theirs.
    """
    mine = [point for point in points if store_of(point) == store]
    found = []
    for way, curves in fits(by_way(mine)).values():
        if way.clients == bound.clients and {"p95_ms", "recall"} <= set(curves):
            found.append(_until(way, curves, bound))
    if not found:
        return None
    longest = max(found, key=lambda one: _big(one.size.n))
    size = longest.size._replace(
        low=_small_or_none(max(_big(one.size.low) for one in found)),
        high=_small_or_none(max(_big(one.size.high) for one in found)),
    )
    return Suffices(longest.way, size, longest.because)


def _until(way: Way, curves: Mapping[str, Power], bound: Bound) -> Suffices:
    by_recall = curves["recall"].reaches(bound.recall)
    if bound.p95_ms is None:
        return Suffices(way, by_recall, "recall")
    by_latency = curves["p95_ms"].reaches(bound.p95_ms)
    first = by_latency if _big(by_latency.n) <= _big(by_recall.n) else by_recall
    size = first._replace(
        low=_small_or_none(min(_big(by_latency.low), _big(by_recall.low))),
        high=_small_or_none(min(_big(by_latency.high), _big(by_recall.high))),
    )
    return Suffices(way, size, "p95_ms" if first is by_latency else "recall")


def _big(n: float | None) -> float:
    return float("inf") if n is None else n


def _small_or_none(n: float) -> float | None:
    return None if n == float("inf") else n
