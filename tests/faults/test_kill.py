"""kill -9: what was finished is kept, what is left over is nothing, and scores don't change."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from mox.pipeline.store import Store

pytestmark = pytest.mark.timeout(240)


def scores(document: dict[str, Any]) -> dict[str, Any]:
    return {
        trial["id"]: [trial["status"], trial["metrics"], trial["splits"]]
        for trial in document["trials"]
    }


def digests(home: Path) -> dict[str, str]:
    store = Store(home)
    return {key: store.sidecar(kind, key)["sha256"] for kind, key in store.held()}


def wait_for_artifacts(sweep: Any, count: int, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if len(list(sweep.home.glob("artifacts/*/*/artifact.json"))) >= count:
            return
        time.sleep(0.005)
    raise AssertionError(f"under {count} artifacts after {seconds} s")


@pytest.mark.parametrize(
    "rounds", [1, pytest.param(10, marks=[pytest.mark.slow, pytest.mark.timeout(7200)])]
)
def test_killed_at_random_and_resumed_equals_undisturbed(
    sweep: Any, tmp_path: Path, rounds: int
) -> None:
    """Five kills a round, each at another moment every time; 50 by hand, `-m slow`."""
    dice = random.Random(time.time_ns())  # noqa: S311
    undisturbed = sweep.run()
    for number in range(rounds):
        sweep.home = tmp_path / f"struck-{number}"
        sweep.environment["MOX_HOME"] = str(sweep.home)
        moments = sorted((dice.randrange(1, 45), dice.uniform(0, 0.3)) for _ in range(5))
        print("killed with so many artifacts, after so many seconds:", moments)  # noqa: T201
        for artifacts, seconds in moments:
            process = sweep.start()
            wait_for_artifacts(sweep, artifacts)
            time.sleep(seconds)
            process.send_signal(signal.SIGKILL)
            process.wait(10)
        before = digests(sweep.home)
        resumed = sweep.run()
        after = digests(sweep.home)
        assert {key: after[key] for key in before} == before, "finished artifacts kept their bytes"
        assert resumed["stages"]["run"] == len(after) - len(before)
        assert scores(resumed) == scores(undisturbed)
        assert resumed["chosen"]["trial"] == undisturbed["chosen"]["trial"]


def test_kill_9_of_the_main_process_alone_leaves_nothing(sweep: Any) -> None:
    process = sweep.start()
    wait_for_artifacts(sweep, 4)  # while most of the work is still to be done
    workers = psutil.Process(process.pid).children(recursive=True)
    assert workers
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert not alive
    # No lock is held and no engine folder is open: the same state runs on at once.
    resumed = sweep.run()
    assert all(trial["status"] == "FINISHED" for trial in resumed["trials"])


def test_two_processes_on_one_store_share_the_work(sweep: Any) -> None:
    first, second = sweep.start(), sweep.start()
    outs = [process.communicate(timeout=120) for process in (first, second)]
    import json

    one, two = (json.loads(out) for out, _ in outs)
    assert [t["error"] for d in (one, two) for t in d["trials"] if t["error"]] == []
    assert scores(one) == scores(two)
    assert one["stages"]["total"] == two["stages"]["total"]
    ran = one["stages"]["run"] + two["stages"]["run"]
    # Documents and questions are written by each process that read them; the rest once.
    assert one["stages"]["total"] <= ran <= one["stages"]["total"] + 2


def test_a_damaged_artifact_is_redone_and_nothing_else(sweep: Any) -> None:
    whole = sweep.run()
    store = Store(sweep.home)
    [embed] = [key for kind, key in store.held() if kind == "embed"][:1]
    data = store.folder("embed", embed) / "data.npz"
    raw = bytearray(data.read_bytes())
    raw[-40] ^= 255
    data.write_bytes(raw)
    for kind, key in list(store.held()):
        if kind in ("search", "exact", "score"):
            store.remove(kind, key)
    again = sweep.run()
    assert scores(again) == scores(whole)
    by_kind = again["stages"]["by_kind"]
    assert by_kind["embed"]["run"] == 1
    assert by_kind["build"]["run"] == 0
    assert by_kind["chunk"]["run"] == 0
