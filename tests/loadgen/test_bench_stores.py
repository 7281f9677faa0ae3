"""`mox bench stores`: a ladder where the file has none, one document, and a status that says so."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mox.results.load.stores import ladder

EXPERIMENT = """
name: stores
corpus: {kind: evidence, path: corpus}
axes:
  chunk: [{kind: recursive, size: 40}]
  embed: [{kind: hashing, dims: 64}]
  index: [{kind: exact}]
  search: [{kind: dense, k: 5}]
measure: [recall@5]
"""


def mox(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mox", *words],
        cwd=folder, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_it_runs_the_ladder_and_prints_one_document(small_corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "e.yaml").write_text(EXPERIMENT)
    asked = ("--clients", "1,2", "--seconds", "0.2", "--rounds", "2", "--offline")
    done = mox(tmp_path, "bench", "stores", "e.yaml", *asked, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["schema"] == 1
    assert [row["clients"] for row in found["rows"]] == [1, 2]
    for row in found["rows"]:
        assert row["recall by id"] == row["recall tie-aware"] == 1
        assert row["qps low"] <= row["qps"] <= row["qps high"]
        assert row["p50_ms"] <= row["p95_ms"]
        assert row["disk_mb"] > 0
        assert row["rounds"] == 2
    assert {one["recall"] for one in found["equal_recall"]["rows"]} == {0.9, 0.95, 0.99}
    again = mox(tmp_path, "bench", "stores", "e.yaml", *asked)
    assert again.returncode == 0
    assert "at recall 0.95, 2 clients, k=5:" in again.stdout
    assert found["run_id"] in again.stdout, "measured once, and shown"


def test_what_cannot_be_meant_is_refused_with_its_mend(small_corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "e.yaml").write_text(EXPERIMENT.replace("{kind: dense, k: 5}", "{kind: bm25}"))
    done = mox(tmp_path, "bench", "stores", "e.yaml", "--offline", "-q")
    assert done.returncode == 2
    assert "no trial searches one by vectors alone" in done.stderr
    words = mox(tmp_path, "bench", "stores", "e.yaml", "--clients", "many")
    assert words.returncode == 2
    assert "write 1,4,16" in words.stderr


@pytest.mark.parametrize(
    ("given", "asked", "loads"),
    [
        (None, {}, [{"clients": [1, 4, 16]}]),
        (None, {"clients": [2], "rounds": 3}, [{"clients": [2], "rounds": 3}]),
        ([{"clients": 8}], {}, [{"clients": 8}]),
        ([{"clients": 8, "cold": True}], {"clients": [1, 2]}, [{"clients": [1, 2], "cold": True}]),
        ({"inserts": 5}, {"seconds": 1.0}, [{"inserts": 5, "seconds": 1.0}]),
    ],
)
def test_what_is_asked_takes_the_place_of_what_the_file_says(
    given: Any, asked: dict[str, Any], loads: list[dict[str, Any]]
) -> None:
    axes = {} if given is None else {"load": given}
    found = ladder(axes, asked.get("clients"), asked.get("seconds"), asked.get("rounds"))
    assert found == {"axes.load": loads}
