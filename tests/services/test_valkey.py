"""The embedded Valkey: one server a folder, which ends when its last user left or died."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import redis

from mox.errors import EngineError
from mox.services import valkey
from mox.settings import settings

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A server's folder; whatever runs there is ended."""
    yield tmp_path / "valkey"
    valkey.stop(tmp_path / "valkey")


def until(done: Callable[[], object], what: str, limit_s: float = 20) -> None:
    end = time.monotonic() + limit_s
    while not done():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def asked(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, decode_responses=True)


USER = """
import sys
from mox.services.valkey import serving
from pathlib import Path
with serving(Path(sys.argv[1])) as url:
    print(url, flush=True)
    sys.stdin.read()
"""


def user(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", USER, folder],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_processes_share_one_server_that_is_closed_to_others(folder: Path) -> None:
    users = [user(folder) for _ in range(2)]
    urls = {each.stdout.readline().strip() for each in users if each.stdout}
    (url,) = urls
    with asked(url) as client:
        info = client.info("server")
        assert info["tcp_port"] == 0
        assert client.config_get("appendonly") == {"appendonly": "yes"}
        assert Path(url.removeprefix("unix://")).parent.stat().st_mode & 0o077 == 0
        server = psutil.Process(info["process_id"])
    assert os.getpgid(server.pid) != os.getpgid(0)
    assert all(Path(f"/proc/{server.pid}/fd/{fd}").readlink() == folder / "log" for fd in (1, 2))
    for each in users:
        each.communicate("", timeout=20)


def test_it_ends_after_its_last_user_was_killed_and_keeps_what_was_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(valkey, "IDLE_S", 0.5)
    with valkey.serving(folder) as url:
        other = user(folder)
        assert other.stdout
        assert other.stdout.readline().strip() == url
        with asked(url) as client:
            client.set("kept", "yes")
    time.sleep(1.5)  # the keeper looks twice a second
    assert valkey.running(folder), "the other one still uses it"
    other.kill()
    other.communicate()
    until(lambda: valkey.running(folder) is None, "nobody uses it")
    with valkey.serving(folder) as url, asked(url) as client:
        assert client.get("kept") == "yes"


def test_killed_with_its_keeper_or_alone_it_is_started_again(folder: Path) -> None:
    for victim in ("keeper", "server"):
        with valkey.serving(folder) as url, asked(url) as client:
            server, keeper = client.info("server")["process_id"], valkey.running(folder)
            assert keeper
            os.kill(keeper if victim == "keeper" else server, signal.SIGKILL)
            until(lambda pid=server: not psutil.pid_exists(pid), "it ends with its keeper")
        with valkey.serving(folder) as url, asked(url) as client:
            assert client.ping()


def test_a_setting_wins_and_without_one_the_state_folder_has_it(
    own_state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with valkey.found(settings()) as url, asked(url) as client:
        assert client.ping()
        assert (own_state / "services" / "valkey" / "data").is_dir()
    valkey.stop(own_state / "services" / "valkey")
    monkeypatch.setenv("MOX_REDIS_URL", "redis://10.0.0.1:1/3")
    with valkey.found(settings()) as url:
        assert url == "redis://10.0.0.1:1/3"


def test_data_that_can_not_be_read_is_said_with_the_servers_own_words(folder: Path) -> None:
    with valkey.serving(folder) as url, asked(url) as client:
        client.set("kept", "yes")
    valkey.stop(folder)
    for path in (folder / "data").rglob("*.manifest"):
        path.write_text("nonsense\n")
    with pytest.raises(EngineError, match=r"does not start .*manifest"), valkey.serving(folder):
        pass
