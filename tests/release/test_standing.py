"""Releases keep what they stand on, wherever they were written."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import mox
from mox import api
from mox.errors import SpecError, StoreError
from mox.pipeline.stages import Ref
from mox.pipeline.store import Store
from mox.release.standing import standing
from mox.results import Results
from mox.results import run as runs


@pytest.fixture
def results(swept: Path, own_state: Path) -> Results:
    """The run of every kind of search, in a copy of its folder; the corpus stays where it is."""
    shutil.copytree(swept / "state", own_state)
    store = Store(own_state)
    [run] = runs.every(store)
    return Results(run, store)


@pytest.mark.parametrize("kind", ["dense", "bm25", "hybrid"])
@pytest.mark.parametrize("where", ["in the store", "elsewhere"])
def test_a_release_keeps_its_trial_when_its_run_is_forgotten_by_force(
    results: Results, tmp_path: Path, kind: str, where: str
) -> None:
    trial = next(t for t in results.run.trials if t.config["search"]["kind"] == kind)
    out = tmp_path / "shelf" / "r.yaml" if where == "elsewhere" else None
    release = mox.promote(results, trial=trial.id, offline=True, out=out).release
    with pytest.raises(SpecError, match="1 release stands on"):
        api.gc(forget=[results.run.id])
    kept = {Ref(*ref) for ref in results.store.held()}
    dry = api.gc(dry_run=True, forget=[results.run.id], force=True)
    swept = api.gc(forget=[results.run.id], force=True)
    left = {Ref(*ref) for ref in results.store.held()}
    assert {one.ref for one in dry.going} == kept - left
    assert swept.whole
    roles = set(trial.roles.values())
    assert roles <= left
    assert {ref.kind for ref in left} == {
        "documents", "questions", *(ref.kind for ref in roles),
        *({"queries"} if "embed" in trial.roles else ()), "tokens",
    }  # fmt: skip
    assert [one.path for one in standing(results.store)] == [str(release.path)]


def test_a_release_that_is_gone_keeps_nothing(results: Results, tmp_path: Path) -> None:
    release = mox.promote(
        results, trial=results.run.trials[0].id, offline=True, out=tmp_path / "r.yaml"
    ).release
    release.path.unlink()
    assert standing(results.store) == []
    api.gc(forget=[results.run.id])
    assert list(results.store.held()) == []


def test_a_release_that_cannot_be_read_stops_gc(results: Results) -> None:
    release = mox.promote(results, trial=results.run.trials[0].id, offline=True).release
    release.path.write_text(release.path.read_text().replace("name: books", "name: others"))
    with pytest.raises(StoreError, match=r"isn't known: .* was changed after it was written"):
        api.gc()
    found: Any = mox.explain(results.run.trials[0].id).document()
    [said] = found["releases"]
    assert "was changed after it was written" in said["problem"]
