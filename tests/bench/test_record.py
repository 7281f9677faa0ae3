"""What is kept of a growth: written once, read back, refused where it can't be read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mox.bench.auto import note
from mox.bench.bound import Bound
from mox.bench.decide import decide
from mox.bench.known import alike_of, answering, growths_like, points_of
from mox.bench.points import Point, Spread, Way
from mox.bench.record import Growth, Left, content, every, save, standing
from mox.errors import MissingError, StoreError
from mox.pipeline.stages import Ref
from mox.pipeline.store import Store

HOST = {"cpu": "a", "cores": "2"}
EMBED = {"kind": "wordllama"}
ABOUT = {"experiment": "x", "host": HOST, "embed": EMBED, "dims": 4, "k": 10, "questions": 5,
         "real": {"x": 4_000}}  # fmt: skip
REST = {"sizes": [1_000, 2_000, 4_000], "mixtures": None, "alike": [], "notes": []}
WAY = Way({"kind": "pgvector"}, {}, 1)


def grown(p95: float = 1.0, about: dict | None = None, left: list[Left] | None = None) -> Growth:
    points = [
        Point(
            WAY, n, n,
            {"p95_ms": Spread(p95, p95 / 2, p95 * 2), "recall": Spread.of(0.9),
             "build_s": Spread.of(1.0), "index_mb": Spread.of(n / 1_000)},
            {"engine": "postgresql", "version": "18"},
        )
        for n in REST["sizes"]
    ]  # fmt: skip
    said = content({**ABOUT, **(about or {})}, points, left or [], Bound(0.8), REST)
    return Growth(said, (Ref("load", "abc"),))


LIKE = {"host": HOST, "embed": EMBED, "k": 10}
SERVER, LITE = {"engine": "milvus", "version": "2.3.5"}, {"engine": "milvus-lite", "version": "3"}
POSTGRES = {"engine": "postgresql", "version": "18"}
BUILT = {"build_s": Spread.of(1.0), "index_mb": Spread.of(1.0)}
GRAPH = Way({"kind": "HNSW"}, {}, 1)


def read_back(store: Store) -> list[Point]:
    return points_of(growths_like(store, **LIKE))


def both(milvus: dict, sizes: list[int], *, alike: list | None = None, **about: Any) -> Growth:
    """Both stores at some sizes: Milvus of 2 ms in an engine, pgvector of 200."""
    points = [
        Point(way, n, n, {"p95_ms": Spread.of(ms), "recall": Spread.of(0.98), **BUILT}, engine)
        for way, ms, engine in ((WAY, 200.0, POSTGRES), (GRAPH, 2.0, milvus))
        for n in sizes
    ]
    rest = {**REST, "sizes": sizes, "alike": alike or []}
    said = content({**ABOUT, **about}, points, [], Bound(0.9), rest)
    root = Ref("load", f"{milvus['version']} to {sizes[-1]} of {about}")
    return Growth(said, (root,))


def test_what_is_saved_is_read_back(own_state: Path) -> None:
    store = Store(own_state)
    save(store, grown())
    (found,) = every(store)
    assert found.content == grown().content | {"at": found.content["at"]}
    assert [point.document() for point in found.points] == found.content["points"]
    (one,) = standing(store)
    assert one.roots == {Ref("load", "abc")}
    assert one.kind == "growth"


def test_grown_again_it_takes_the_place_of_the_first(own_state: Path) -> None:
    store = Store(own_state)
    save(store, grown(1.0))
    save(store, grown(2.0))
    assert len(every(store)) == 1
    points = read_back(store)
    assert [point.values["p95_ms"].median for point in points] == [2.0] * 3


BIG, SMALL = [1_000, 2_000, 4_000, 8_000], [1_000, 2_000, 4_000]


@pytest.mark.parametrize("later", [both(LITE, SMALL), both(SERVER, SMALL)], ids=["Lite", "small"])
def test_a_smaller_growth_or_one_in_another_engine_takes_nothing_away(
    own_state: Path, later: Growth
) -> None:
    store = Store(own_state)
    save(store, both(SERVER, BIG))
    save(store, later)
    assert len(every(store)) == 2
    assert len(standing(store)) == 2, "what the first stands on is kept by gc"
    found = decide(read_back(store), 8_000, Bound(0.9, p95_ms=20.0))
    assert found.taken.store == "Milvus"
    assert not found.document()["estimate"]


def test_versions_and_corpora_make_no_curve_together(own_state: Path) -> None:
    """2 ms at all sizes of the one, 100 times as much at one size of the others."""
    store = Store(own_state)
    save(store, both(SERVER, SMALL))
    for other, about in (({**SERVER, "version": "2.6"}, {}), (SERVER, {"real": {"y": 9_000}})):
        grown = both(other, [8_000], **about)
        slow = {"median": 200.0, "low": 200.0, "high": 200.0}
        plain = [{**one, "p95_ms": slow} for one in grown.content["points"]]
        save(store, Growth({**grown.content, "points": plain}, ()))
    found = decide(read_back(store), 4_000, Bound(0.9, p95_ms=20.0))
    assert found.taken.p95_ms.value == pytest.approx(2.0)


def test_sizes_that_are_invalid_put_those_of_no_other_corpora_aside(own_state: Path) -> None:
    """Four of one set of corpora, of which two are INVALID, beside three of another."""
    store = Store(own_state)
    more = both(SERVER, BIG, real={"y": 9_000})
    plain = [
        {**one, "invalid": "clients took 33 %" if one["n"] > 2_000 else None}
        for one in more.content["points"]
    ]
    save(store, dated(Growth({**more.content, "points": plain}, ()), "2026-11-01T00:00:00Z"))
    save(store, dated(both(SERVER, SMALL), "2026-01-01T00:00:00Z"))
    assert {point.n for point in read_back(store)} == set(SMALL)
    assert decide(read_back(store), 4_000, Bound(0.9, p95_ms=20.0)).taken.store == "Milvus"


OLDER, NEWER = {**SERVER, "version": "2.2"}, {**SERVER, "version": "2.6"}


@pytest.mark.parametrize(
    ("here", "sizes", "decides"),
    [
        (OLDER, SMALL, "milvus 2.2: p95 2 ms"),
        (NEWER, SMALL, "milvus 2.6: p95 9 ms"),
        (NEWER, SMALL[:2], "milvus 2.2: p95 2 ms"),
        (LITE, SMALL, "milvus 2.6: p95 9 ms"),
    ],
    ids=["the older answers", "the newer answers", "too few sizes", "neither answers"],
)
def test_an_engine_that_answers_speaks_for_a_configuration_else_the_one_measured_last(
    own_state: Path, here: dict, sizes: list[int], decides: str
) -> None:
    """Growths save after each size: interrupted, one has two, of which no curve is made."""
    store = Store(own_state)
    save(store, dated(both(OLDER, SMALL), "2026-01-01T00:00:00Z"))
    save(store, dated(slower(both(NEWER, sizes), 9.0), "2026-11-01T00:00:00Z"))
    points = answering(read_back(store), lambda way: here if way == GRAPH else POSTGRES)
    found = decide(points, 4_000, Bound(0.9, p95_ms=20.0))
    assert f"Milvus (HNSW, 1 client) on {decides}" in found.text()
    assert "pgvector (pgvector, 1 client) on postgresql 18: p95" in found.text()
    assert found.document()["predictions"]["Milvus"]["engine"]["version"] in decides


def dated(found: Growth, at: str) -> Growth:
    return Growth({**found.content, "at": at}, found.roots)


def slower(found: Growth, ms: float) -> Growth:
    spread = Spread.of(ms)._asdict()
    points = [
        {**one, "p95_ms": spread} if one["index"]["kind"] == "HNSW" else one
        for one in found.content["points"]
    ]
    return Growth({**found.content, "points": points}, found.roots)


def pair(recall: list[float], *, equivalent: bool) -> dict:
    sides = [WAY.document(), GRAPH.document()]
    gap = {"mean": -0.01, "low": -0.015, "high": -0.005}
    return {"n": 4_000, "pair": sides, "questions": 5, "k": 10, "recall": recall, "overlap": 0.9,
            "difference": gap, "same": 0.5, "margin": 0.02, "equivalent": equivalent}  # fmt: skip


@pytest.mark.parametrize("about", [{"embed": {"kind": "other"}}, {"k": 5}, {"host": {"cpu": "b"}}])
def test_who_answers_alike_is_of_this_host_embedding_and_number_of_hits(
    own_state: Path, about: dict
) -> None:
    store = Store(own_state)
    save(store, both(SERVER, SMALL))
    save(store, both(SERVER, SMALL, alike=[pair([0.99, 0.98], equivalent=True)], **about))
    growths = growths_like(store, **LIKE)
    points = points_of(growths)
    found = decide(points, 4_000, Bound(0.9, p95_ms=20.0))
    assert alike_of(growths, found, points) is None


def test_what_milvus_lite_answered_proves_nothing_of_a_server(own_state: Path) -> None:
    store = Store(own_state)
    save(store, both(SERVER, SMALL))
    save(store, both(LITE, SMALL, alike=[pair([0.99, 0.98], equivalent=True)]))
    growths = growths_like(store, **LIKE)
    points = points_of(growths)
    found = decide(points, 4_000, Bound(0.9, p95_ms=20.0))
    assert alike_of(growths, found, points) is None


def test_recalls_stand_in_the_order_in_which_the_stores_are_named(own_state: Path) -> None:
    """The pair is of pgvector first; Milvus is taken, and named first."""
    store = Store(own_state)
    save(store, both(SERVER, SMALL, alike=[pair([0.99, 0.98], equivalent=True)]))
    growths = growths_like(store, **LIKE)
    points = points_of(growths)
    found = decide(points, 4_000, Bound(0.9, p95_ms=20.0))
    said = note(found, alike_of(growths, found, points))
    assert "Milvus keeps it. Milvus (HNSW, 1 client) on milvus 2.3.5: p95" in said
    assert "recall 0.980 and 0.990, difference +0.010 [+0.005, +0.015]" in said


def test_sets_whose_mixtures_are_not_like_the_real_ones_are_in_no_curve(own_state: Path) -> None:
    """8,000 is 100 times as slow as the curve of the others says."""
    sound, odd = both(SERVER, SMALL), both(SERVER, [8_000])
    slow = Spread.of(200.0)
    points = sound.points + [replace(one, values={**one.values, "p95_ms": slow})
                             for one in odd.points]  # fmt: skip
    sizes = [
        {"n": n, "real": [5, 6, 7], "mixed": [5, 6, 9], "deviation": off, "matched": off <= 0.2}
        for n, off in ((4_000, 0.1), (8_000, 0.29))
    ]
    told = {"real": [5, 6, 7], "mixed": [5, 6, 7], "base": 9, "rows": 9}
    mixed = {"tolerance": 0.2, "k": 100, "sizes": sizes, "rehearsal": told}
    rest = {**REST, "sizes": BIG, "mixtures": mixed}
    found = Growth(content(ABOUT, points, [], Bound(0.9, p95_ms=20.0), rest), ())
    assert len(found.content["points"]) == 8, "all are told"
    assert {fit["to"] for fit in found.content["fits"]} == {4_000}
    largest = [one for one in found.content["decisions"] if one["rows"] == 8_000]
    assert largest[0]["estimate"]
    assert "off by 29 %: NOT within 20 %, so in no curve and no decision" in found.text()
    store = Store(own_state)
    save(store, found)
    assert {point.n for point in read_back(store)} == set(SMALL)


def test_points_are_of_this_host_embedding_and_number_of_hits_only(own_state: Path) -> None:
    store = Store(own_state)
    with pytest.raises(MissingError, match="there is no default"):
        read_back(store)
    save(store, grown(about={"host": {"cpu": "b", "cores": "2"}}))
    with pytest.raises(MissingError, match="latencies of another one"):
        read_back(store)
    save(store, grown(about={"k": 5}))
    with pytest.raises(MissingError, match="only wordllama with k = 5"):
        read_back(store)
    save(store, grown())
    assert len(read_back(store)) == 3


def test_a_file_that_cannot_be_read_is_named(own_state: Path) -> None:
    store = Store(own_state)
    save(store, grown())
    (path,) = (own_state / "growth").glob("*.json")
    path.write_text(path.read_text()[:40])
    with pytest.raises(StoreError, match=rf"{path.name} cannot be read"):
        every(store)
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 9'))
    path.write_text('{"schema": 9, "roots": []}')
    with pytest.raises(StoreError, match="newer Mox"):
        every(store)


def test_what_was_left_out_is_in_the_document_and_in_the_text() -> None:
    left = [Left(4_000, WAY, "the time was up", 12.0), Left(2_000, WAY, "failed: x", 30.0, True)]
    found = grown(left=left)
    assert [one["n"] for one in found.content["left_out"]] == [4_000, 2_000]
    assert not found.whole
    assert "2 left out, the cheapest first" in found.text()
    assert "4,000 pgvector, 1 client, about 12 s: the time was up" in found.text()


def test_a_curve_is_drawn_past_its_sizes_with_a_mark() -> None:
    curves = {fit["what"]: fit for fit in grown().content["fits"]}
    drawn = curves["p95_ms"]["curve"]
    assert drawn[0]["n"] == 1_000
    assert drawn[-1]["n"] == 40_000
    assert {point["estimate"] for point in drawn if point["n"] <= 4_000} == {False}
    assert {point["estimate"] for point in drawn if point["n"] > 4_000} == {True}
