"""The axis `load` and its stage: what it multiplies, what is measured, what fails, what goes on."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

import mox
from mox.errors import SpecError
from mox.indexes.pgvector.client import connected
from mox.pipeline.describe import describe
from mox.pipeline.fields import LOAD_FIELD, columns
from mox.pipeline.running import announced
from mox.results.collect.garbage import survey
from mox.results.document import document
from mox.services import postgres
from mox.settings import Settings
from mox.types import Place

EXPERIMENT: dict[str, Any] = {
    "name": "load",
    "axes": {
        "chunk": [{"kind": "recursive", "size": 40}],
        "embed": [{"kind": "hashing", "dims": 64}],
        "index": [{"kind": "exact"}, {"kind": "HNSW", "m": 2, "ef_construction": 10}],
        "search": [{"kind": "dense", "k": 5, "ef": [5, 60]}],
        "load": [{"clients": [1, 2], "seconds": 0.2, "rounds": 2}],
    },
    "measure": ["recall@5"],
}


def experiment(corpus: Path, **axes: Any) -> dict[str, Any]:
    return {
        **EXPERIMENT,
        "corpus": {"kind": "evidence", "path": str(corpus)},
        "axes": {**EXPERIMENT["axes"], **axes},
    }


def clients() -> list[psutil.Process]:
    """Of this test's state folder: other tests' run beside it."""
    home = os.environ["MOX_HOME"]
    return [
        one
        for one in psutil.process_iter(["cmdline", "environ"])
        if "mox.loadgen.client" in (one.info["cmdline"] or [])
        and (one.info["environ"] or {}).get("MOX_HOME") == home
    ]


@pytest.fixture(scope="module")
def ran(
    corpus_writer: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[mox.Results]:
    """Exact search and HNSW on Milvus Lite at two efforts, under 1 and 2 clients."""
    corpus = corpus_writer(tmp_path_factory.mktemp("corpus"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOX_HOME", str(tmp_path_factory.mktemp("state")))
        yield mox.run(experiment(corpus), offline=True, quiet=True)


def test_a_load_multiplies_trials_that_search_an_index_by_vectors(small_corpus: Path) -> None:
    search = [{"kind": "dense", "k": 5}, {"kind": "hybrid", "k": 5}, {"kind": "bm25", "k": 5}]
    plan = mox.plan(experiment(small_corpus, search=search))
    by_kind = [(t.trial.search.kind, t.trial.load and t.trial.load.clients) for t in plan.trials]
    # 2 indexes × dense × 2 loads, 2 × hybrid, and BM25 once.
    assert sorted(by_kind, key=str) == sorted(
        [*[("dense", 1), ("dense", 2)] * 2, *[("hybrid", None)] * 2, ("bm25", None)], key=str
    )
    assert any("hybrid trials are not put under load" in note for note in plan.notes)
    kinds = [stage.kind for stage in plan.stages.values()]
    assert kinds.count("load") == 4
    assert kinds.count("build") == 2, "exact search is built for its clients, once"
    assert kinds.count("search") == 2, "and one for the hybrid trial, as deep as its fusion sees"
    assert "search" not in plan.trials[0].roles


def test_trials_without_a_load_have_the_ids_and_builds_they_always_had(small_corpus: Path) -> None:
    plain = experiment(small_corpus)
    del plain["axes"]["load"]
    with_load = mox.plan(experiment(small_corpus))
    without = mox.plan(plain)
    assert not {t.id for t in without.trials} & {t.id for t in with_load.trials}
    assert without.run_id != with_load.run_id
    assert all("load" not in t.trial.config for t in without.trials)
    scores = {t.roles["score"] for t in without.trials}
    assert scores == {t.roles["score"] for t in with_load.trials}, "quality isn't redone"


def test_only_a_load_that_filters_has_a_build_with_what_it_filters_by(small_corpus: Path) -> None:
    hnsw = [{"kind": "HNSW"}]
    plan = mox.plan(experiment(small_corpus, index=hnsw, load=[{"selectivity": [1.0, 0.1, 0.5]}]))
    builds = [stage for stage in plan.stages.values() if stage.kind == "build"]
    assert [stage.spec.get("fields") for stage in builds] == [None, ["mox_load"]]
    plain = experiment(small_corpus, index=hnsw)
    del plain["axes"]["load"]
    alone = mox.plan(plain)
    assert builds[0].key in alone.stages, "a sweep without loads has that build already"


def test_a_latency_does_not_travel(small_corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def keys() -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for stage in mox.plan(experiment(small_corpus)).stages.values():
            found.setdefault(stage.kind, set()).add(stage.key)
        return found

    here = keys()
    monkeypatch.setattr("mox.pipeline.plan.host", lambda: {"cpu": "another", "cores": "64"})
    there = keys()
    assert {kind for kind in here if here[kind] != there[kind]} == {"load"}


@pytest.mark.parametrize(
    ("axes", "said"),
    [
        ({"load": [{"clients": 0}]}, r"load.clients = 0"),
        ({"load": [{"client": 1}]}, r"load has no field 'client', did you mean 'clients'"),
        ({"load": [{"selectivity": 0}]}, r"load.selectivity = 0"),
        ({"load": []}, r"axes.load is empty"),
        ({"search": [{"kind": "bm25", "k": 5}]}, r"no trial searches one by vectors alone"),
        ({"load": [{"inserts": 10}]}, r"exact takes no inserts once it is built"),
    ],
)
def test_a_load_that_cannot_be_meant_is_refused(
    small_corpus: Path, axes: dict[str, Any], said: str
) -> None:
    with pytest.raises(SpecError, match=said):
        mox.plan(experiment(small_corpus, **axes))


def test_choosing_by_lites_own_speed_is_refused_when_the_plan_is_made(small_corpus: Path) -> None:
    for name, better in (("p95_ms", "minimise"), ("qps", "maximise")):
        choose = {"maximise": "recall@5", "within": 0.1, "prefer": {better: name}}
        with pytest.raises(SpecError, match=f"choosing by {name} over HNSW in Milvus Lite") as said:
            mox.plan({**experiment(small_corpus), "choose": choose})
        assert "mox up milvus" in said.value.mend
    sizes = {"maximise": "recall@5", "within": 0.1, "prefer": {"minimise": "disk_mb"}}
    mox.plan({**experiment(small_corpus), "choose": sizes})
    exact = experiment(small_corpus, index=[{"kind": "exact"}], search=[{"kind": "dense", "k": 5}])
    speed = {"maximise": "recall@5", "within": 0.1, "prefer": {"minimise": "p95_ms"}}
    mox.plan({**exact, "choose": speed})
    del exact["axes"]["load"]
    with pytest.raises(SpecError, match="p95_ms, and nothing measures it") as said:
        mox.plan({**exact, "choose": speed})
    assert "`load` axis" in said.value.mend


def test_a_plan_says_how_long_the_machine_has_to_be_left_alone(small_corpus: Path) -> None:
    one = describe(mox.plan(experiment(small_corpus)), 2)
    # 6 loads (exact, HNSW at two ef; 1 and 2 clients) of 2 rounds of .2 s, and more around them.
    assert one["load_seconds"] > 6 * 2 * 0.2
    longer = [{"clients": [1, 2], "seconds": 10.2, "rounds": 2}]
    more = describe(mox.plan(experiment(small_corpus, load=longer)), 2)
    assert more["load_seconds"] - one["load_seconds"] == pytest.approx(6 * 2 * 10)
    assert more["seconds"] - one["seconds"] == pytest.approx(6 * 2 * 10), "workers don't divide it"


def by_params(ran: mox.Results, **wanted: Any) -> list[dict[str, Any]]:
    return [
        trial
        for trial in document(ran)["trials"]
        if all(trial["params"].get(name.replace("__", ".")) == v for name, v in wanted.items())
    ]


def test_each_trial_has_its_load_and_its_costs(ran: mox.Results) -> None:
    trials = document(ran)["trials"]
    assert [trial["status"] for trial in trials] == ["FINISHED"] * 6
    for trial in trials:
        load, costs = trial["load"], trial["costs"]
        assert load["clients"] == trial["params"]["load.clients"]
        assert load["rounds"] == 2 == len(load["qps_rounds"])
        assert load["qps"]["low"] == min(load["qps_rounds"])
        assert load["errors"] == {}
        for name in ("qps", "p50_ms", "p95_ms"):
            assert load[name]["low"] <= load[name]["median"] <= load[name]["high"]
            assert costs[name] == load[name]["median"]
        assert costs["disk_mb"] > 0
        assert load["no_disk"] is None
        assert load["interleaved"] == 6, "all in one job"
        assert load["host"]["cores"] == str(len(os.sched_getaffinity(0)))


def test_recall_under_load_is_that_of_the_search_and_moves_with_its_effort(
    ran: mox.Results,
) -> None:
    recalls: dict[int, set[float]] = {}
    for trial in by_params(ran, index__kind="HNSW"):
        tied = trial["load"]["recall"]["tie_aware"]
        recalls.setdefault(trial["params"]["search.ef"], set()).add(round(tied, 2))
        # All questions are asked, some once more than others.
        assert tied == pytest.approx(trial["costs"]["recall_of_exact@5"], abs=0.1)
    assert max(recalls[5]) < min(recalls[60])
    for trial in by_params(ran, index__kind="exact"):
        assert trial["load"]["recall"]["tie_aware"] == 1
        assert trial["load"]["in_client"]
        assert trial["load"]["engine_cpu_ms"] is None


def test_lite_says_lite_in_every_table_and_its_own_cpu_is_told_apart(ran: mox.Results) -> None:
    for trial in by_params(ran, index__kind="HNSW"):
        assert trial["load"]["lite"]
        assert trial["load"]["engine"].startswith("milvus-lite")
        assert trial["load"]["engine_cpu_ms"] > 0
        assert trial["load"]["client_cpu_ms"] > 0
        assert trial["load"]["consistency"] == "Bounded"
    table = ran.load()
    for shown in (repr(table), table._repr_html_()):
        assert "Lite (4 of 6 rows)" in shown
        assert "no index" in shown
    assert table.df()["notes"].str.contains("Lite").sum() == 4


def test_the_table_has_no_ranks_but_where_as_much_is_found(ran: mox.Results) -> None:
    table = ran.load()
    assert len(table.df()) == 6
    assert not [name for name in table.df() if "rank" in name]
    assert "2 rounds show little" in repr(table)
    assert {row.condition for row in table.rows} == {"1 client, k=5", "2 clients, k=5"}
    for one in table.equal_recall().rows:
        assert 1 <= one.rank[0] <= one.rank[1] <= 2


def test_a_sweep_that_has_grown_says_what_was_measured_apart(small_corpus: Path) -> None:
    def grown(dims: list[int], k: list[int]) -> mox.Results:
        asked = experiment(
            small_corpus,
            embed=[{"kind": "hashing", "dims": one} for one in dims],
            index=[{"kind": "exact"}],
            search=[{"kind": "dense", "k": k}],
            load=[{"seconds": 0.05, "rounds": 2}],
        )
        return mox.run(asked, offline=True, quiet=True)

    first = grown([32], [5]).load()
    assert [row.apart for row in first.rows] == [False]
    table = grown([32, 256], [5, 20]).load()
    said = {(row.k, row.vectors_are): row.apart for row in table.rows}
    others = {(5, "dims=256"): False, (20, "dims=32"): False, (20, "dims=256"): False}
    assert said == {(5, "dims=32"): True, **others}
    assert "measured apart (1 of 4 rows)" in repr(table)
    assert [one.rank for one in table.equal_recall([0.9]).rows] == [(1, 1)] * 4, "nothing is alike"


def test_run_again_it_measures_nothing(ran: mox.Results, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOX_HOME", str(ran.store.root))
    again = mox.run(ran.run.settings, offline=True, quiet=True)
    assert again.run.stages["run"] == 0
    assert again.run.id == ran.run.id


def test_a_run_without_load_says_how_to_get_one(small_corpus: Path) -> None:
    plain = experiment(small_corpus, index=[{"kind": "exact"}], search=[{"kind": "dense", "k": 5}])
    del plain["axes"]["load"]
    found = mox.run(plain, offline=True, quiet=True)
    assert document(found)["trials"][0]["load"] is None
    with pytest.raises(SpecError, match="put under load"):
        found.load()


def test_a_server_killed_in_mid_load_fails_its_trials_and_no_others(
    small_corpus: Path, lite_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOX_MILVUS_URI", lite_server.uri)
    asked = experiment(small_corpus, load=[{"clients": 2, "seconds": 3, "rounds": 2}])
    done = threading.Event()

    def kill_once_clients_search() -> None:
        while not done.is_set():
            spent = [p.cpu_times().user for p in clients() if p.is_running()]
            if len(spent) >= 2 and min(spent) > 1:
                break
            time.sleep(0.1)
        time.sleep(3)
        lite_server.send(signal.SIGKILL)

    killer = threading.Thread(target=kill_once_clients_search, daemon=True)
    killer.start()
    found = mox.run(asked, offline=True, quiet=True)
    done.set()
    killer.join(30)
    trials = {t["params"]["index.kind"]: t for t in document(found)["trials"]}
    assert trials["exact"]["status"] == "FINISHED"
    assert trials["HNSW"]["status"] == "FAILED"
    assert "away or does not answer" in trials["HNSW"]["error"]
    assert not clients()
    assert np.isfinite(trials["exact"]["load"]["qps"]["median"])


@pytest.fixture(scope="module")
def on_postgres(
    corpus_writer: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[mox.Results]:
    """pgvector's HNSW: filtered or not, with a writer or without, cold and warm."""
    corpus = corpus_writer(tmp_path_factory.mktemp("corpus"))
    home = tmp_path_factory.mktemp("pg")
    asked = experiment(
        corpus,
        index=[{"kind": "pgvector_hnsw", "m": 4, "ef_construction": 20}],
        search=[{"kind": "dense", "k": 5, "ef_search": 40}],
        load=[
            {"selectivity": [1.0, 0.2], "inserts": [0, 50], "seconds": 0.6, "rounds": 1},
            {"cold": True, "seconds": 0.3, "rounds": 2},
        ],
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOX_HOME", str(home))
        yield mox.run(asked, offline=True, quiet=True)
    postgres.stop(home / "services" / "indexes" / "postgres")


def test_filters_inserts_and_cold_are_measured_as_asked(on_postgres: mox.Results) -> None:
    trials = document(on_postgres)["trials"]
    assert [trial["error"] for trial in trials] == [None] * 5
    for trial in trials:
        load, params = trial["load"], trial["params"]
        assert load["selectivity"] == params["load.selectivity"]
        assert load["recall"]["tie_aware"] > 0.5
        assert load["engine"].startswith("postgresql")
        assert load["engine_cpu_ms"] > 0
        assert not load["lite"]
        if params["load.inserts"]:
            assert 0 < load["inserted_per_s"] < 60
        else:
            assert "inserted_per_s" not in load
        assert (load["cold_is"] is not None) == params["load.cold"]
        assert ("open_s" in load) == ("first_ms" in load) == params["load.cold"]


def test_a_filter_that_lets_a_fifth_pass_is_judged_by_what_passes(on_postgres: mox.Results) -> None:
    (found,) = by_params(on_postgres, load__selectivity=0.2, load__inserts=0.0)
    chunks = found["costs"]["chunks"]
    passing = columns([LOAD_FIELD], chunks)[LOAD_FIELD] < 2_000
    assert passing.sum() == pytest.approx(0.2 * chunks, abs=1)
    # Of so few rows a scan that goes on finds all; none of it could, held to the unfiltered truth:
    # 5 nearest of all rows have 1 among a fifth of them, and the other 4 would count as missed.
    assert found["load"]["recall"]["tie_aware"] > 0.6


def test_copies_that_were_written_to_are_gone(
    on_postgres: mox.Results,
) -> None:
    store = on_postgres.store
    server = store.root / "services" / "indexes" / "postgres"
    with postgres.serving(server) as uri, connected(Place("", store.root, uri)) as link:
        tables = [name for (name,) in link.ask("select tablename from pg_tables"
                                               " where schemaname = 'mox'")]  # fmt: skip
        counts = [link.ask(f"select count(*) from mox.{name}")[0][0] for name in tables]  # noqa: S608
    builds = {ref.key[:20] for ref in store_builds(on_postgres)}
    assert {name.rsplit("_", 1)[-1] for name in tables} == builds
    assert counts == [72, 72], "what others search was not written to"


def store_builds(ran: mox.Results) -> set[Any]:
    return {trial.roles["build"] for trial in ran.run.trials}


def test_every_copy_a_sweep_writes_to_is_kept_while_it_goes_on_and_an_orphan_after(
    small_corpus: Path,
) -> None:
    """As a killed load leaves it: a collection named after a stage that is no artifact."""
    asked = experiment(
        small_corpus, index=[{"kind": "HNSW"}], search=[{"kind": "dense", "k": 5}],
        load=[{"inserts": 5}],
    )  # fmt: skip
    plan = mox.plan(asked)
    (load,) = (stage for stage in plan.stages.values() if stage.kind == "load")
    folder = plan.store.root / "services" / "indexes"
    left = folder / f"mox_{plan.store.id}_{load.key[:20]}.db"
    left.mkdir(parents=True)
    with announced(plan):
        assert not survey(plan.store, Settings(), releases=[]).orphans
    found = survey(plan.store, Settings(), releases=[])
    assert [one.path for one in found.orphans] == [left]


def test_a_trial_under_load_is_promoted_and_answers(
    ran: mox.Results, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MOX_HOME", str(ran.store.root))
    (trial,) = by_params(ran, index__kind="HNSW", search__ef=60, load__clients=2)
    monkeypatch.setattr("mox.pipeline.plan.host", lambda: {"cpu": "another", "cores": "64"})
    made = mox.promote(ran, trial=trial["id"], out=tmp_path / "release.yaml", offline=True)
    answer = mox.ask(made.release.path, "where are thunder meadow bridge island in book 0", k=3)
    assert len(answer.passages) == 3
