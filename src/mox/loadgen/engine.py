"""The engine's processes as the kernel counts them: their CPU time and their memory (Linux).

Elsewhere nothing is known of them, and nothing is said: None, never 0.
"""

from __future__ import annotations

import os
import platform
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from mox.services.ports import sockets

PROC = Path("/proc")
SETTLED = 0.01
"""Two readings of memory this near, `PAUSE_S` apart, are one."""
PAUSE_S = 0.5
PATIENCE_S = 15.0
"""An engine may give memory back in the background; longer isn't waited for."""
POSTGRES_PORT = 5432
"""Where a URI names none."""


def cores() -> int:
    """Cores that this process may use: what clients and an engine beside them share."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def host() -> dict[str, str]:
    """What a latency depends on and doesn't travel from: the processor's model, and cores."""
    model = platform.processor() or platform.machine()
    cpuinfo = PROC / "cpuinfo"
    if cpuinfo.exists():
        named = (line for line in cpuinfo.read_text().splitlines() if line.startswith("model name"))
        model = next(named, f":{model}").partition(":")[2].strip()
    return {"cpu": model, "cores": str(cores())}


def find(address: str) -> int | None:
    """The process that listens where a URI says; None where it isn't on this machine, isn't
    ours to look at, or the system doesn't tell.

    Args:
        address: `http://HOST:PORT`, `postgresql://…@HOST:PORT/…`, or PostgreSQL's with a
            socket's folder as `?host=`.
    """
    inodes = _listening(address)
    holders = {pid for pid in _pids() if inodes & sockets(pid)} if inodes else set()
    # A server's children inherit its socket: the one whose parent hasn't got it is the server.
    eldest = [pid for pid in holders if _parent(pid) not in holders]
    return min(eldest, default=None)


def _listening(address: str) -> set[int]:
    """Inodes of the sockets on which something listens at an address of this machine."""
    parts = urlsplit(address)
    folder = parse_qs(parts.query).get("host", [""])[0] or unquote(parts.hostname or "")
    if parts.scheme == "unix" or folder.startswith("/"):
        at = unquote(parts.path) if parts.scheme == "unix" else _postgres_socket(folder, address)
        lines = (PROC / "net/unix").read_text().splitlines()[1:] if PROC.exists() else []
        rows = [line.split(maxsplit=7) for line in lines]  # a path may hold spaces
        return {int(row[6]) for row in rows if len(row) > 7 and row[7] == at}
    if parts.port is None or not _is_here(parts.hostname or "localhost"):
        return set()
    found = set()
    for name in ("net/tcp", "net/tcp6"):
        table = PROC / name
        for line in table.read_text().splitlines()[1:] if table.exists() else ():
            row = line.split()
            if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == parts.port:
                found.add(int(row[9]))
    return found


def _postgres_socket(folder: str, address: str) -> str:
    """The socket's path: several servers may share a folder, each by a port of its own."""
    parts = urlsplit(address)
    port = parse_qs(parts.query).get("port", [""])[0] or parts.port or POSTGRES_PORT
    return f"{folder.rstrip('/')}/.s.PGSQL.{port}"


def _is_here(name: str) -> bool:
    try:
        return all(
            where[0] == "::1" or str(where[0]).startswith("127.")
            for *_, where in socket.getaddrinfo(name, None)
        )
    except OSError:
        return False


def _pids() -> Iterator[int]:
    for path in PROC.glob("[0-9]*"):
        yield int(path.name)


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the third on (a name may hold spaces); empty where it ended."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _parent(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[1]) if fields else 0


def processes(pid: int) -> list[int]:
    """A server's process, its children and theirs, and its process group.

    Of this very process only itself: its children are the clients, and its group is not its own.
    """
    if pid == os.getpid():
        return [pid]
    stats = {one: fields for one in _pids() if (fields := _stat(one))}
    found = {pid} & set(stats)
    group = stats[pid][2] if pid in stats else ""
    if group and int(group) != os.getpgrp():
        found |= {one for one, fields in stats.items() if fields[2] == group}
    while True:
        more = {one for one, fields in stats.items() if int(fields[1]) in found} - found
        if not more:
            return sorted(found - {os.getpid()})
        found |= more


def cpu_s(pid: int | None) -> float | None:
    """CPU seconds of a server's processes so far, in ticks of some 10 ms.

    Children that ended and were waited for count in their parents' time.
    """
    if pid is None or not _stat(pid):
        return None
    ticks = sum(
        int(value) for one in processes(pid) if (fields := _stat(one)) for value in fields[11:15]
    )
    return ticks / os.sysconf("SC_CLK_TCK")


def machine_cpu_s() -> float | None:
    """CPU seconds of all that runs on this machine so far, stolen ones included."""
    table = PROC / "stat"
    if not table.exists():
        return None
    # user nice system idle iowait irq softirq steal; guests stand within user already.
    ticks = [int(word) for word in table.read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


def memory_bytes(pid: int | None) -> int | None:
    """Resident bytes of a server's processes; pages that they share count once (PSS)."""
    if pid is None or not _stat(pid):
        return None
    return sum(_resident(one) for one in processes(pid))


def _resident(pid: int) -> int:
    try:
        rollup = (PROC / str(pid) / "smaps_rollup").read_text()
        line = next(line for line in rollup.splitlines() if line.startswith("Pss:"))
        return int(line.split()[1]) * 1024
    except (OSError, StopIteration):
        pass  # another user's, or a kernel without it
    try:
        pages = int((PROC / str(pid) / "statm").read_text().split()[1])
    except OSError:
        return 0  # it ended meanwhile
    return pages * os.sysconf("SC_PAGE_SIZE")


def resident_bytes(pid: int | None, load: Callable[[], Callable[[], None]]) -> int | None:
    """What an engine holds for a collection: memory after it is loaded, less after its release.

    None where that drowns in what the engine's memory moves by itself (`SETTLED`), or nothing is
    known of the engine's process.

    Args:
        load: loads it, touches it, and returns what releases it again.
    """
    release = load()
    loaded = _settled(pid)
    release()
    released = _settled(pid)
    if loaded is None or released is None or loaded - released < SETTLED * loaded:
        return None
    return loaded - released


def _settled(pid: int | None) -> int | None:
    """Memory once it no longer moves."""
    until = time.monotonic() + PATIENCE_S
    last = memory_bytes(pid)
    while last is not None and time.monotonic() < until:
        time.sleep(PAUSE_S)
        now = memory_bytes(pid)
        if now is None or abs(now - last) <= SETTLED * last:
            return now
        last = now
    return last
