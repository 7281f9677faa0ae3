"""Runs one PostgreSQL as its child, and ends it when nobody uses it any more.

A script of its own, run by its path: it imports nothing but the standard library, so that what
stays beside the server is small. What `postgres.py` asks of it:

- The parent returns as soon as the server answers, or says why it doesn't; what stays is in a
  session of its own and holds none of the caller's pipes.
- Users hold a shared lock on `users.lock`, which the kernel frees when they die, however they
  die. Once nobody holds it for a while, the server is ended.
- The server holds a lock on `server.lock` as long as any of its processes lives, by a
  descriptor that they inherit: who gets it may clean up after a server that was killed. The
  keeper alone holds one on `keeper.lock`.
- The kernel ends the server with its keeper (Linux), so that none is left alone.
- PostgreSQL refuses to run as root. Root's server runs as `nobody`, with the one capability
  that lets it into a folder of root's; no folder's owner or mode is changed, no user is made.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

POLL_S = 0.5
STARTS_WITHIN_S = 60.0
STOPS_WITHIN_S = 30.0
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
_KEEPCAPS, _PDEATHSIG, _AMBIENT, _RAISE, _DAC_OVERRIDE = 8, 1, 47, 2, 1  # linux/prctl.h
_CAPABILITY_V3 = 0x20080522


class FailedError(Exception):
    """The server did not start; its text says why."""


def main(folder: Path, binaries: Path, sockets: Path, idle_s: float) -> int:
    """Start a keeper and return when its server answers (0) or can't (1, said on stdout)."""
    reading, writing = os.pipe()
    if os.fork():
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            said = pipe.read().decode(errors="replace")
        sys.stdout.write(said)
        return 0 if said == "ready" else 1
    os.close(reading)
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    try:
        lock = _locked(folder)
        server = _start(folder, binaries, sockets, lock)
    except (FailedError, OSError, subprocess.SubprocessError) as error:
        os.write(writing, str(error).encode())
        os._exit(1)
    os.write(writing, b"ready")
    os.close(writing)
    there = _keep(folder, server, idle_s)
    os.truncate(lock, 0)  # so that nobody mistakes a later process for this one
    # A short one is this server's alone, unless its folder is gone: then a new one may have it.
    if there and sockets.parent != folder:
        shutil.rmtree(sockets, ignore_errors=True)
    os._exit(0)


def _locked(folder: Path) -> int:
    """The server's lock, once no process of an earlier server lives."""
    lock = os.open(folder / "server.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    until = time.monotonic() + STOPS_WITHIN_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise FailedError("an earlier server's processes do not end") from None
            time.sleep(0.05)
        else:
            os.truncate(lock, 0)
            os.write(lock, str(os.getpid()).encode())
            # Not inherited, and never closed: a server without it has lost its keeper, and ends.
            own = os.open(folder / "keeper.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(own, fcntl.LOCK_EX)
            return lock


def _start(folder: Path, binaries: Path, sockets: Path, lock: int) -> subprocess.Popen[bytes]:
    data, log = folder / "data", folder / "log"
    with log.open("wb") as stream:
        if not data.exists():
            part = folder / "data.part"
            shutil.rmtree(part, ignore_errors=True)  # of an initdb that was killed
            _run([str(binaries / "initdb"), *INITDB, f"--pgdata={part}"])
            part.rename(data)
        # Nobody lives who could own these: the lock is ours.
        for left in (data / "postmaster.pid", *sockets.glob(".s.PGSQL.*")):
            left.unlink(missing_ok=True)
        command = [str(binaries / "postgres"), "-D", str(data), "-k", str(sockets)]
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
    return server


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
    system = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() == 0:
        _unroot(system)
    if system.prctl(_PDEATHSIG, signal.SIGINT) != 0:  # SIGINT is its fast shutdown
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")


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


def _keep(folder: Path, server: subprocess.Popen[bytes], idle_s: float) -> bool:
    """Until the server ends, nobody has used it for a while, or its folder is gone; whether that
    is there still."""
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))
    path = folder / "users.lock"
    users = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    segment = _segment(folder)
    while server.poll() is None:
        if _gone(path, users):
            _kill(server, segment)
        if asked:
            break
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass  # somebody is there
        else:
            if time.time() - os.fstat(users).st_mtime > idle_s:
                break  # and who comes now waits for the lock until this server is ended
            fcntl.flock(users, fcntl.LOCK_UN)
        time.sleep(POLL_S)
    if server.poll() is None:
        server.send_signal(signal.SIGINT)
        try:
            server.wait(STOPS_WITHIN_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
    return not _gone(path, users)


def _segment(folder: Path) -> int:
    """The number of a server's segment of shared memory: what a killed one leaves behind."""
    return int((folder / "data" / "postmaster.pid").read_text().splitlines()[6].split()[1])


def _kill(server: subprocess.Popen[bytes], segment: int) -> None:
    """End a server whose folder is gone, at once: in ending by itself it would remove its
    socket by its path, which may be a new server's by now."""
    server.kill()
    server.wait()
    ctypes.CDLL(None).shmctl(segment, 0, None)  # 0 is IPC_RMID


def _gone(path: Path, handle: int) -> bool:
    try:
        return not os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return True


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), float(sys.argv[4])))
