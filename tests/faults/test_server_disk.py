"""The disk of a server filled up: trials that need it are FAILED with that reason, others go on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
SCRIPT = Path(__file__).with_name("full_disk.py")


def test_its_disk_is_full(
    apart: list[str], milvus_home: Callable[[], Path], small_corpus: Path
) -> None:
    home = milvus_home()
    done = subprocess.run(
        [*apart, sys.executable, str(SCRIPT), str(home), str(small_corpus)],
        capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    said: dict[str, Any] = json.loads(done.stdout)
    assert {trial["status"] for trial in said["before"]} == {"FINISHED"}
    by_kind: dict[str, list[dict[str, Any]]] = {"exact": [], "FLAT": []}
    for trial in said["full"]:
        by_kind[trial["kind"]].append(trial)
    assert [trial["status"] for trial in by_kind["exact"]] == ["FINISHED"] * 2
    assert [trial["status"] for trial in by_kind["FLAT"]] == ["FAILED"] * 2
    for trial in by_kind["FLAT"]:
        assert "no space left on device" in trial["error"] or "disk is full" in trial["error"]
    assert not said["alive"], "2.3.5 gives up where it cannot write"
    assert said["again"] != said["pid"]
    assert {trial["status"] for trial in said["after"]} == {"FINISHED"}
    assert said["stored"] == 0, "what was built before is there still"
    assert said["left"] == []
