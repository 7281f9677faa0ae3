"""What earlier growths measured, as `index: auto` and `--decide` read it back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mox.bench.decide import Decision, store_of
from mox.bench.points import Point, Way
from mox.bench.record import Growth, every
from mox.errors import MissingError
from mox.indexes import address, engine, indexes
from mox.pipeline.context import index_spec
from mox.pipeline.store import Store
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
    several, that with the most sizes counts, of equal ones the newest.

    Args:
        growths: the newest first.
    """
    found: dict[str, dict[str, dict[int, Point]]] = {}
    for one in growths:
        corpora = canonical(one.content["real"])
        for point in one.usable:
            sizes = found.setdefault(point.key, {}).setdefault(corpora, {})
            sizes.setdefault(point.n, point)
    return [point for sets in found.values() for point in max(sets.values(), key=len).values()]


def answering(
    points: Iterable[Point], settings: Settings
) -> tuple[list[Point], dict[str, Mapping[str, str]]]:
    """Points by what would answer now: where a configuration was measured on it, its other
    engines' points are left out.

    Returns:
        The points, and the engine that would answer by the key of each configuration.

    Raises:
        EngineError: one that is set is away.
    """
    asked: dict[Any, Mapping[str, str]] = {}
    here: dict[str, Mapping[str, str]] = {}
    by_way: dict[str, list[Point]] = {}
    for point in points:
        spec = index_spec(dict(point.way.index))
        at = indexes[spec], address(spec, settings)
        if at not in asked:
            asked[at] = dict(engine(spec, settings))
        here[point.way.key] = asked[at]
        by_way.setdefault(point.way.key, []).append(point)
    kept = []
    for key, all_of in by_way.items():
        kept += [point for point in all_of if point.engine == here[key]] or all_of
    return kept, here


def check_answers(way: Way, points: Iterable[Point], here: Mapping[str, Mapping[str, str]]) -> None:
    """Refuse a configuration that was measured on another engine than would answer.

    Args:
        points, here: what `answering` returned.

    Raises:
        MissingError: names both.
    """
    measured = [point.engine for point in points if point.way.key == way.key]
    now = here[way.key]
    if now in measured:
        return
    other = " and ".join(dict.fromkeys(_named(one) for one in measured))
    raise MissingError(
        f"{way.name} was measured on {other}, and {_named(now)} would answer.",
        mend="run `mox up milvus` or set MOX_MILVUS_URI, so that the server answers."
        if now["engine"] == "milvus-lite"
        else "run `mox bench growth FILE` on what answers now.",
    )


def _named(engine: Mapping[str, str]) -> str:
    """`postgresql 18.4 (pgvector 0.8.5)`."""
    said = " ".join(engine[name] for name in _SAID if name in engine)
    more = ", ".join(f"{name} {value}" for name, value in engine.items() if name not in _SAID)
    return f"{said} ({more})" if more else said


_SAID = ("engine", "version")


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
