"""`mox explain`: any trial of a report by its id; status 1 where a value doesn't hold."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(150)

EXPERIMENT = """\
name: cli
corpus: {kind: evidence, path: corpus}
axes:
  chunk: [{kind: recursive, size: 16}]
  search: [{kind: bm25, k: 10}]
measure: [recall@5, ndcg@60t]
"""


def mox(*words: str, cwd: Path) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "mox", *words], cwd=cwd, capture_output=True, text=True,
        timeout=100, check=False, env=dict(os.environ),
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_a_number_of_a_report_leads_back_to_hits_artifacts_and_versions(
    small_corpus: Path, own_state: Path
) -> None:
    folder = small_corpus.parent
    (folder / "e.yaml").write_text(EXPERIMENT)
    status, out, err = mox("run", "e.yaml", "--offline", "--json", cwd=folder)
    assert status == 0, err
    [trial] = json.loads(out)["trials"]

    status, out, _ = mox("explain", trial["id"][:6], "--json", cwd=folder)
    assert status == 0
    found: dict[str, Any] = json.loads(out)
    assert found["trial"]["params"] == trial["params"]
    for name, interval in trial["metrics"].items():
        shown = found["measures"][name]["splits"]["all"]
        assert {key: shown[key] for key in interval} == interval
    assert [link["kind"] for link in found["lineage"]] == [
        "documents", "questions", "chunk", "tokens", "lexical", "score",
    ]  # fmt: skip

    status, out, _ = mox("explain", trial["id"], "-q", "q-03-1", "--run", "e.yaml", cwd=folder)
    assert status == 0
    for said in ("q-03-1", "recall@5 = ", "ndcg@60t = ", "rank", "tokens spent @60t",
                 "came to what is stored"):  # fmt: skip
        assert said in out
    assert max(map(len, out.splitlines())) <= 100

    data = own_state / "artifacts" / "lexical" / found["trial"]["roles"]["hits"]["key"] / "data.npz"
    raw = bytearray(data.read_bytes())
    raw[len(raw) // 2] ^= 1
    data.write_bytes(raw)
    status, out, _ = mox("explain", trial["id"], "--json", cwd=folder)
    assert status == 1
    damaged = json.loads(out)
    assert damaged["holds"] is False
    assert "lexical" in damaged["problems"][0]
    assert "checksum" in damaged["problems"][0]

    status, _, err = mox("explain", "zz", cwd=folder)
    assert status == 2
    assert "no trial of the runs" in err
    assert "mend: name one by its id" in err
