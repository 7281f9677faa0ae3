"""A sweep says that it goes on; its word dies with it, and a collection is waited for."""

from __future__ import annotations

import fcntl
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import mox
from mox.errors import StoreError
from mox.pipeline import running
from mox.pipeline.running import announced, collecting, sweeping
from mox.pipeline.store import Store


@pytest.fixture
def plan(small_corpus: Path) -> Any:
    return mox.plan(
        {
            "name": "said",
            "corpus": {"kind": "evidence", "path": str(small_corpus)},
            "axes": {"chunk": [{"kind": "fixed", "size": 24}], "search": [{"kind": "bm25"}]},
            "measure": ["recall@5"],
        }
    )


def test_a_sweep_that_goes_on_says_all_that_it_plans(plan: Any) -> None:
    with announced(plan):
        [found] = sweeping(plan.store)
        assert found.alive
        assert found.run_id == plan.run_id
        assert found.stages == {stage.ref for stage in plan.stages.values()}
    assert sweeping(plan.store) == []


def test_what_was_cut_off_is_known_until_the_same_run_ends(plan: Any) -> None:
    with pytest.raises(ZeroDivisionError), announced(plan):
        raise ZeroDivisionError
    [found] = sweeping(plan.store)
    assert not found.alive
    assert found.name == "said"
    with announced(plan):
        assert sorted(one.alive for one in sweeping(plan.store)) == [False, True]
    assert sweeping(plan.store) == []


def test_an_attempt_that_begins_while_another_ends_stays_announced(
    plan: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as first:
        first.enter_context(announced(plan))

        def late(handle: int, how: int) -> None:
            if how == fcntl.LOCK_EX:
                first.close()  # as if the other process ended just before this one has its lock
            fcntl.flock(handle, how)

        monkeypatch.setattr(running, "fcntl", SimpleNamespace(**{**vars(fcntl), "flock": late}))
        with announced(plan):
            [found] = sweeping(plan.store)
            assert found.alive
    assert sweeping(plan.store) == []
    assert list((plan.store.root / "running").iterdir()) == []


def test_a_file_cut_short_is_a_sweep_that_began_nothing(plan: Any) -> None:
    folder = plan.store.root / "running"
    folder.mkdir()
    (folder / f"{plan.run_id}.0123abcd.json").write_text('{"run_id": "')
    [found] = sweeping(plan.store)
    assert (found.alive, found.stages, found.run_id) == (False, frozenset(), plan.run_id)


def test_a_sweep_waits_for_a_collection_to_end(plan: Any) -> None:
    order: list[str] = []
    begun = threading.Event()

    def collect() -> None:
        with collecting(Store(plan.store.root), wait_s=5):
            begun.set()
            time.sleep(0.5)
            order.append("collected")

    thread = threading.Thread(target=collect)
    thread.start()
    assert begun.wait(5)
    with announced(plan):
        order.append("begun")
    thread.join()
    assert order == ["collected", "begun"]


def test_a_collection_that_doesnt_end_is_refused_by_name(plan: Any) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c",
         "import sys, time; from pathlib import Path; from mox.pipeline.store import Store\n"
         f"with Store(Path({str(plan.store.root)!r})).lock('collecting'):\n"
         "    print('held', flush=True); time.sleep(60)"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        refused = pytest.raises(StoreError, match="another process collects garbage")
        with refused, announced(plan, wait_s=0.2):
            pass
    finally:
        holder.kill()
        holder.wait(10)
        if holder.stdout is not None:
            holder.stdout.close()
    assert sweeping(plan.store) == []
