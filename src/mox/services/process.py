"""Processes that outlive who started them: told apart from later ones of the same number.

A process number is used again, so each is named by its number and by when it began.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

POLL_S = 0.05


def born(pid: int) -> str | None:
    """When a process began, told apart from any other of its number; None where none lives.

    A process that has ended and whose parent hasn't asked yet (a zombie) lives no more.
    """
    if sys.platform != "linux":
        return _born_elsewhere(pid)
    try:
        said = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name in brackets may hold anything; after it: state, parent, …, start in clock ticks.
    fields = said.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else f"{boot}/{fields[19]}"


def _born_elsewhere(pid: int) -> str | None:
    done = subprocess.run(  # noqa: S603  our own words
        ["/bin/ps", "-o", "stat=,lstart=", "-p", str(pid)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    state, _, since = done.stdout.strip().partition(" ")
    return since.strip() if since and not state.startswith("Z") else None


def launch(
    command: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    log: Path,
    keep: Sequence[int] = (),
) -> int:
    """Start a process in a session and group of its own; its number, which is the group's too.

    It inherits no pipe of ours and goes on when we end: what it prints is appended to `log`.

    Args:
        keep: descriptors that it inherits: of locks that are its own from now on.
    """
    with log.open("ab") as out:
        process = subprocess.Popen(  # noqa: S603  a binary that Mox unpacked or was installed
            list(command),
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            pass_fds=keep,
        )
    pid = process.pid
    with warnings.catch_warnings():
        # It is meant to outlive its `Popen`; Python warns of that, and reaps it later all the same.
        warnings.simplefilter("ignore", ResourceWarning)
        del process
    return pid


def end_group(pid: int, *, patience_s: float) -> None:
    """End a process and all of its group: asked first, killed when patience ends; 0 has none.

    Raises:
        PermissionError: it is another user's.
    """
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGTERM if patience_s > 0 else signal.SIGKILL)
    until = time.monotonic() + patience_s
    while _group_lives(pid):
        if time.monotonic() > until:
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        time.sleep(POLL_S)


def _group_lives(pid: int) -> bool:
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # ours, where this process started it: a zombie stays else
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    if sys.platform == "linux":
        return any(_group(other) == pid for other in _processes())
    return True


def working_in(folder: Path) -> list[int]:
    """Processes of ours whose working folder it is (Linux; empty elsewhere)."""
    found = []
    for pid in _processes():
        with suppress(OSError):
            if os.path.samefile(f"/proc/{pid}/cwd", folder) and born(pid):  # noqa: PTH121
                found.append(pid)
    return found


def program(pid: int) -> str:
    """The path that a process was started by; empty where the system doesn't say."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").partition("\0")[0]
    except OSError:
        return ""


def _processes() -> Iterator[int]:
    if sys.platform == "linux":
        yield from (int(name) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208


def _group(pid: int) -> int | None:
    """The group of a process that lives; None of a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[2])
