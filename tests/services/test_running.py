"""Records of servers: whose process they mean, and what follows from one that is gone."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mox.errors import EngineError, StoreError
from mox.services import running
from mox.services.process import born, end_group, launch, working_in
from mox.services.running import Server
from mox.settings import settings

pytestmark = pytest.mark.timeout(60)
URI = "http://127.0.0.1:19530"


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[int]:
    """A process with a child, in a group of its own, that ends when the test does."""
    command = ["/bin/sh", "-c", "sleep 300 & echo $! > child; wait"]
    pid = launch(command, cwd=tmp_path, env=os.environ, log=tmp_path / "log")
    until = time.monotonic() + 20
    while not (tmp_path / "child").exists() or not (tmp_path / "child").read_text().strip():
        assert time.monotonic() < until
        time.sleep(0.01)
    yield pid
    end_group(pid, patience_s=0)


def server(pid: int, since: str | None = None, uri: str = URI) -> Server:
    return Server("milvus", uri, pid, since or born(pid) or "", "2.3.5", ("DISKANN", "GPU_*"))


@pytest.fixture
def root(own_state: Path) -> Path:
    running.folder(own_state).mkdir(parents=True)
    return own_state


def test_a_record_reads_back_as_it_was_written(root: Path, sleeper: int) -> None:
    running.record(root, server(sleeper))
    assert running.recorded(root, "milvus") == server(sleeper)
    assert running.servers(root) == [server(sleeper)]
    assert [path.name for path in running.folder(root).iterdir()] == ["milvus.json"]
    running.forget(root, "milvus")
    assert running.recorded(root, "milvus") is None
    assert running.servers(root) == []


def test_only_its_owner_reads_a_record_since_its_uri_may_carry_a_password(
    root: Path, sleeper: int
) -> None:
    running.record(root, server(sleeper))
    assert stat.S_IMODE((running.folder(root) / "milvus.json").stat().st_mode) == 0o600


def test_a_record_that_is_no_record_is_said_with_its_mend(root: Path) -> None:
    (running.folder(root) / "milvus.json").write_text("{")
    with pytest.raises(StoreError, match="cannot be read") as caught:
        running.recorded(root, "milvus")
    assert "mox down milvus" in caught.value.mend


def test_a_number_that_another_process_has_by_now_is_not_it(sleeper: int) -> None:
    assert server(sleeper).alive
    boot, _, ticks = (born(sleeper) or "").rpartition("/")
    assert not server(sleeper, since=f"{boot}/{int(ticks) - 1}").alive
    assert not server(sleeper, since=f"another boot/{ticks}").alive


def test_what_was_killed_and_not_waited_for_lives_no_more(tmp_path: Path) -> None:
    process = subprocess.Popen(["/bin/sleep", "300"])
    one = server(process.pid)
    process.kill()
    until = time.monotonic() + 20
    while one.alive:  # a zombie until it is waited for
        assert time.monotonic() < until
        time.sleep(0.01)
    process.wait(20)
    assert born(process.pid) is None


def test_a_whole_group_is_ended_and_what_ignores_it_is_killed(tmp_path: Path) -> None:
    script = "trap '' TERM; (trap '' TERM; echo $$ > ready; while :; do sleep 1; done) & wait"
    pid = launch(["/bin/sh", "-c", script], cwd=tmp_path, env=os.environ, log=tmp_path / "log")
    until = time.monotonic() + 20
    while not (tmp_path / "ready").exists():
        assert time.monotonic() < until
        time.sleep(0.01)
    assert len(working_in(tmp_path)) >= 2
    end_group(pid, patience_s=0.5)
    assert working_in(tmp_path) == []


def test_it_inherits_nothing_of_its_starter(tmp_path: Path) -> None:
    """A reader of its starter's output gets to the end of it while the server lives."""
    script = (
        "import os, sys; from pathlib import Path; from mox.services.process import launch\n"
        f"here = Path({str(tmp_path)!r})\n"
        "print(launch(['/bin/sleep', '300'], cwd=here, env=os.environ, log=here / 'log'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True
    )
    pid = int(done.stdout)
    try:
        assert born(pid) is not None
        assert os.getsid(pid) == pid
        held = {str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()}
        assert held == {"/dev/null", str(tmp_path / "log")}
    finally:
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        (URI, "http://localhost:19530", True),
        (URI, "http://localhost:19530/", True),
        (URI, "http://someone:word@127.0.0.1:19530", True),
        (URI, "http://localhost", True),  # 19530 is Milvus' own
        (URI, "http://[::1]:19530", True),
        (URI, "tcp://0.0.0.0:19530", True),
        (URI, "http://localhost:19531", False),
        (URI, "http://elsewhere:19530", False),
        (URI, "http://localhost:99999999", False),
        ("postgresql:///?host=/a", "postgresql:///?host=/b", False),
    ],
)
def test_the_same_server_by_another_name(one: str, other: str, is_same: bool) -> None:
    assert running.same(one, other, "milvus") is is_same
    assert running.same(other, one, "milvus") is is_same


def test_a_server_that_was_started_here_is_used_where_no_other_is_named(
    root: Path, sleeper: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert running.located(settings()).milvus_uri is None
    running.record(root, server(sleeper))
    assert running.located(settings()).milvus_uri == URI
    assert running.exported(running.located(settings())) == {"MOX_MILVUS_URI": URI}
    monkeypatch.setenv("MOX_MILVUS_URI", "http://elsewhere:19530")
    assert running.located(settings()).milvus_uri == "http://elsewhere:19530"
    assert running.at(root, "milvus", "http://elsewhere:19530") is None


def test_one_that_has_gone_is_said_and_nothing_takes_its_place(root: Path, sleeper: int) -> None:
    running.record(root, server(sleeper, since="another boot/1"))
    assert running.located(settings()).milvus_uri == URI, "never Milvus Lite by itself"
    with pytest.raises(EngineError, match="`mox up milvus` started milvus here, at") as caught:
        running.check(root, "milvus", "http://localhost:19530")
    assert "`mox up milvus`" in caught.value.mend
    assert "`mox down milvus`" in caught.value.mend
    assert running.check(root, "milvus", "http://elsewhere:19530") is None


def test_what_it_lacks_is_told_by_name_and_by_family(sleeper: int) -> None:
    one = server(sleeper)
    assert [kind for kind in ("HNSW", "DISKANN", "GPU_CAGRA", "GPU_IVF_PQ", "IVF_PQ")
            if one.lacks_kind(kind)] == ["DISKANN", "GPU_CAGRA", "GPU_IVF_PQ"]  # fmt: skip


def test_its_document_has_its_address_and_no_private_parts(sleeper: int) -> None:
    said = json.loads(json.dumps(server(sleeper).document()))
    assert said["uri"] == URI
    assert "born" not in said
    assert "someone" not in repr(server(sleeper, uri="http://someone:word@127.0.0.1:1"))


def test_one_at_a_time_starts_or_ends_a_service(root: Path) -> None:
    with running.alone(root, "milvus"):
        with running.alone(root, "postgres", wait_s=0):
            pass
        with (
            pytest.raises(StoreError, match="another process starts or ends milvus"),
            running.alone(root, "milvus", wait_s=0.2),
        ):
            pytest.fail("two at once")
    with running.alone(root, "milvus", wait_s=0):
        pass


def test_who_waits_for_another_says_so_once(root: Path) -> None:
    said: list[str] = []
    with running.alone(root, "milvus", say=said.append):
        assert said == []
        with (
            pytest.raises(StoreError, match="another process"),
            running.alone(root, "milvus", wait_s=0.2, say=said.append),
        ):
            pytest.fail("two at once")
    assert said == ["another process starts or ends milvus: waiting up to 0 s"]
