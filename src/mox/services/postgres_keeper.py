"""What `keeper` runs for the embedded PostgreSQL.

PostgreSQL refuses to run as root. Root's server runs as `nobody`, with the one capability that
lets it into a folder of root's; no folder's owner or mode is changed, no user is made.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from mox.services import keeper
from mox.services.keeper import STARTS_WITHIN_S, FailedError

INITDB = (
    "--username=postgres",
    "--auth=trust",
    "--encoding=UTF8",
    "--no-locale",
    "--locale-provider=builtin",  # so that lower case is known beyond ASCII, as full text needs
    "--builtin-locale=C.UTF-8",
)
"""Trust, since only who may enter the socket's folder can ask at all."""
SETTINGS = {
    "listen_addresses": "",
    "max_connections": "200",
    # A table that is filled in the transaction that makes it needs no log: it is synced whole.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "jit": "off",
    "log_checkpoints": "off",
}
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  the system's own
ROOMY = 1 << 30
_KEEPCAPS, _AMBIENT, _RAISE, _DAC_OVERRIDE = 8, 47, 2, 1  # linux/prctl.h
_CAPABILITY_V3 = 0x20080522


def main(folder: str, sockets: str, binaries: str, idle_s: str) -> int:
    """See `keeper.main`."""
    return keeper.main(Postgres(Path(folder), Path(binaries), Path(sockets)), float(idle_s))


class Postgres:
    """One server."""

    ENDS = signal.SIGINT  # its fast shutdown

    def __init__(self, folder: Path, binaries: Path, sockets: Path) -> None:
        self.folder, self.binaries, self.sockets = folder, binaries, sockets
        self._data = folder / "data"
        self._segment = 0

    def start(self, lock: int) -> subprocess.Popen[bytes]:
        """See `keeper.Program`."""
        data, log = self._data, self.folder / "log"
        with log.open("wb") as stream:
            if not data.exists():
                part = self.folder / "data.part"
                shutil.rmtree(part, ignore_errors=True)  # of an initdb that was killed
                _run([str(self.binaries / "initdb"), *INITDB, f"--pgdata={part}"])
                part.rename(data)
            # Nobody lives who could own these: the lock is ours.
            for left in (data / "postmaster.pid", *self.sockets.glob(".s.PGSQL.*")):
                left.unlink(missing_ok=True)
            command = [str(self.binaries / "postgres"), "-D", str(data), "-k", str(self.sockets)]
            for name, value in {**SETTINGS, **_of_this_machine()}.items():
                command += ["-c", f"{name}={value}"]
            server = subprocess.Popen(  # noqa: S603  the wheel's own binary
                command, cwd="/", stdout=stream, stderr=stream, env=_environment(),
                pass_fds=(lock,), preexec_fn=_become,
            )  # fmt: skip
        until = time.monotonic() + STARTS_WITHIN_S
        while not _ready(data, server.pid):
            if server.poll() is not None:
                raise FailedError(last_words(log))
            if time.monotonic() > until:
                server.kill()
                raise FailedError(f"it was not ready after {STARTS_WITHIN_S:.0f} s")
            time.sleep(0.02)
        # The number of its segment of shared memory: what a killed one leaves behind.
        lines = (data / "postmaster.pid").read_text().splitlines()
        self._segment = int(lines[6].split()[1])
        return server

    def kill(self, server: subprocess.Popen[bytes]) -> None:
        """See `keeper.Program`: in ending by itself it would remove its socket by its path,
        which may be a new server's by now."""
        server.kill()
        server.wait()
        ctypes.CDLL(None).shmctl(self._segment, 0, None)  # 0 is IPC_RMID


def _of_this_machine() -> dict[str, str]:
    """An eighth of its memory for pages, and where the workers of one build share theirs.

    Pages take no memory until they are used. /dev/shm is 64 MB in many containers, where a build
    in parallel would fail; in a file it is slower and has room.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    buffers = min(max(memory // 8, 128 << 20), ROOMY)
    roomy = SHARED_MEMORY.exists() and shutil.disk_usage(SHARED_MEMORY).free > ROOMY
    return {
        "shared_buffers": f"{buffers >> 20}MB",
        "dynamic_shared_memory_type": "posix" if roomy else "mmap",
    }


def _run(command: list[str]) -> None:
    done = subprocess.run(  # noqa: S603  the wheel's own binary
        command, cwd="/", capture_output=True, env=_environment(), preexec_fn=_become, check=False
    )
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip().splitlines()
        raise FailedError(f"initdb: {words[-1] if words else done.returncode}")


def _environment() -> dict[str, str]:
    """Nothing of the caller's: PGDATA, PGOPTIONS and their like would reach the server."""
    return {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"}


def _become() -> None:
    """In the child, before it becomes PostgreSQL: no root, and no life without its keeper."""
    if sys.platform != "linux":
        return
    if os.geteuid() == 0:
        _unroot(ctypes.CDLL(None, use_errno=True))
    keeper.die_with_keeper(Postgres.ENDS)


def _unroot(system: ctypes.CDLL) -> None:
    user = pwd.getpwnam("nobody")
    system.prctl(_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
    os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_V3, 0)
    bit = 1 << _DAC_OVERRIDE
    sets = (ctypes.c_uint32 * 6)(bit, bit, bit)  # effective, permitted, inheritable
    if system.capset(header, sets) or system.prctl(_AMBIENT, _RAISE, _DAC_OVERRIDE, 0, 0):
        raise OSError(ctypes.get_errno(), "root's CAP_DAC_OVERRIDE can't be passed on")


def _ready(data: Path, pid: int) -> bool:
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return False
    return len(lines) >= 8 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"


def last_words(log: Path) -> str:
    """The last lines of a log, without their times: the first of them says what was wrong."""
    lines = log.read_text(errors="replace").strip().splitlines()
    words = [line.partition("] ")[2] or line for line in lines[-3:]]
    return "; ".join(" ".join(word.split()) for word in words) or "it said nothing"
