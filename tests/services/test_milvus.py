"""`mox up milvus`: a real server on this machine, found again, kept over crashes, ended whole."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mox
from mox.errors import EngineError, SpecError
from mox.services import running, updown
from mox.services.milvus import server as milvus
from mox.services.ports import free, listening
from mox.services.process import born, end_group, launch

pytestmark = pytest.mark.timeout(240)
ROWS = 1_500


def silent(_: str) -> None:
    pass


def command(*words: str, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mox", *words],
        env={**os.environ, "MOX_HOME": str(home), **environment},
        capture_output=True,  # through pipes, that end only when nobody holds them any more
        text=True,
        timeout=150,
        check=False,
    )


def client(uri: str) -> Any:
    from pymilvus import MilvusClient

    return MilvusClient(uri, timeout=10, dedicated=True)


def experiment(corpus: Path, **index: Any) -> dict[str, Any]:
    return {
        "name": "up",
        "corpus": {"kind": "evidence", "path": str(corpus)},
        "axes": {
            "chunk": [{"kind": "fixed", "size": 24}],
            "embed": [{"kind": "hashing", "dims": 64}],
            "index": [{"kind": "exact"}, {"kind": "FLAT", **index}],
            "search": [{"kind": "dense", "k": 5}],
        },
        "measure": "recall@5",
    }


@pytest.fixture(scope="module")
def home(milvus_home: Callable[[], Path]) -> Path:
    """A state folder whose server the tests below use, kill and start again, in their order."""
    return milvus_home()


def pid_of(home: Path) -> int:
    found = running.recorded(home, "milvus")
    assert found is not None
    return found.pid


def test_it_returns_through_a_pipe_once_its_api_answers(home: Path) -> None:
    """With an environment that Milvus would take for settings of its own, and a proxy."""
    hostile = {"PROXY_PORT": "1", "ETCD_ENDPOINTS": "nowhere:1", "http_proxy": "http://127.0.0.1:9"}
    done = command("up", "milvus", "--json", home=home, **hostile)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert client(said["uri"]).list_collections(timeout=5) == []
    assert said["service"] == "milvus"
    assert said["version"] == "2.3.5"
    assert said["lacks"] == ["DISKANN", "GPU_*"]
    pid = said["pid"]
    assert born(pid) is not None
    assert os.getsid(pid) == os.getpgid(pid) == pid
    outputs = {Path(f"/proc/{pid}/fd/{number}").readlink() for number in (0, 1, 2)}
    assert outputs == {Path("/dev/null"), home / "services" / "milvus" / "logs" / "output.log"}
    assert "starting milvus" in done.stderr


def test_it_says_which_of_its_ports_other_machines_reach(home: Path) -> None:
    """etcd's two are on the loopback; the binary opens the others at every address."""
    found = running.recorded(home, "milvus")
    assert found is not None
    heard = listening(found.pid)
    assert {one.port for one in heard if one.is_open} == set(found.open_ports)
    assert int(found.uri.rpartition(":")[2]) in found.open_ports
    ports = json.loads((home / "services" / "milvus" / "ports.json").read_text())
    assert {one.port for one in heard} >= {ports["etcd"], ports["etcd_peer"], ports["metrics"]}
    assert not {ports["etcd"], ports["etcd_peer"]} & set(found.open_ports)
    done = command("up", "milvus", home=home)
    assert all(str(port) in done.stdout for port in found.open_ports)
    assert "at every address of this machine" in done.stdout


def test_called_again_it_says_where_the_same_server_is(home: Path) -> None:
    found = running.recorded(home, "milvus")
    again = json.loads(command("up", "milvus", "--json", home=home).stdout)
    assert found is not None
    assert (again["pid"], again["uri"]) == (found.pid, found.uri)
    listed = json.loads(command("up", "--json", home=home).stdout)["services"]
    assert [(one["service"], one["pid"], one["alive"]) for one in listed] == [
        ("milvus", found.pid, True)
    ]
    [port] = free([0])
    refused = command("up", "milvus", "--port", str(port), home=home)
    assert refused.returncode == 2
    assert f"runs already, at {found.uri}" in refused.stderr


def test_trials_are_built_on_it_and_the_plan_says_so(
    home: Path, small_corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOX_HOME", str(home))
    found = running.recorded(home, "milvus")
    assert found is not None
    made = mox.plan(experiment(small_corpus))
    assert any(f"started by `mox up milvus` at {found.uri}" in note for note in made.notes)
    results = mox.run(made, offline=True, quiet=True)
    assert [trial.status for trial in results.run.trials] == ["FINISHED"] * 2
    exact, flat = results.finished
    assert np.allclose(results.hits(exact).scores, results.hits(flat).scores, atol=1e-5)
    [build] = [stage for stage in made.stages.values() if stage.kind == "build"]
    assert build.fingerprint["version"] == "2.3.5-lite"
    assert client(found.uri).list_collections(timeout=5) == [
        f"mox_{made.store.id}_{build.key[:20]}"
    ]
    assert not list(home.glob("services/indexes/*.db")), "nothing in Milvus Lite"
    checks = json.loads(command("doctor", "--json", home=home).stdout)["checks"]
    [said] = [one for one in checks if one["name"] == "milvus"]
    assert said["state"] == "ok"
    assert f"{found.uri}, started by `mox up milvus` (process {found.pid}" in said["said"]


@pytest.mark.parametrize("kind", ["DISKANN", "GPU_IVF_FLAT"])
def test_what_it_was_built_without_is_refused_by_the_plan(
    kind: str, home: Path, small_corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would take such a build and never end it. Also under another name of this machine."""
    monkeypatch.setenv("MOX_HOME", str(home))
    found = running.recorded(home, "milvus")
    assert found is not None
    asked = experiment(small_corpus)
    asked["axes"]["index"].append({"kind": kind})
    said = f"{kind}: the milvus 2.3.5 that `mox up milvus` started here was built without DISKANN"
    with pytest.raises(SpecError, match=said):
        mox.plan(asked)
    monkeypatch.setenv("MOX_MILVUS_URI", found.uri.replace("127.0.0.1", "localhost"))
    with pytest.raises(SpecError, match=said) as caught:
        mox.plan(asked)
    assert "MOX_MILVUS_URI" in caught.value.mend


def test_killed_it_is_missed_by_name_and_comes_back_with_what_it_had(
    home: Path, small_corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that were never flushed, too; and what its dead parts left is not in the way."""
    monkeypatch.setenv("MOX_HOME", str(home))
    before = running.recorded(home, "milvus")
    assert before is not None
    kept = _unflushed(before.uri)
    os.killpg(before.pid, signal.SIGKILL)
    _wait_until_gone(before.pid)
    with pytest.raises(EngineError, match="has gone since") as caught:
        mox.plan({**experiment(small_corpus), "questions": {"limit": 9}})
    assert "`mox up milvus`" in caught.value.mend
    checks = json.loads(command("doctor", "--json", home=home).stdout)["checks"]
    assert [one["state"] for one in checks if one["name"] == "milvus"] == ["broken"]
    back = updown.up("milvus", home, say=silent)
    assert back.uri == before.uri
    assert back.pid != before.pid
    began = time.monotonic()
    again = client(back.uri)
    again.load_collection("kept", timeout=60)
    [counted] = again.query(
        "kept", filter="", output_fields=["count(*)"], consistency_level="Strong", timeout=60
    )
    assert counted["count(*)"] == ROWS
    assert time.monotonic() - began < 25, "30 s and more with parts that are gone on the list"
    assert kept in again.list_collections(timeout=5)


def _unflushed(uri: str) -> str:
    from pymilvus import DataType, MilvusClient

    server = client(uri)
    schema = MilvusClient.create_schema(auto_id=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("v", DataType.FLOAT_VECTOR, dim=8)
    server.create_collection("kept", schema=schema, timeout=30)
    index = server.prepare_index_params()
    index.add_index("v", index_type="FLAT", metric_type="COSINE")
    server.create_index("kept", index, sync=False, timeout=30)
    rows = np.random.default_rng(0).random((ROWS, 8), dtype=np.float32)
    server.insert("kept", [{"id": at, "v": row} for at, row in enumerate(rows)], timeout=30)
    return "kept"


def _wait_until_gone(pid: int) -> None:
    until = time.monotonic() + 30
    while born(pid) is not None:
        assert time.monotonic() < until
        time.sleep(0.02)


def test_two_run_side_by_side(home: Path, milvus_home: Callable[[], Path]) -> None:
    first = running.recorded(home, "milvus")
    assert first is not None
    other = milvus_home()
    try:
        second = updown.up("milvus", other, say=silent)
        assert client(first.uri).list_collections(timeout=5)
        assert client(second.uri).list_collections(timeout=5) == []
        ours, theirs = ({one.port for one in listening(one.pid)} for one in (first, second))
        assert not ours & theirs
    finally:
        updown.down("milvus", other)
    assert client(first.uri).list_collections(timeout=5), "the other one's end is not its end"


def test_ended_there_is_nothing_left_but_its_data(home: Path) -> None:
    found = running.recorded(home, "milvus")
    assert found is not None
    ports = {one.port for one in listening(found.pid)}
    done = command("down", "milvus", "--json", home=home)
    assert [one["pid"] for one in json.loads(done.stdout)["ended"]] == [found.pid]
    assert born(found.pid) is None
    assert milvus.processes(home) == []
    assert set(free(sorted(ports))) == ports, "each is free again"
    assert running.recorded(home, "milvus") is None
    assert (home / "services" / "milvus" / "data").is_dir()
    again = command("down", home=home)
    assert (again.returncode, again.stdout) == (0, "nothing was running here.\n")


@pytest.fixture
def bystander(tmp_path: Path) -> Iterator[int]:
    """A process that has nothing to do with us."""
    pid = launch(["/bin/sleep", "300"], cwd=tmp_path, env=os.environ, log=tmp_path / "log")
    yield pid
    end_group(pid, patience_s=0)


def test_a_stale_record_harms_no_one_and_hides_no_server(home: Path, bystander: int) -> None:
    """Its process number belongs to another process by now, and the server lives unrecorded."""
    found = updown.up("milvus", home, say=silent)
    running.record(home, running.Server("milvus", found.uri, bystander, "long ago", "2.3.5"))
    updown.down("milvus", home)
    assert born(bystander) is not None
    assert born(found.pid) is None
    assert running.recorded(home, "milvus") is None
