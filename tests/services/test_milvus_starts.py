"""`mox up milvus` where a start is disturbed or can't be: ports, starters, paths, the extra."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mox.errors import MissingError, SpecError, StoreError
from mox.services import running, updown
from mox.services.milvus import server as milvus
from mox.services.ports import listening
from mox.services.process import born

pytestmark = pytest.mark.timeout(240)


def silent(_: str) -> None:
    pass


def collections(uri: str) -> Any:
    from pymilvus import MilvusClient

    return MilvusClient(uri, timeout=10, dedicated=True).list_collections(timeout=5)


def starting(home: Path) -> tuple[subprocess.Popen[bytes], int]:
    """A `mox up milvus` under way, and the process of the server that it has just recorded."""
    starter = subprocess.Popen(
        [sys.executable, "-m", "mox", "up", "milvus"],
        env={**os.environ, "MOX_HOME": str(home)}, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    until = time.monotonic() + 60
    while (found := running.recorded(home, "milvus")) is None:
        assert time.monotonic() < until
        time.sleep(0.005)
    return starter, found.pid


def test_a_port_that_is_taken_is_refused_by_name(milvus_home: Callable[[], Path]) -> None:
    home = milvus_home()
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        with pytest.raises(SpecError, match=f"port {port} is taken by another process"):
            updown.up("milvus", home, port=port, say=silent)
    assert running.recorded(home, "milvus") is None


@pytest.mark.parametrize("name", ["uri", "rootCoord", "etcd"])
def test_a_port_that_is_taken_in_between_costs_another_start(
    name: str, milvus_home: Callable[[], Path]
) -> None:
    """Somebody listens on it after it was chosen and before the server does."""
    home = milvus_home()
    held: list[socket.socket] = []
    taken = threading.Thread(target=_take, args=(home, name, held), daemon=True)
    taken.start()
    told: list[str] = []
    try:
        found = updown.up("milvus", home, say=told.append)
        assert held, "it was taken"
        assert any("trying others" in line for line in told), told
        port = held[0].getsockname()[1]
        assert port not in {one.port for one in listening(found.pid)}
        assert collections(found.uri) == []
    finally:
        for one in held:
            one.close()
        updown.down("milvus", home)


def _take(home: Path, name: str, held: list[socket.socket]) -> None:
    path = home / "services" / "milvus" / "ports.json"
    until = time.monotonic() + 60
    while time.monotonic() < until and not held:
        try:
            port = json.loads(path.read_text())[name]
            held.append(socket.create_server(("", port)))
        except (FileNotFoundError, ValueError):
            time.sleep(0.001)


def test_a_starter_that_is_killed_leaves_a_server_that_the_next_one_finds(
    milvus_home: Callable[[], Path],
) -> None:
    home = milvus_home()
    starter, pid = starting(home)
    starter.kill()
    starter.wait(20)
    found = updown.up("milvus", home, say=silent)
    assert found.pid == pid
    everywhere = {one.port for member in milvus.processes(home) for one in listening(member)
                  if one.is_open}  # fmt: skip
    assert set(found.open_ports) == everywhere
    assert everywhere, "2.3.5 binds some of its ports to all addresses"
    assert running.recorded(home, "milvus") == found
    updown.down("milvus", home)


def test_interrupted_it_leaves_nothing(milvus_home: Callable[[], Path]) -> None:
    home = milvus_home()
    starter, pid = starting(home)
    starter.send_signal(signal.SIGINT)
    assert starter.wait(60) != 0
    assert born(pid) is None
    assert milvus.processes(home) == []
    assert running.recorded(home, "milvus") is None


def test_paths_that_a_configuration_could_trip_over(milvus_programs: Path, tmp_path: Path) -> None:
    """Written as plain YAML, ` #` would begin a comment and `: ` a value."""
    home = tmp_path / 'it\'s #1: {a} "b" ü'
    (home / "services").mkdir(parents=True)
    milvus.programs_of(home).symlink_to(milvus_programs)
    try:
        found = updown.up("milvus", home, say=silent)
        assert collections(found.uri) == []
        assert (home / "services" / "milvus" / "data" / "etcd").is_dir()
    finally:
        updown.down("milvus", home)


def test_a_path_that_is_too_long_is_refused_by_name(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["d" * 200] * 18)
    with pytest.raises(StoreError, match="path is too long for a server's files: 3"):
        updown.up("milvus", deep, say=silent)
    with pytest.raises(StoreError, match="File name too long"):
        updown.up("milvus", tmp_path / ("d" * 300), say=silent)


def test_a_state_folder_that_is_not_ours_is_refused_by_name(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    theirs.chmod(0o555)
    with _nobody(), pytest.raises(StoreError, match="Permission denied") as caught:
        updown.up("milvus", theirs, say=silent)
    assert "MOX_HOME" in caught.value.mend
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="Not a directory"):
        updown.up("milvus", tmp_path / "file", say=silent)


class _nobody:  # noqa: N801  reads like a function
    """Without root's rights: for root, no folder is anybody else's."""

    def __enter__(self) -> None:
        self.before = os.geteuid()
        if self.before == 0:
            os.seteuid(65534)

    def __exit__(self, *_: object) -> None:
        os.seteuid(self.before)


def test_without_the_extra_it_says_what_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = importlib.util.find_spec("milvus")
    assert spec is not None
    assert spec.origin is not None
    packages = Path(spec.origin).parents[1]
    monkeypatch.setattr(sys, "path", [one for one in sys.path if Path(one) != packages])
    monkeypatch.delitem(sys.modules, "milvus", raising=False)
    with pytest.raises(MissingError, match="milvus is not installed") as caught:
        updown.up("milvus", tmp_path, say=silent)
    assert "milvus-server" in caught.value.mend
    assert not milvus.programs_of(tmp_path).exists()


def test_a_service_that_there_is_not_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="unknown service 'milvs', did you mean 'milvus'"):
        updown.up("milvs", tmp_path, say=silent)
    with pytest.raises(SpecError, match="unknown service"):
        updown.down("milvs", tmp_path)
