"""A growth end to end: real chunks, then mixtures, in a real Milvus and a real PostgreSQL."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import mox
from mox import api
from mox.bench import ask, record
from mox.bench.ask import Wanted
from mox.bench.record import Growth
from mox.cli.app import app
from mox.errors import DataError, MissingError, SpecError
from mox.pipeline.store import Store
from mox.services import postgres

SIZES = (1_100, 2_000, 2_600)
"""A server of Milvus indexes no segment under 1,024 rows; there are 2,060 real chunks."""


def experiment(shared_data: Path, *kinds: str) -> dict[str, Any]:
    settings = {"m": 8, "ef_construction": 60}
    index = [{"kind": kind, **(settings if "hnsw" in kind.lower() else {})} for kind in kinds]
    return {
        "name": "grown",
        "corpus": {"kind": "evidence", "path": str(shared_data / "xquad_en")},
        "questions": {"limit": 250},
        "axes": {
            "chunk": [{"kind": "recursive", "size": 60}],
            "embed": [{"kind": "wordllama"}],
            "index": index,
            "search": [{"kind": "dense", "k": 10, **_effort(kinds)}],
        },
        "measure": ["recall@5"],
    }


def _effort(kinds: tuple[str, ...]) -> dict[str, int]:
    found = {"ef": 50} if "HNSW" in kinds else {}
    return found | ({"ef_search": 50} if "pgvector_hnsw" in kinds else {})


def wanted(shared_data: Path, **more: Any) -> Wanted:
    given = {
        "sizes": SIZES,
        "corpora": ({"kind": "evidence", "path": str(shared_data / "chroma")},),
        "clients": (1,),
        "seconds": 0.2,
        "rounds": 2,
        "recall": 0.8,
    }
    return Wanted(**{**given, **more})


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The state folder of the growth that most tests read; its PostgreSQL ends with it."""
    folder = tmp_path_factory.mktemp("growth")
    yield folder
    postgres.stop(folder / "services" / "indexes" / "postgres")


@pytest.fixture
def there(home: Path, milvus_server: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The environment of that growth, over the fixture that gives each test its own."""
    monkeypatch.setenv("MOX_HOME", str(home))
    monkeypatch.setenv("MOX_MILVUS_URI", milvus_server.uri)
    return home


KINDS = ("exact", "FLAT", "pgvector")
_KEPT: dict[Path, Growth] = {}


@pytest.fixture
def grown(there: Path, shared_data: Path) -> Growth:
    """Grown once; `there` is each test's own environment, so this can't be a module's fixture."""
    if there not in _KEPT:
        _KEPT[there] = ask.growth(
            experiment(shared_data, *KINDS), wanted(shared_data), offline=True, quiet=True
        )
    return _KEPT[there]


def by_kind(found: Growth) -> dict[str, list[dict[str, Any]]]:
    points: dict[str, list[dict[str, Any]]] = {}
    for point in found.content["points"]:
        points.setdefault(point["index"]["kind"], []).append(point)
    return points


@pytest.mark.timeout(300)
class TestGrown:
    def test_every_index_has_every_size_and_nothing_is_left_out(self, grown: Growth) -> None:
        assert {kind: [p["n"] for p in ps] for kind, ps in by_kind(grown).items()} == {
            kind: list(SIZES) for kind in KINDS if kind != "exact"
        }
        assert grown.content["left_out"] == []
        assert grown.whole
        assert any("exact is the truth" in note for note in grown.content["notes"])

    def test_real_chunks_come_first_and_only_the_rest_is_mixed(self, grown: Growth) -> None:
        assert grown.content["real"] == {"xquad_en": 956, "chroma": 1_104}
        assert [p["mixed"] for p in by_kind(grown)["FLAT"]] == [0, 0, 540]

    def test_mixtures_are_held_to_the_real_dimension_and_both_are_told(self, grown: Growth) -> None:
        mixed = grown.content["mixtures"]
        assert mixed["rehearsal"]["deviation"] <= mixed["tolerance"]
        (size,) = mixed["sizes"]
        assert size["n"] == 2_600
        low, middle, high = size["real"]
        assert 1 < low < middle < high < 256
        # By hand: the largest difference of a quartile, as a share of the real one.
        off = max(abs(b / a - 1) for a, b in zip(size["real"], size["mixed"], strict=True))
        assert off <= 0.2
        assert size["deviation"] == pytest.approx(off)
        assert size["matched"]

    def test_each_point_has_what_its_load_measured(self, grown: Growth) -> None:
        for points in by_kind(grown).values():
            for point in points:
                assert point["p95_ms"]["low"] <= point["p95_ms"]["median"]
                assert point["p95_ms"]["median"] >= point["p50_ms"]["median"] > 0
                assert point["qps"]["median"] > 0
                assert point["build_s"] > 0
                assert point["engine"]["engine"] in ("milvus", "postgresql")

    def test_exact_kinds_of_both_stores_find_everything_at_every_size(self, grown: Growth) -> None:
        """Ground truth is recomputed: against the truth of another size they would not."""
        points = by_kind(grown)
        for kind in ("FLAT", "pgvector"):
            assert [p["recall"] for p in points[kind]] == [1.0] * len(SIZES)

    def test_index_bytes_grow_in_proportion(self, grown: Growth) -> None:
        # FLAT: 256 dimensions of 4 bytes a row, by formula.
        assert [p["index_mb"] for p in by_kind(grown)["FLAT"]] == pytest.approx(
            [n * 1_024 / 1e6 for n in SIZES], rel=0.02
        )
        fits = {(f["index"]["kind"], f["what"]): f for f in grown.content["fits"]}
        assert fits["FLAT", "index_mb"]["b"] == pytest.approx(1.0, abs=0.02)

    def test_memory_by_formula_stands_beside_and_is_estimated_beyond(self, grown: Growth) -> None:
        # FLAT: 256 dimensions of 4 bytes a row, and 40 bytes that Milvus keeps beside.
        assert [p["formula_mb"] for p in by_kind(grown)["FLAT"]] == [n * 1_064 / 1e6 for n in SIZES]
        beyond = {one["index"]["kind"]: one for one in grown.content["estimates"]}
        assert {one["n"] for one in beyond.values()} == {26_000}
        assert beyond["FLAT"]["formula_mb"] == 26_000 * 1_064 / 1e6
        assert beyond["pgvector"]["formula_mb"] > 26_000 * 1_024 / 1e6, "pages have heads"

    def test_both_stores_are_shown_to_answer_alike_where_both_are_exact(
        self, grown: Growth
    ) -> None:
        pairs = {
            tuple(way["index"]["kind"] for way in one["pair"]): one
            for one in grown.content["alike"]
        }
        exact = pairs["pgvector", "FLAT"]
        assert exact["n"] == 2_600
        assert exact["same"] == 1.0, "id for id, but for equal cosines"
        assert exact["recall"] == [1.0, 1.0]

    def test_beyond_the_measured_sizes_everything_is_marked(self, grown: Growth) -> None:
        *inside, beyond = grown.content["decisions"]
        assert beyond["rows"] == 26_000
        assert beyond["estimate"]
        assert not any(one["estimate"] for one in inside)
        for fit in grown.content["fits"]:
            marks = [point["estimate"] for point in fit["curve"]]
            assert marks == [point["n"] > SIZES[-1] for point in fit["curve"]]
            assert True in marks

    def test_the_text_says_it_too(self, grown: Growth) -> None:
        said = grown.text()
        assert "xquad_en 956, chroma 1,104" in said
        assert "(an ESTIMATE)" in said
        assert "local intrinsic dimension (k = 100" in said

    def test_again_it_measures_nothing(self, grown: Growth, shared_data: Path) -> None:
        again = ask.growth(
            experiment(shared_data, *KINDS), wanted(shared_data), offline=True, quiet=True
        )
        assert again.content["points"] == grown.content["points"]
        assert again.id == grown.id

    def test_gc_keeps_what_curves_stand_on(self, grown: Growth, there: Path) -> None:
        swept = api.gc(dry_run=True)
        kinds = {one.ref.kind for one in swept.going}
        assert not kinds & {"grow", "rehearse", "load", "build", "search"}
        holders = {one.kind for one in swept.found.holders}
        assert "growth" in holders
        assert "artifacts: growth " in swept.text()

    def test_an_experiment_says_auto_and_gets_what_the_curves_pick(
        self, grown: Growth, shared_data: Path
    ) -> None:
        asked = experiment(shared_data)
        asked["axes"]["index"] = [{"kind": "exact"}, {"kind": "auto", "recall": 0.8, "rows": 2_000}]
        plan = mox.plan(asked)
        at = next(one for one in grown.content["decisions"] if one["rows"] == 2_000)
        index = [t.trial.index for t in plan.trials if t.trial.index.kind != "exact"]
        assert [spec.model_dump(mode="json") for spec in index] == [at["index"]]
        said = plan.notes[0]
        assert said.startswith(f"index auto: {at['index']['kind']}")
        assert "pgvector (" in said
        assert "Milvus (" in said
        settings = [t.trial.search.settings for t in plan.trials if t.trial.index.kind != "exact"]
        assert [one.model_dump(mode="json") for one in settings] == [at["search"]]

    def test_auto_refuses_what_was_not_measured(self, grown: Growth, shared_data: Path) -> None:
        asked = experiment(shared_data)
        asked["axes"]["index"] = [{"kind": "auto", "recall": 0.8, "clients": 7}]
        with pytest.raises(MissingError, match="its curves are of 1 clients, not 7"):
            mox.plan(asked)
        asked["axes"]["index"] = [{"kind": "auto", "recall": 0.8, "p95_ms": 0.0001}]
        with pytest.raises(SpecError, match=r"neither store keeps p95 ≤ 0\.0001 ms"):
            mox.plan(asked)
        asked["axes"]["index"] = [{"kind": "auto", "recall": 0.8}]
        asked["axes"]["search"] = [{"kind": "dense", "k": 5}]
        with pytest.raises(MissingError, match=r"k = 5 on this host, only wordllama with k = 10"):
            mox.plan(asked)

    def test_curves_of_another_host_decide_nothing(
        self,
        grown: Growth,
        there: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        shared_data: Path,
    ) -> None:
        monkeypatch.setenv("MOX_HOME", str(tmp_path / "elsewhere"))
        store = Store(tmp_path / "elsewhere")
        moved = {**grown.content, "host": {"cpu": "another", "cores": "64"}}
        record.save(store, Growth(moved, ()))
        asked = experiment(shared_data)
        asked["axes"]["index"] = [{"kind": "auto", "rows": 2_000}]
        with pytest.raises(MissingError, match="latencies of another one say nothing"):
            mox.plan(asked)

    def test_the_command_only_says_what_is_decided(
        self, grown: Growth, shared_data: Path, tmp_path: Path
    ) -> None:
        file = tmp_path / "grown.yaml"
        file.write_text(json.dumps(experiment(shared_data, *KINDS)))
        asked = ["bench", "growth", str(file), "--decide", "--rows", "2000", "--recall", "0.8"]
        ran = CliRunner().invoke(app, [*asked, "--json"])
        assert ran.exit_code == 0, ran.output
        said = json.loads(ran.stdout)["decision"]
        at = next(one for one in grown.content["decisions"] if one["rows"] == 2_000)
        assert {name: said[name] for name in at} == at


def test_without_any_curves_auto_is_refused(shared_data: Path) -> None:
    asked = experiment(shared_data)
    asked["axes"]["index"] = [{"kind": "auto", "rows": 2_000}]
    with pytest.raises(MissingError, match="no curve was measured on this host, and there is no"):
        mox.plan(asked)


def test_a_server_that_was_started_here_is_the_one_that_is_grown_on(
    milvus_server: Any, shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its record says that it lacks DISKANN, which nobody else would say in these words."""
    monkeypatch.setenv("MOX_HOME", str(milvus_server.home))
    with pytest.raises(SpecError, match=r"the milvus 2\.3\.5 that `mox up milvus` started here"):
        ask.growth(experiment(shared_data, "DISKANN"), wanted(shared_data), offline=True)


def test_several_chunkings_are_refused(shared_data: Path) -> None:
    asked = experiment(shared_data, "HNSW")
    asked["axes"]["chunk"] = [{"kind": "recursive", "size": [60, 80]}]
    with pytest.raises(SpecError, match=r"2 alternatives of axes.chunk: a set grows from one"):
        ask.growth(asked, wanted(shared_data), offline=True, quiet=True)


def test_a_corpus_that_is_named_twice_is_refused(shared_data: Path) -> None:
    asked = experiment(shared_data, "HNSW")
    twice = wanted(shared_data, corpora=(asked["corpus"],))
    with pytest.raises(SpecError, match="xquad_en is named twice"):
        ask.growth(asked, twice, offline=True, quiet=True)


def test_mixtures_that_cannot_be_like_the_real_ones_are_refused(shared_data: Path) -> None:
    asked = wanted(shared_data, tolerance=0.0001)
    with pytest.raises(DataError, match=r"no mixture of these 2060 vectors is like them"):
        ask.growth(experiment(shared_data, "HNSW"), asked, offline=True, quiet=True)


RUN = """
import json, sys
from mox.bench import ask
asked, wanted = json.loads(sys.argv[1])
wanted = {**wanted, "sizes": tuple(wanted["sizes"]), "corpora": tuple(wanted["corpora"]),
          "clients": tuple(wanted["clients"])}
ask.growth(asked, ask.Wanted(**wanted), offline=True, quiet=True)
"""


@pytest.mark.timeout(240)
def test_killed_in_the_middle_it_loses_what_was_under_way_and_nothing_else(
    shared_data: Path, own_state: Path
) -> None:
    """Milvus Lite, three sizes: killed when the second one is under way."""
    asked = experiment(shared_data, "HNSW", "FLAT")
    sizes = (400, 600, 800)
    plain = {"sizes": sizes, "corpora": [], "clients": [1], "seconds": 0.2, "rounds": 1}
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, json.dumps([asked, plain])], start_new_session=True
    )
    try:
        until = time.monotonic() + 120
        loads = own_state / "artifacts" / "load"
        grows = own_state / "artifacts" / "grow"

        def stored(folder: Path) -> set[str]:
            return {p.name for p in folder.glob("*") if not p.name.startswith(".")}

        while not (len(stored(loads)) >= 2 and len(stored(grows)) >= 2):
            assert process.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < until
            time.sleep(0.02)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)
    (cut,) = record.every(Store(own_state))
    assert {point.n for point in cut.points} == {400}
    first = stored(loads)
    assert len(api.gc().going) > 0, "the set of the second size, which no growth tells of yet"
    assert stored(loads) == first
    before = {
        path: path.stat().st_mtime_ns
        for kind in ("load", "build", "grow")
        for path in (own_state / "artifacts" / kind).glob("[!.]*/artifact.json")
    }
    found = ask.growth(
        asked, Wanted(**{**plain, "corpora": (), "clients": (1,)}), offline=True, quiet=True
    )
    measured = {(p["index"]["kind"], p["n"]) for p in found.content["points"]}
    assert measured == {(kind, n) for kind in ("HNSW", "FLAT") for n in sizes}
    assert {path: path.stat().st_mtime_ns for path in before} == before, "made once"
    assert len(stored(loads)) == 6


def test_sets_of_two_sizes_share_their_beginning(grown: Growth, there: Path) -> None:
    store = Store(there)
    sets = {}
    for key in store.keys("grow"):
        found = store.read("grow", key)
        sets[found.facts["texts"]] = found.arrays["vectors"]
    assert sorted(sets) == list(SIZES)
    for small, large in pairwise(SIZES):
        assert np.array_equal(sets[small], sets[large][:small])
    assert np.linalg.norm(sets[2_600][2_060:], axis=1) == pytest.approx(np.ones(540), abs=1e-6)
