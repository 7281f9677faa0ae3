"""`mox up redis`: the state folder's Valkey as a server that stays, shared and ended whole."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from mox.cli import doctor
from mox.errors import EngineError, SpecError
from mox.services import running, updown, valkey, valkey_server
from mox.services.ports import free, is_free, listening
from mox.services.process import born, launch, working_in
from mox.settings import settings

pytestmark = pytest.mark.timeout(60)


def silent(_: str) -> None:
    pass


def mox(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mox", *words],
        capture_output=True,  # through pipes, that end only when nobody holds them any more
        text=True,
        timeout=50,
        check=False,
    )


@pytest.fixture
def root(own_state: Path) -> Iterator[Path]:
    """A state folder; whatever runs there is ended."""
    yield own_state
    updown.down("redis", own_state)
    valkey.stop(valkey.folder(own_state))


def asked(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, decode_responses=True, socket_timeout=5)


def said_of_redis() -> doctor.Check:
    return doctor._redis()


def test_from_the_command_line_it_stays_is_found_and_ends_whole(root: Path) -> None:
    done = mox("up", "redis", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    password = said["url"].removeprefix("redis://:").partition("@")[0]
    assert len(password) >= 20
    with asked(said["url"]) as client:
        client.set("kept", "yes")
        assert client.config_get("appendonly") == {"appendonly": "yes"}
    with valkey.found(settings()) as url:
        assert url == said["url"]
    shown = mox("up", "redis")
    assert password not in shown.stdout + shown.stderr + done.stderr
    assert password not in Path(f"/proc/{said['pid']}/cmdline").read_text()
    ended = mox("down", "--json")
    assert [one["pid"] for one in json.loads(ended.stdout)["ended"]] == [said["pid"]]
    assert password not in ended.stdout
    assert born(said["pid"]) is None
    assert working_in(valkey_server.folder(root)) == []
    with valkey.found(settings()) as own, asked(own) as client:
        assert own.startswith("unix://")
        assert client.get("kept") == "yes", "on demand it has the same data"


def test_nobody_else_comes_in(root: Path) -> None:
    server = updown.up("redis", root, say=silent)
    port = int(server.uri.rpartition(":")[2])
    assert {one.address for one in listening(server.pid)} == {"127.0.0.1"}
    assert server.open_ports == ()
    with asked(f"redis://127.0.0.1:{port}") as client, pytest.raises(redis.AuthenticationError):
        client.ping()
    for name in ("services/redis.json", "services/valkey/opening.conf"):
        assert (root / name).stat().st_mode & 0o077 == 0, name


def test_killed_it_is_missed_by_name_and_comes_back_where_it_was(root: Path) -> None:
    before = updown.up("redis", root, say=silent)
    with asked(before.uri) as client:
        client.set("kept", "yes")
        client.execute_command("WAITAOF", 1, 0, 2000)  # on the disk
    assert updown.up("redis", root, say=silent) == running.recorded(root, "redis") == before
    os.kill(before.pid, signal.SIGKILL)
    while before.alive:
        time.sleep(0.01)
    for using in (lambda: valkey.check(settings()), lambda: next(valkey.found(settings()).gen)):
        with pytest.raises(EngineError, match="`mox up redis` started redis here, at"):
            using()
    assert said_of_redis().state == "broken"
    with (
        pytest.raises(EngineError, match="is that of `mox up redis`"),
        valkey.serving(valkey.folder(root)),
    ):
        pass
    after = updown.up("redis", root, say=silent)
    assert (after.uri, after.pid != before.pid) == (before.uri, True)
    with asked(after.uri) as client:
        assert client.get("kept") == "yes"


def test_it_takes_the_place_of_the_one_on_demand_and_of_none_that_is_used(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with valkey.serving(valkey.folder(root)) as url, asked(url) as client:
        client.set("kept", "yes")
        monkeypatch.setattr(valkey_server, "PATIENCE_S", 0.2)
        with pytest.raises(EngineError, match="processes use the embedded Valkey"):
            updown.up("redis", root, say=silent)
        assert client.ping()
    monkeypatch.undo()
    server = updown.up("redis", root, say=silent)  # that one waits for its next user
    with asked(server.uri) as client:
        assert client.get("kept") == "yes"
    assert len(working_in(valkey_server.folder(root))) == 1


def test_one_that_nobody_recorded_is_ended_and_never_two_are_on_one_file(root: Path) -> None:
    first = updown.up("redis", root, say=silent)
    assert valkey.running(valkey.folder(root)) is not None, "it holds the lock of its data"
    running.forget(root, "redis")  # its starter was killed just before it wrote
    second = updown.up("redis", root, say=silent)
    assert born(first.pid) is None
    assert working_in(valkey_server.folder(root)) == [second.pid]


def test_a_taken_port_is_refused_and_its_last_one_left_where_it_is_taken(root: Path) -> None:
    [port] = free([0])
    first = updown.up("redis", root, port=port, say=silent)
    assert first.uri.endswith(f"@127.0.0.1:{port}")
    with pytest.raises(SpecError, match="runs already") as refused:
        updown.up("redis", root, port=port + 1, say=silent)
    assert first.uri not in str(refused.value), "it has its password in it"
    updown.down("redis", root)
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    other = launch(command, cwd=root, env=os.environ, log=root / "log")
    try:
        while is_free(port):
            time.sleep(0.02)
        with pytest.raises(SpecError, match=f"port {port} is taken"):
            updown.up("redis", root, port=port, say=silent)
        assert updown.up("redis", root, say=silent).uri.rpartition(":")[2] != str(port)
    finally:
        os.killpg(other, signal.SIGKILL)
        os.waitpid(other, 0)


def test_what_it_can_not_read_is_said_in_its_own_words_and_nothing_is_left(root: Path) -> None:
    updown.up("redis", root, say=silent)
    updown.down("redis", root)
    for path in valkey_server.folder(root).rglob("*.manifest"):
        path.write_text("nonsense\n")
    with pytest.raises(EngineError, match=r"redis ended at its start \(.*manifest"):
        updown.up("redis", root, say=silent)
    assert running.recorded(root, "redis") is None
    assert working_in(valkey_server.folder(root)) == []


def test_doctor_says_which_redis_is_used_and_whether_it_answers(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert said_of_redis().said.startswith("none is shared (MOX_REDIS_URL is not set")
    server = updown.up("redis", root, say=silent)
    check = said_of_redis()
    assert check.state == "ok"
    assert f"started by `mox up redis` (process {server.pid}" in check.said
    assert server.uri not in check.said
    monkeypatch.setenv("MOX_REDIS_URL", server.uri.replace("127.0.0.1", "localhost"))
    assert "started by `mox up redis`" in said_of_redis().said
    monkeypatch.setenv("MOX_REDIS_URL", "redis://:secret@127.0.0.1:1")
    assert said_of_redis().state == "broken"
    assert "redis://127.0.0.1:1" in said_of_redis().said


def test_one_that_runs_is_given_where_nothing_can_be_written(root: Path) -> None:
    """Files of no byte are as a full disk has them."""
    first = updown.up("redis", root, say=silent)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        assert updown.up("redis", root, say=silent) == first
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_two_starts_at_once_are_one_server(root: Path) -> None:
    found: list[running.Server] = []
    many = [
        threading.Thread(target=lambda: found.append(updown.up("redis", root, say=silent)))
        for _ in range(3)
    ]
    for each in many:
        each.start()
    for each in many:
        each.join()
    assert len({each.pid for each in found}) == 1
