"""What earlier growths measured, as `index: auto` and `--decide` read it back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from mox.bench.decide import Decision, Prediction, store_of
from mox.bench.fits import fit
from mox.bench.points import Point, Way, engine_name
from mox.bench.record import Growth, every
from mox.errors import MissingError, MoxError
from mox.indexes import address, engine, indexes
from mox.pipeline.context import index_spec
from mox.pipeline.store import Store
from mox.results.growth.words import is_lite
from mox.settings import Settings
from mox.spec import canonical


def growths_like(
    store: Store, *, host: Mapping[str, str], embed: Mapping[str, Any], k: int
) -> list[Growth]:
    """Growths of this host, this embedding and so many hits, the newest first.

    Raises:
        MissingError: there are none; says what there is.
    """
    known = every(store)
    here = [one for one in known if one.content["host"] == dict(host)]
    fitting = [one for one in here if one.content["embed"] == dict(embed) and one.content["k"] == k]
    if not fitting:
        raise MissingError(_lacking(known, here, embed, k), mend="run `mox bench growth FILE`.")
    return fitting


def points_of(growths: Sequence[Growth]) -> list[Point]:
    """What growths measured that curves may stand on; of two points of one size the newer.

    A curve is of one engine and of one set of corpora: where a configuration was grown from
    several, that with the most valid sizes counts, of equal ones the newest.

    Args:
        growths: the newest first.
    """
    found: dict[str, dict[str, dict[int, Point]]] = {}
    for one in growths:
        corpora = canonical(one.content["real"])
        for point in one.usable:
            sizes = found.setdefault(point.key, {}).setdefault(corpora, {})
            sizes.setdefault(point.n, point)
    return [point for sets in found.values() for point in max(sets.values(), key=_valid).values()]


def _valid(sizes: Mapping[int, Point]) -> tuple[int, int]:
    """How many latencies a set of corpora gives a curve, and sizes in all."""
    return sum(not point.invalid for point in sizes.values()), len(sizes)


Now = Callable[[Way], Mapping[str, str]]
"""The engine that would answer a configuration: its name and version."""


def now(settings: Settings) -> Now:
    """What would answer configurations now; each engine is asked once, when it first matters.

    What it returns raises MoxError where the engine is away, its extra isn't installed, or no
    index of that kind is known here.
    """
    asked: dict[Any, Mapping[str, str] | MoxError] = {}

    def answers(way: Way) -> Mapping[str, str]:
        spec = index_spec(dict(way.index))
        at = indexes[spec], address(spec, settings)
        if at not in asked:
            try:
                asked[at] = dict(engine(spec, settings))
            except MoxError as error:
                asked[at] = error
        found = asked[at]
        if isinstance(found, MoxError):
            raise found
        return found

    return answers


def answering(points: Iterable[Point], answers: Now) -> list[Point]:
    """Points by what would answer now: of a configuration that was measured in several engines,
    one that has a curve speaks. That is the one that would answer, else the one measured last.

    An engine that is away is no fault here: its store need not be picked, and `check_answers`
    refuses what is. Milvus Lite's points count for nothing.

    Args:
        points: as `points_of` has them, the newest first.
    """
    by_way: dict[str, list[Point]] = {}
    for point in points:
        by_way.setdefault(point.way.key, []).append(point)
    return [point for every in by_way.values() for point in _speaking(every, answers)]


def _speaking(points: list[Point], answers: Now) -> list[Point]:
    """Those of a configuration's points that speak for it; all where no engine has a curve."""
    engines: dict[str, list[Point]] = {}
    for point in points:
        if store_of(point):
            engines.setdefault(point.key, []).append(point)
    if len(engines) < 2:
        return points  # there is no choice, and nobody to be asked
    try:
        here = answers(points[0].way)
    except MoxError:
        here = {}
    ranked = sorted(engines.values(), key=lambda some: some[0].engine != here)
    return next((some for some in ranked if _has_curve(some)), points)


def _has_curve(points: Sequence[Point]) -> bool:
    """Whether a decision may stand on points of one configuration in one engine."""
    return all(fit(what, points) is not None for what in ("p95_ms", "recall"))


def check_answers(taken: Prediction, answers: Now) -> None:
    """Refuse a configuration whose curves are of another engine than would answer.

    Raises:
        MissingError: names both.
        MoxError: nothing would answer; see `now`.
    """
    here = answers(taken.way)
    if here == taken.engine:
        return
    raise MissingError(
        f"{taken.way.name} was measured on {engine_name(taken.engine)}, and {engine_name(here)}"
        " would answer.",
        mend="run `mox up milvus` or set MOX_MILVUS_URI, so that the server answers."
        if is_lite(here)
        else "run `mox bench growth FILE` on what answers now.",
    )


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


def alike_of(
    growths: Sequence[Growth], found: Decision, points: Iterable[Point]
) -> Mapping[str, Any] | None:
    """How alike the two configurations of a decision answered, the one that was taken first;
    None where nobody compared them.

    Args:
        growths: the newest first.
        points: what was decided by: a comparison counts in a growth that has measured both
            configurations in those engines, Milvus Lite being none that decides.
    """
    sides = [_of(one.way.document()) for one in (found.taken, found.other)]
    used = {point.key for point in points if store_of(point)}
    for one in growths:
        mine = {_of(point.way.document()) for point in one.points if point.key in used}
        for pair in one.content["alike"]:
            names = [_of(way) for way in pair["pair"]]
            if set(sides) <= mine and names in (sides, sides[::-1]):
                return dict(pair) if names == sides else _turned(pair)
    return None


def _of(way: Mapping[str, Any]) -> str:
    """A configuration whatever the number of clients: what is found doesn't depend on it."""
    return canonical([way["index"], way["search"]])


def _turned(pair: Mapping[str, Any]) -> dict[str, Any]:
    """The same comparison with the second store first; a difference is second minus first."""
    gap = pair["difference"]
    return {
        **pair,
        "pair": pair["pair"][::-1],
        "recall": pair["recall"][::-1],
        "difference": {"mean": -gap["mean"], "low": -gap["high"], "high": -gap["low"]},
    }
