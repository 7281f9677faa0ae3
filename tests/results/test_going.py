"""A run that is still going on, or was killed: told apart, counted, and never taken for final."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import mox
from mox import api
from mox.errors import MissingError
from mox.pipeline import codec
from mox.pipeline.execute import execute
from mox.results import going, verdict

pytestmark = pytest.mark.timeout(120)

EXPERIMENT = """\
name: going
corpus: {kind: evidence, path: corpus}
axes:
  chunk: [{kind: recursive, size: [16, 32]}]
  search: [{kind: bm25, k: 10}]
measure: [ndcg@60t]
choose: {maximise: ndcg@60t}
"""

BEGIN = """
import sys, time
import mox
from mox.pipeline.running import announced
from mox.results import going
plan = mox.plan(sys.argv[1])
with announced(plan, record=going.provisional(plan)):
    print("begun", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def file(small_corpus: Path) -> Path:
    path = small_corpus.parent / "e.yaml"
    path.write_text(EXPERIMENT)
    return path


def notes(home: Path) -> list[Path]:
    return sorted((home / "running").glob("*"))


def begun(file: Path) -> subprocess.Popen[str]:
    """A process that has begun a run and stays in it."""
    process = subprocess.Popen(
        [sys.executable, "-c", BEGIN, str(file)], stdout=subprocess.PIPE, text=True,
        env=dict(os.environ),
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    return process


@pytest.fixture
def begin(file: Path) -> Any:
    started = []

    def start() -> subprocess.Popen[str]:
        started.append(begun(file))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=20)


def store_inputs(file: Path) -> Any:
    """Store what a run writes first."""
    plan = mox.plan(file)
    kinds = {stage.kind: stage for stage in plan.stages.values()}
    for kind, arrays in (
        ("documents", codec.pack_documents(plan.corpus.documents)),
        ("questions", codec.pack_questions(plan.corpus.questions)),
    ):
        plan.store.write(kind, kinds[kind].key, arrays, {}, {})
    return plan


def test_a_run_that_has_hardly_begun_is_refused_by_name(file: Path, begin: Any) -> None:
    process = begin()
    with pytest.raises(MissingError, match=r"run \w+ is going on, 0 of \d+ stages stored"):
        mox.load(file)
    process.kill()
    process.wait(timeout=20)
    with pytest.raises(MissingError, match="is cut off, 0 of"):
        mox.load(file)


def test_a_run_that_is_going_on_is_reported_by_name_with_what_is_stored(
    file: Path, begin: Any
) -> None:
    begin()
    plan = store_inputs(file)
    results = mox.load(file)
    assert results.run.stopped == going.GOING
    assert results.run.stages["stored"] == 2
    assert [trial.status for trial in results.run.trials] == ["SKIPPED"] * 2
    assert results.report().unfinished == (
        f"NOT FINAL: run {plan.run_id} is still going on: 2 of {len(plan.stages)} stages stored;"
        " 2 of 2 trials are missing."
    )
    said = verdict.unfinished(results)
    assert said == "2 of 2 trials are not scored: still to come, or failed."
    assert mox.load(plan.run_id[:6]).run.stopped == going.GOING


def test_a_run_that_was_cut_off_is_told_from_one_that_is_going_on(file: Path, begin: Any) -> None:
    process = begin()
    store_inputs(file)
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=20)
    assert mox.load(file).run.stopped == going.CUT_OFF
    assert "was stopped (cut off)" in mox.load(file).report().unfinished
    assert verdict.unfinished(mox.load(file)) == (
        "2 of 2 trials are not scored: still to come, or failed; the same call again resumes."
    )


def test_letters_of_several_runs_are_refused_whether_they_ended_or_not(
    file: Path, begin: Any
) -> None:
    # Ids are digests, which begin alike as they like; with no letter at all, all of them do.
    ended = mox.run(file, offline=True, quiet=True, set={"measure": ["recall@5"], "choose": None})
    begin()
    plan = store_inputs(file)
    assert mox.load(plan.run_id).run.stopped == going.GOING
    assert mox.load(ended.run.id[:11]).run.stopped is None
    with pytest.raises(MissingError, match="2 runs begin with ''") as caught:
        going.unfinished(plan.store, "")
    assert plan.run_id in caught.value.mend
    assert ended.run.id in caught.value.mend


def test_of_two_attempts_the_living_one_counts(file: Path, begin: Any) -> None:
    first = begin()
    first.kill()
    first.wait(timeout=20)
    store_inputs(file)
    begin()
    assert mox.load(file).run.stopped == going.GOING


def test_a_run_that_ends_leaves_nothing_announced_by_itself_or_by_those_cut_off(
    file: Path, begin: Any, own_state: Path
) -> None:
    process = begin()
    process.kill()
    process.wait(timeout=20)
    assert notes(own_state)
    results = mox.run(file, offline=True, quiet=True)
    assert notes(own_state) == []
    assert results.run.stopped is None
    assert mox.load(file).run == results.run


def test_a_run_cut_off_after_its_last_stage_is_no_longer_so_once_run_again(
    file: Path, begin: Any, own_state: Path
) -> None:
    process = begin()  # as if killed after all is stored and before the record is written
    process.kill()
    process.wait(timeout=20)
    left = [(path, path.read_bytes()) for path in notes(own_state)]
    mox.run(file, offline=True, quiet=True)
    for path, raw in left:
        path.write_bytes(raw)
    assert mox.load(file).run.stopped == going.CUT_OFF
    mox.run(file, offline=True, quiet=True)
    assert mox.load(file).run.stopped is None


def test_a_run_of_what_is_stored_is_final_while_it_is_run(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    def looking(*given: Any) -> Any:
        seen.append(mox.load(file).run.stopped if seen else "the first")
        return execute(*given)

    monkeypatch.setattr(api, "execute", looking)
    mox.run(file, offline=True, quiet=True)
    mox.run(file, offline=True, quiet=True)
    assert seen == ["the first", None]


def test_what_is_announced_counts_what_is_left_and_what_is_stored(file: Path) -> None:
    plan = mox.plan(file)
    before = going.provisional(plan)["stages"]
    assert (before["left"], before["stored"]) == (len(plan.stages), 0)
    mox.run(plan, offline=True, quiet=True)
    after = going.provisional(plan)["stages"]
    assert (after["left"], after["stored"]) == (0, len(plan.stages))


def test_a_run_that_an_error_ended_is_cut_off(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        store_inputs(file)
        raise RuntimeError("broken")

    monkeypatch.setattr(api, "execute", broken)
    with pytest.raises(RuntimeError, match="broken"):
        mox.run(file, offline=True, quiet=True)
    assert mox.load(file).run.stopped == going.CUT_OFF


def test_what_is_going_on_cannot_be_promoted(file: Path, begin: Any) -> None:
    begin()
    store_inputs(file)
    with pytest.raises(mox.MoxError, match="going on"):
        mox.promote(file, offline=True)
