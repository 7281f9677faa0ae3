"""A command run to its end, with the CPU seconds and the memory of all its processes."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

SAMPLE_S = 1.0


class Ran(NamedTuple):
    """What a command took.

    `cpu_s`: user and system time of the process and of all that it started and waited for, as
    the kernel counts them (wait4). `peak_mb`: the largest sum over its processes of proportional
    set sizes (memory that n processes share counts once), sampled every second.
    """

    code: int
    cpu_s: float
    wall_s: float
    peak_mb: float
    out: str
    err: str


def run(
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str] | None = None,
    *,
    watch: Callable[[subprocess.Popen[bytes]], None] | None = None,
    timeout_s: float = 3600,
) -> Ran:
    """Run a command; what it prints goes to files in `folder`.

    Args:
        watch: called in a thread of its own while the command runs, to do it harm.
    """
    folder.mkdir(parents=True, exist_ok=True)
    out, err = folder / "out.txt", folder / "err.txt"
    began = time.perf_counter()
    with out.open("wb") as to_out, err.open("wb") as to_err:
        process = subprocess.Popen(
            list(command),
            stdout=to_out,
            stderr=to_err,
            stdin=subprocess.DEVNULL,
            env={**_ambient(), **(environment or {})},
            start_new_session=True,
        )
        peak: list[float] = [0.0]
        over = threading.Event()
        sampler = threading.Thread(target=_sample, args=(process.pid, peak, over))
        sampler.start()
        if watch is not None:
            threading.Thread(target=watch, args=(process,), daemon=True).start()
        late = threading.Timer(timeout_s, _end, [process.pid])
        late.start()
        _, status, used = os.wait4(process.pid, 0)
        late.cancel()
        over.set()
        sampler.join()
        process.returncode = os.waitstatus_to_exitcode(status)
    return Ran(
        process.returncode,
        used.ru_utime + used.ru_stime,
        time.perf_counter() - began,
        peak[0],
        out.read_text(encoding="utf-8", errors="replace"),
        err.read_text(encoding="utf-8", errors="replace"),
    )


def _ambient() -> dict[str, str]:
    """Our environment; byte code is kept, or every process of either side would compile torch."""
    return {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


def _sample(pid: int, peak: list[float], over: threading.Event) -> None:
    import psutil

    while not over.wait(SAMPLE_S):
        with suppress(psutil.Error):
            top = psutil.Process(pid)
            found = [top.pid, *(child.pid for child in top.children(recursive=True))]
            peak[0] = max(peak[0], sum(map(_shared_out, found)))


def _shared_out(pid: int) -> float:
    """Proportional set size of a process in MB; 0 where it has just ended."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return 0.0
    kilobytes = next(
        (line.split()[1] for line in text.splitlines() if line.startswith("Pss:")), "0"
    )
    return int(kilobytes) / 1024


def _end(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, 9)
