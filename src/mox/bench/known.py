"""What earlier growths measured, as `index: auto` and `--decide` read it back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mox.bench.decide import Decision
from mox.bench.points import Point
from mox.bench.record import Growth, every
from mox.errors import MissingError
from mox.pipeline.store import Store
from mox.spec import canonical


def points_like(
    store: Store, *, host: Mapping[str, str], embed: Mapping[str, Any], k: int
) -> list[Point]:
    """Measured points of this host, this embedding and so many hits; of two the newer.

    Raises:
        MissingError: there are none; says what there is.
    """
    known = every(store)
    here = [one for one in known if one.content["host"] == dict(host)]
    fitting = [one for one in here if one.content["embed"] == dict(embed) and one.content["k"] == k]
    if not fitting:
        raise MissingError(_lacking(known, here, embed, k), mend="run `mox bench growth FILE`.")
    found: dict[tuple[str, int], Point] = {}
    for one in reversed(fitting):
        found |= {(point.way.key, point.n): point for point in one.points}
    return list(found.values())


def _lacking(
    known: Sequence[Growth], here: Sequence[Growth], embed: Mapping[str, Any], k: int
) -> str:
    if here:
        have = ", ".join(
            sorted({f"{one.content['embed']['kind']} with k = {one.content['k']}" for one in here})
        )
        return f"no curve was measured for {embed['kind']} with k = {k} on this host, only {have}."
    if known:
        return "no curve was measured on this host: latencies of another one say nothing of it."
    return "no curve was measured on this host, and there is no default for what it would show."


def alike_of(store: Store, found: Decision) -> Mapping[str, Any] | None:
    """How alike the two configurations of a decision answered; None where nobody compared them."""

    def name(way: Mapping[str, Any]) -> str:
        return canonical([way["index"], way["search"]])

    asked = {name(one.way.document()) for one in (found.taken, found.other)}
    for one in every(store):
        for pair in one.content["alike"]:
            if {name(way) for way in pair["pair"]} == asked:
                return dict(pair)
    return None
