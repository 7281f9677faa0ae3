"""What is kept of a growth: written once, read back, refused where it can't be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from mox.bench.decide import Bound
from mox.bench.known import points_like
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
    points = points_like(store, host=HOST, embed=EMBED, k=10)
    assert [point.values["p95_ms"].median for point in points] == [2.0] * 3


def test_points_are_of_this_host_embedding_and_number_of_hits_only(own_state: Path) -> None:
    store = Store(own_state)
    with pytest.raises(MissingError, match="there is no default"):
        points_like(store, host=HOST, embed=EMBED, k=10)
    save(store, grown(about={"host": {"cpu": "b", "cores": "2"}}))
    with pytest.raises(MissingError, match="latencies of another one"):
        points_like(store, host=HOST, embed=EMBED, k=10)
    save(store, grown(about={"k": 5}))
    with pytest.raises(MissingError, match="only wordllama with k = 5"):
        points_like(store, host=HOST, embed=EMBED, k=10)
    save(store, grown())
    assert len(points_like(store, host=HOST, embed=EMBED, k=10)) == 3


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
