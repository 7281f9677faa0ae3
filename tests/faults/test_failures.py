"""A failing trial is FAILED with its message; its neighbours go on."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def with_toys(sweep: Any, toy_plugin: Path) -> Any:
    sweep.environment["PYTHONPATH"] = str(toy_plugin)
    return sweep


def split(document: dict[str, Any]) -> tuple[dict[str, str], list[str]]:
    """chunk kind → message of its failed trials, and the kinds whose trials finished."""
    failed = {t["params"]["chunk.kind"]: t["error"] for t in document["trials"] if t["error"]}
    fine = [t["params"]["chunk.kind"] for t in document["trials"] if t["status"] == "FINISHED"]
    return failed, fine


def test_what_raises_fails_alone(with_toys: Any) -> None:
    with_toys.write(("{kind: toy-raise}", "{kind: toy-lines}"))
    failed, fine = split(with_toys.run())
    assert list(failed) == ["toy-raise"]
    assert "ZeroDivisionError: toy" in failed["toy-raise"]
    assert set(fine) == {"toy-lines"}


def test_what_crashes_fails_alone(with_toys: Any) -> None:
    with_toys.write(("{kind: toy-crash}", "{kind: toy-lines}"))
    failed, fine = split(with_toys.run())
    assert "its worker died" in failed["toy-crash"]
    assert set(fine) == {"toy-lines"}


def test_what_hangs_is_really_ended(with_toys: Any) -> None:
    with_toys.environment["MOX_STAGE_TIMEOUT_S"] = "20"
    with_toys.write(("{kind: toy-hang}", "{kind: toy-lines}"))
    began = time.monotonic()
    failed, fine = split(with_toys.run())
    assert "stood still for 20 s and was ended" in failed["toy-hang"]
    assert set(fine) == {"toy-lines"}
    assert time.monotonic() - began < 100


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the kernel doesn't end workers")
def test_what_workers_are_forked_from_is_killed_and_only_what_was_under_way_fails(
    with_toys: Any,
) -> None:
    with_toys.write(("{kind: toy-hang}", "{kind: toy-lines}"))
    process = with_toys.start()
    worker = None
    while worker is None:
        assert process.poll() is None
        below = psutil.Process(process.pid).children(recursive=True)
        worker = next((one for one in below if one.ppid() != process.pid), None)
        time.sleep(0.1)
    time.sleep(3)  # it stands in toy-hang by then, or has been handed it
    server = worker.parent()
    assert server is not None
    assert "mox.pipeline.forkserver" in server.cmdline()
    server.kill()
    out, err = process.communicate(timeout=120)
    assert out, err
    failed, fine = split(json.loads(out))
    assert "its worker died" in failed["toy-hang"]
    assert set(fine) == {"toy-lines"}


def test_failed_trials_are_tried_again_and_stored_ones_are_not(with_toys: Any) -> None:
    with_toys.write(("{kind: toy-raise}", "{kind: toy-lines}"))
    first = with_toys.run()
    second = with_toys.run()
    assert second["run_id"] == first["run_id"]
    assert second["stages"]["run"] == 0
    assert second["stages"]["failed"] == first["stages"]["failed"]


def test_the_budgets_time_stops_a_run_and_keeps_what_was_finished(with_toys: Any) -> None:
    with_toys.write(("{kind: toy-lines}", "{kind: toy-hang}"))
    stopped = with_toys.run("--set", "budget.minutes=0.5")
    assert stopped["stopped"] == "budget"
    states = {t["params"]["chunk.kind"]: t["status"] for t in stopped["trials"]}
    assert states == {"toy-lines": "FINISHED", "toy-hang": "SKIPPED"}


def test_k_larger_than_the_chunks_is_said(sweep: Any) -> None:
    sweep.write(("{kind: whole}", "{kind: fixed, size: 24}"))
    document = sweep.run("--set", "axes.search.0.k=13", "--set", "axes.search.0.ef=16")
    failed = {t["error"] for t in document["trials"] if t["status"] == "FAILED"}
    assert any("k = 13 is larger than the 12 chunks" in message for message in failed)
    assert any(t["status"] == "FINISHED" for t in document["trials"])
