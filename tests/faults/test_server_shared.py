"""Several state folders on one Milvus server: each sees, counts and removes its own only."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mox import api
from mox.results import run as records

pytestmark = pytest.mark.timeout(300)
FOREIGN = ("someone_elses", "mox_0123abcd_0123456789abcdef0123")
"""Not by Mox; and of a store that isn't here."""


def experiment(corpus: Path) -> dict[str, Any]:
    return {
        "name": "shared",
        "corpus": {"kind": "evidence", "path": str(corpus)},
        "axes": {
            "chunk": [{"kind": "fixed", "size": 24}],
            "embed": [{"kind": "hashing", "dims": 32}],
            "index": [{"kind": "FLAT"}],
            "search": [{"kind": "dense", "k": 5}],
        },
        "measure": "recall@5",
    }


@pytest.fixture
def client(milvus_server: Any) -> Any:
    """A client of the server, which has two collections that are none of ours."""
    from pymilvus import DataType, MilvusClient

    found = MilvusClient(milvus_server.uri, timeout=10, dedicated=True)
    schema = MilvusClient.create_schema(auto_id=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("v", DataType.FLOAT_VECTOR, dim=2)
    for name in FOREIGN:
        found.create_collection(name, schema=schema, timeout=30)
    yield found
    for name in FOREIGN:
        found.drop_collection(name, timeout=30)
    found.close()


def sweep(home: Path, file: Path, uri: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "mox", "run", str(file), "--offline", "--json"],
        env={**os.environ, "MOX_HOME": str(home), "MOX_MILVUS_URI": uri, "MOX_WORKERS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def test_two_sweeps_at_once_and_gc_touch_nobody_elses_collections(
    milvus_server: Any,
    client: Any,
    small_corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same experiment, whose keys are the same: only the store's id keeps them apart."""
    file = tmp_path / "e.yaml"
    file.write_text(json.dumps(experiment(small_corpus)))
    homes = [tmp_path / name for name in ("one", "two")]
    sweeps = [sweep(home, file, milvus_server.uri) for home in homes]
    said = [json.loads(process.communicate(timeout=200)[0]) for process in sweeps]
    for document in said:
        assert [trial["status"] for trial in document["trials"]] == ["FINISHED"]
    assert said[0]["trials"][0]["metrics"] == said[1]["trials"][0]["metrics"]
    of = {home: f"mox_{json.loads((home / 'store.json').read_text())['id']}_" for home in homes}
    here = client.list_collections(timeout=5)
    mine = {home: [name for name in here if name.startswith(of[home])] for home in homes}
    assert [len(names) for names in mine.values()] == [1, 1]

    one, two = homes
    monkeypatch.setenv("MOX_MILVUS_URI", milvus_server.uri)
    monkeypatch.setenv("MOX_HOME", str(one))
    half = f"{of[one]}{'0' * 20}"
    client.create_collection(half, dimension=2, timeout=30)
    found = api.gc(dry_run=True)
    assert [orphan.name for orphan in found.found.orphans] == [half], "that no artifact owns"
    assert half in client.list_collections(timeout=5), "only looked at"
    [run] = records.every(api.load(said[0]["run_id"]).store)
    swept = api.gc(forget=[run.id])
    assert swept.whole
    left = set(client.list_collections(timeout=5))
    assert not any(name.startswith(of[one]) for name in left)
    assert left >= {*mine[two], *FOREIGN}

    monkeypatch.setenv("MOX_HOME", str(two))
    assert api.gc().found.orphans == ()
    assert api.plan(file).pending() == []
    client.drop_collection(mine[two][0], timeout=30)
