"""A disk that fills up: one clear error, and nothing is lost that was paid for or measured."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(60)
SCRIPT = Path(__file__).with_name("full_ledger.py")


@pytest.fixture
def found(apart: list[str], tmp_path: Path) -> dict[str, Any]:
    done = subprocess.run(
        [*apart, sys.executable, str(SCRIPT), str(tmp_path)],
        capture_output=True, text=True, timeout=50, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def test_a_full_disk_takes_no_line_that_was_written_before(found: dict[str, Any]) -> None:
    records, ledger = found["records"], found["ledger"]
    assert records["done"] > 100
    assert "records.jsonl can't be written (No space left on device)" in records["said"]
    assert records["ends_with_a_line"], "the part of the last one is taken away again"
    assert records["kept"] == [records["done"] + 1]
    assert ledger["done"] > 3
    assert "calls.sqlite can't be used: database or disk is full" in ledger["said"]
    assert ledger["there"] == ledger["done"]
    assert ledger["after"] == ledger["done"] + 3
