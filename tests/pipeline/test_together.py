"""Stages done together are what they are alone: the same keys, the same bytes, each by itself."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import mox
from mox.errors import SpecError
from mox.experiment import load
from mox.pipeline import codec
from mox.pipeline.agenda import Agenda
from mox.pipeline.context import Context
from mox.pipeline.plan import Plan
from mox.pipeline.stages import Stage
from mox.pipeline.store import Store
from mox.pipeline.worker import do_together, perform
from mox.retrieval.weighted import Weighted, fuse
from mox.settings import settings

pytestmark = pytest.mark.timeout(150)

RRF = {"kind": "rrf", "k": [0, 4, 60]}
WEIGHTED = {"kind": "weighted", "weight": [0, 0.3, 1], "normalise": ["min-max", "theoretical"]}


def experiment(corpus: Path, *fusions: dict[str, Any], k: Any = 5) -> dict[str, Any]:
    return {
        "name": "together",
        "corpus": {"kind": "evidence", "path": str(corpus)},
        "axes": {
            "chunk": [{"kind": "recursive", "size": 24}],
            "embed": [{"kind": "hashing", "dims": 64}],
            "index": [{"kind": "exact"}],
            "search": [{"kind": "bm25", "k": 3}]
            + [{"kind": "hybrid", "k": k, "depth": 10, "fusion": f} for f in fusions],
        },
        "measure": ["recall@5", "ndcg@60t"],
    }


@pytest.fixture
def toys(toy_plugin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(toy_plugin))


def contents(store: Store) -> dict[tuple[str, str], Any]:
    held = {ref: store.sidecar(*ref) for ref in store.held()}
    return {ref: (noted["sha256"], noted["facts"], noted["spec"]) for ref, noted in held.items()}


def plan_on(home: Path, written: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.setenv("MOX_HOME", str(home))
    plan = mox.plan(written)
    for stage in plan.pending():
        if stage.kind in ("documents", "questions"):
            pack = getattr(codec, f"pack_{stage.kind}")
            note = {"version": 1, "spec": dict(stage.spec), "inputs": {}, "seconds": 0.0}
            store = plan.store
            store.write(stage.kind, stage.key, pack(getattr(plan.corpus, stage.kind)), {}, note)
    return plan


def test_together_and_one_by_one_store_the_same_bytes(
    small_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toys: None
) -> None:
    written = experiment(small_corpus, RRF, WEIGHTED, {"kind": "toy-plain"}, k=[5, 8])
    plan = plan_on(tmp_path / "one", written, monkeypatch)
    context = Context(plan.store, settings(), lambda: None)
    for stage in plan.pending():
        perform(stage, context)
    other = plan_on(tmp_path / "two", written, monkeypatch)
    context = Context(other.store, settings(), lambda: None)
    agenda = Agenda(other.stages, other.pending())
    at_once: list[Stage] = []
    while job := agenda.take():
        for kind in dict.fromkeys(stage.kind for stage in job):
            of_kind = [stage for stage in job if stage.kind == kind]
            done = do_together(of_kind, context, lambda **_: None)
            at_once += [stage for stage in of_kind if stage.key in done]
            for stage in of_kind:
                if stage.key not in done:
                    perform(stage, context)
        context.end_job()
        for stage in job:
            agenda.done(stage)
    alone = [s for s in other.stages.values() if s.kind == "fuse" and s not in at_once]
    assert {stage.spec["of"]["kind"] for stage in alone} == {"toy-plain"}
    assert sum(stage.kind == "fuse" for stage in at_once) == 2 * (3 + 6)
    # That of BM25 alone has nobody to go with when its turn comes.
    assert sum(stage.kind == "score" for stage in at_once) == 2 * (3 + 6 + 1)
    assert contents(other.store) == contents(plan.store)


def test_theoretical_fusion_is_told_what_each_search_gives_at_least(
    small_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_on(tmp_path / "one", experiment(small_corpus, WEIGHTED), monkeypatch)
    context = Context(plan.store, settings(), lambda: None)
    for stage in plan.pending():
        perform(stage, context)
    seen = 0
    for stage in plan.stages.values():
        if stage.kind != "fuse" or stage.spec["of"]["normalise"] != "theoretical":
            continue
        seen += 1
        # A cosine is -1 at least, a sum of BM25's weights 0.
        lists = [
            replace(context.hits(stage.inputs[role]), least=least)
            for role, least in (("dense", -1.0), ("lexical", 0.0))
        ]
        expected = fuse(Weighted.model_validate(stage.spec["of"]), lists, k=5)
        stored = context.hits(stage.ref)
        assert stored.ids.tolist() == expected.ids.tolist()
        assert stored.scores.tolist() == expected.scores.tolist()
    assert seen == 3


def test_a_stage_that_somebody_else_does_is_left_to_them(
    small_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_on(tmp_path / "one", experiment(small_corpus, RRF), monkeypatch)
    context = Context(plan.store, settings(), lambda: None)
    fuses = [stage for stage in plan.pending() if stage.kind == "fuse"]
    for stage in plan.pending():
        if stage.kind not in ("fuse", "score"):
            perform(stage, context)
    perform(fuses[0], context)
    said: list[Any] = []
    with plan.store.lock(fuses[1].key):
        done = do_together(fuses, context, lambda **event: said.append(event))
    assert done == {fuses[2].key}
    assert [event["event"] for event in said] == ["start", "done"]


def outcome(results: Any) -> dict[tuple[str, int], tuple[str, str | None]]:
    """(fusion, its number) → status and error of each trial that fuses."""
    return {
        (f["kind"], f.get("number", f.get("k"))): (trial.status, trial.error)
        for trial in results.run.trials
        if (f := trial.config["search"].get("fusion"))
    }


@pytest.mark.parametrize(
    ("wrong", "said"), [("raise", "ZeroDivisionError: toy 3"), ("crash", "its worker died")]
)
def test_a_stage_that_fails_takes_only_itself(
    small_corpus: Path, toys: None, wrong: str, said: str
) -> None:
    written = experiment(
        small_corpus,
        RRF,
        {"kind": "toy-many", "number": [1, 2]},
        {"kind": "toy-many", "number": 3, "wrong": wrong},
        {"kind": "toy-many", "number": [4, 5]},
    )
    found = outcome(mox.run(written, offline=True, quiet=True))
    status, error = found.pop(("toy-many", 3))
    assert status == "FAILED"
    assert said in str(error)
    assert len(found) == 3 + 4
    assert {status for status, _ in found.values()} == {"FINISHED"}


def test_a_damaged_list_is_redone_and_all_that_fuse_it_go_on(small_corpus: Path) -> None:
    written = experiment(small_corpus, RRF, WEIGHTED)
    first = mox.run(written, offline=True, quiet=True)
    store = first.store
    before = contents(store)
    damaged = next(trial.roles["exact"] for trial in first.run.trials if "exact" in trial.roles)
    file = store.folder(*damaged) / "data.npz"
    raw = bytearray(file.read_bytes())
    raw[-200] ^= 255
    file.write_bytes(raw)
    for ref in before:
        if ref[0] in ("fuse", "score"):
            store.remove(*ref)
    again = mox.run(written, offline=True, quiet=True)
    assert again.run.stages["by_kind"]["exact"]["run"] == 1
    assert {trial.status for trial in again.run.trials} == {"FINISHED"}
    assert contents(store) == before


def test_what_a_power_failure_cut_short_is_written_anew(small_corpus: Path) -> None:
    written = experiment(small_corpus, RRF)
    first = mox.run(written, offline=True, quiet=True)
    before = contents(first.store)
    for at, trial in enumerate(t for t in first.run.trials if "exact" in t.roles):
        folder = first.store.folder(*trial.roles["score"])
        cut = folder / ("data.npz", "artifact.json")[at % 2]
        cut.write_bytes(cut.read_bytes()[: 30 * at])
    again = mox.run(written, offline=True, quiet=True)
    assert again.run.stages["run"] == 3
    assert contents(again.store) == before


def block(store: Store, ref: Any) -> None:
    """Have an artifact that can't be written: a file has the name that its folder would get."""
    folder = store.folder(*ref)
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text("in the way")


def test_a_fusion_that_cannot_be_stored_fails_its_trial_and_no_other(small_corpus: Path) -> None:
    written = experiment(small_corpus, RRF)
    plan = mox.plan(written)
    first = next(trial for trial in plan.trials if trial.roles["hits"].kind == "fuse")
    block(plan.store, first.roles["hits"])
    results = mox.run(plan, offline=True, quiet=True)
    ended = {trial.id: trial for trial in results.run.trials}
    blocked = ended.pop(first.id)
    assert blocked.status == "FAILED"
    assert "cannot write" in str(blocked.error)
    assert {trial.status for trial in ended.values()} == {"FINISHED"}
    assert not results.store.has(*first.roles["score"]), "a score of hits that nobody has"


LOADS = {
    "search": [{"kind": "dense", "k": 5}],
    "load": [{"clients": 1, "seconds": 0.1, "rounds": 1, "selectivity": [1, 0.5, 0.25]}],
}


def test_loads_say_that_they_start_share_their_seconds_and_are_not_measured_twice(
    small_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = experiment(small_corpus)
    written["axes"] = {**written["axes"], **LOADS}
    plan = plan_on(tmp_path / "one", written, monkeypatch)
    said: list[dict[str, Any]] = []
    context = Context(plan.store, settings(), lambda: said.append({"event": "alive"}))
    loads = [stage for stage in plan.pending() if stage.kind == "load"]
    for stage in plan.pending():
        if stage.kind != "load":
            perform(stage, context)
    said.clear()
    block(plan.store, loads[0].ref)
    began = time.perf_counter()
    done = do_together(loads, context, lambda at_once=True, **event: said.append(event))
    passed = time.perf_counter() - began
    assert done == {stage.key for stage in loads}
    events = [event["event"] for event in said]
    assert events[:4] == ["start"] * 3 + ["alive"], "all are said before any is measured"
    ended = [event for event in said if event["event"] in ("done", "failed")]
    assert [event["event"] for event in ended] == ["failed", "done", "done"]
    assert "cannot write" in ended[0]["error"]
    # Each was measured for 0.1 s at least, and has a third of what all three took.
    assert 0.1 < ended[1]["seconds"] == ended[2]["seconds"] <= passed / 3


SWEEP = """
import json, sys, mox
mox.run(json.loads(sys.argv[1]), offline=True, quiet=True)
"""


def test_killed_amid_stages_done_together_and_resumed_equals_undisturbed(
    small_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import json

    weights = {**WEIGHTED, "weight": [at / 600 for at in range(601)]}
    written = experiment(small_corpus, weights)
    undisturbed = mox.run(written, offline=True, quiet=True)
    monkeypatch.setenv("MOX_HOME", str(tmp_path / "struck"))
    for moment in (40, 300, 700):
        process = subprocess.Popen([sys.executable, "-c", SWEEP, json.dumps(written)])
        try:
            until = time.monotonic() + 60
            folders = tmp_path / "struck" / "artifacts"
            while len([*folders.glob("fuse/*"), *folders.glob("score/*")]) < moment:
                assert time.monotonic() < until
                assert process.poll() is None, "the sweep ended before it was struck"
                time.sleep(0.001)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait(10)
    resumed = mox.run(written, offline=True, quiet=True)
    assert resumed.run.stages["run"] > 0
    assert {trial.status for trial in resumed.run.trials} == {"FINISHED"}
    assert contents(resumed.store) == contents(undisturbed.store)


def test_a_search_that_does_not_know_its_least_score_is_refused_by_name(
    small_corpus: Path, toys: None
) -> None:
    scales = {"kind": "weighted", "normalise": ["min-max", "theoretical"]}
    written = experiment(small_corpus, scales)
    written["axes"]["search"][1]["lexical"] = {"kind": "toy-words"}
    with pytest.raises(SpecError, match=r"axes\.search\.1.*needs the least score .* toy-words"):
        load(written)
    scales["normalise"] = ["min-max", "z-score", "none"]
    results = mox.run(written, offline=True, quiet=True)
    assert {trial.status for trial in results.run.trials} == {"FINISHED"}
