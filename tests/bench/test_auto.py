"""`index: auto` from stored curves: what would answer, and what a pick changes beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import mox
from mox.bench import ask
from mox.bench.ask import Wanted
from mox.bench.bound import Bound
from mox.bench.points import Point, Spread, Way
from mox.bench.record import Growth, content, save
from mox.errors import EngineError, MissingError
from mox.indexes import engine, indexes
from mox.loadgen import host
from mox.pipeline.store import Store
from mox.services import postgres
from mox.settings import settings

SIZES = [2_000, 5_000, 10_000]
SERVER = {"engine": "milvus", "version": "2.3.5-lite"}
"""As the server of the wheel calls itself, which is none of Milvus Lite's."""


def experiment(corpus: Path, *index: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": "auto",
        "corpus": {"kind": "evidence", "path": str(corpus)},
        "axes": {
            "chunk": [{"kind": "recursive", "size": 60}],
            "embed": [{"kind": "hashing", "dims": 64}],
            "index": list(index),
            "search": [{"kind": "dense", "k": 10}],
        },
        "measure": ["recall@5"],
    }


def way(kind: str, **search: Any) -> Way:
    return Way(indexes.parse({"kind": kind}).model_dump(mode="json"), search, 1)


def keep(corpus: Path, milvus_ms: float, milvus: Mapping[str, str]) -> None:
    """Curves by hand: pgvector of 50 ms, on the PostgreSQL that is here, and Milvus."""
    plan = mox.plan(experiment(corpus, {"kind": "exact"}))
    embed = plan.trials[0].trial.embed
    assert embed is not None
    here = settings()
    graph, other = way("HNSW", ef=256), way("pgvector_hnsw", ef_search=64, iterative="off")
    there = dict(engine(indexes.parse(other.index), here))
    points = [
        Point(one, n, n, {"p95_ms": Spread.of(ms), "recall": Spread.of(0.98)}, by)
        for one, ms, by in ((graph, milvus_ms, milvus), (other, 50.0, there))
        for n in SIZES
    ]
    about = {"experiment": "x", "host": host(), "embed": embed.model_dump(mode="json"),
             "dims": 64, "k": 10, "questions": 5, "real": {"x": 10_000}}  # fmt: skip
    rest = {"sizes": SIZES, "mixtures": None, "alike": [], "notes": []}
    save(Store(here.root), Growth(content(about, points, [], Bound(0.9), rest), ()))


@pytest.fixture
def corpus(small_corpus: Path, own_state: Path) -> Any:
    yield small_corpus
    postgres.stop(own_state / "services" / "indexes" / "postgres")


AUTO = {"kind": "auto", "rows": 5_000, "recall": 0.9}


def test_a_pick_by_a_servers_curves_is_not_planned_on_milvus_lite(corpus: Path) -> None:
    keep(corpus, 2.0, SERVER)
    with pytest.raises(
        MissingError,
        match=r"on milvus 2\.3\.5-lite, and milvus-lite [\d.]+ .* would answer",
    ) as caught:
        mox.plan(experiment(corpus, {**AUTO, "p95_ms": 20}))
    assert "mox up milvus" in caught.value.mend


def test_pgvector_is_picked_beside_the_curves_of_a_server_that_is_not_here(corpus: Path) -> None:
    keep(corpus, 2.0, SERVER)
    plan = mox.plan(experiment(corpus, {**AUTO, "p95_ms": 100}))
    (one,) = plan.trials
    assert one.trial.index is not None
    assert one.trial.index.kind == "pgvector_hnsw"
    assert "pgvector keeps p95 ≤ 100 ms" in plan.notes[0]


def here_lite() -> dict[str, str]:
    return dict(engine(indexes.parse({"kind": "HNSW"}), settings()))


def test_curves_of_milvus_lite_count_for_nothing_beside_a_servers(corpus: Path) -> None:
    keep(corpus, 2.0, SERVER)
    keep(corpus, 30.0, here_lite())
    plan = mox.plan(experiment(corpus, {**AUTO, "p95_ms": 100}))
    assert "pgvector keeps p95 ≤ 100 ms" in plan.notes[0]
    with pytest.raises(MissingError, match=r"on milvus 2\.3\.5-lite, and milvus-lite .* would"):
        mox.plan(experiment(corpus, {**AUTO, "p95_ms": 20}))


def test_a_server_that_is_away_is_missed_only_where_it_is_picked(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two versions, so that it is asked which of them is here."""
    monkeypatch.setenv("MOX_MILVUS_URI", "http://127.0.0.1:1")
    keep(corpus, 2.0, SERVER)
    keep(corpus, 2.0, {**SERVER, "version": "2.6.0"})
    plan = mox.plan(experiment(corpus, {**AUTO, "p95_ms": 100}))
    assert "pgvector keeps p95 ≤ 100 ms" in plan.notes[0]
    with pytest.raises(EngineError, match=r"127\.0\.0\.1:1 is away"):
        mox.plan(experiment(corpus, {**AUTO, "p95_ms": 20}))


def test_a_server_of_another_version_is_measured_first(
    corpus: Path, milvus_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOX_MILVUS_URI", milvus_server.uri)
    keep(corpus, 2.0, {**SERVER, "version": "2.6.0"})
    asked = experiment(corpus, {**AUTO, "p95_ms": 20})
    with pytest.raises(MissingError, match=r"on milvus 2\.6\.0, and milvus 2\.3\.5-lite would"):
        mox.plan(asked)
    keep(corpus, 3.0, SERVER)
    assert "on milvus 2.3.5-lite: p95 3 ms" in mox.plan(asked).notes[0]
    fixed = experiment(corpus, {"kind": "pgvector_hnsw"})
    decided = ask.decide(fixed, Wanted(p95_ms=20, recall=0.9), rows=5_000)
    assert "on milvus 2.3.5-lite: p95 3 ms" in decided.text()


def test_what_a_pick_changes_of_other_indexes_is_said(
    corpus: Path, milvus_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOX_MILVUS_URI", milvus_server.uri)
    keep(corpus, 2.0, SERVER)
    auto = {**AUTO, "p95_ms": 20}
    plan = mox.plan(experiment(corpus, {"kind": "HNSW", "m": 8}, {"kind": "FLAT"}, auto))
    said = [note for note in plan.notes if "a setting of the search axis" in note]
    assert len(said) == 1
    assert said[0].startswith("index auto: ef=256, with which the pick was measured")
    assert "HNSW m=8 ef_construction=" in said[0]
    assert "FLAT" not in said[0]
    alone = mox.plan(experiment(corpus, {"kind": "FLAT"}, auto))
    assert not any("a setting of the search axis" in note for note in alone.notes)
