"""What the stores' benchmarks share: vectors, servers, ratios with their intervals, the header."""

from __future__ import annotations

import math
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

DIMS = 384
TOPICS = 200
NOISE = 1.2
"""Length of what is added to a topic of length 1: a graph then has something to miss."""


class Ratio(NamedTuple):
    """Ours over theirs: the geometric mean of paired rounds, with its 95 % interval."""

    mean: float
    low: float
    high: float
    rounds: int

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Ratio:
    """Ours over theirs, round by round: Student's interval of the logarithms' mean.

    A round holds both, one right after the other, so what slows the machine slows both.
    """
    import numpy as np
    from scipy.stats import t

    logs = np.log(np.asarray(ours) / np.asarray(theirs))
    mean = float(logs.mean())
    if len(logs) < 2:
        return Ratio(math.exp(mean), 0.0, math.inf, len(logs))
    half = float(t.ppf(0.975, len(logs) - 1) * logs.std(ddof=1) / len(logs) ** 0.5)
    return Ratio(math.exp(mean), math.exp(mean - half), math.exp(mean + half), len(logs))


def spread(values: Sequence[float], digits: int = 0) -> str:
    """Median, and the range of all rounds."""
    import numpy as np

    low, middle, high = min(values), float(np.median(values)), max(values)
    return f"{middle:,.{digits}f} ({low:,.{digits}f}–{high:,.{digits}f})"


def verdict(reached: bool) -> str:
    return "reached" if reached else "MISSED"


def made(rows: int, queries: int, *, seed: int = 0, dims: int = DIMS) -> tuple[Floats, Floats]:
    """(rows, dims) and (queries, dims) unit vectors around the same topics."""
    import numpy as np

    draw = np.random.default_rng(seed)
    topics = draw.normal(size=(TOPICS, dims)).astype(np.float32)
    topics /= np.linalg.norm(topics, axis=1, keepdims=True)

    def around(count: int) -> Floats:
        found = draw.normal(size=(count, dims)).astype(np.float32)
        found *= NOISE / np.linalg.norm(found, axis=1, keepdims=True)
        found += topics[draw.integers(0, TOPICS, count)]
        found /= np.linalg.norm(found, axis=1, keepdims=True)
        return found

    return around(rows), around(queries)


def head(title: str, *packages: str, **more: str) -> None:
    """Print what a figure depends on, before anything is measured."""
    named = {name: metadata.version(name) for name in packages} | more
    versions = ", ".join(f"{name} {version}" for name, version in named.items())
    print(f"{title}\n  Python {platform.python_version()}, {versions}")
    load("at the start")


def load(when: str) -> None:
    """Print what else the machine does."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    model = next(names, platform.machine())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(f"  load {os.getloadavg()[0]:.2f} on {cores} cores ({model}) {when}", flush=True)


def table(rows: Sequence[Sequence[str]], heads: Sequence[str]) -> None:
    """A plain table, its first column to the left and the others to the right."""
    every = [list(heads), *map(list, rows)]
    widths = [max(len(row[at]) for row in every) for at in range(len(heads))]
    for row in every:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        print("  ".join(cells).rstrip())
    sys.stdout.flush()


def say(text: str) -> None:
    """Progress, on standard error."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def milvus(root: Path, uri: str | None) -> Iterator[str]:
    """The URI of a Milvus server: the one given, or one that is started, and ended again.

    Args:
        root: the state folder to start it in.
    """
    if uri is not None:
        yield uri
        return
    from mox.services.updown import down, up

    server = up("milvus", root, say=say)
    try:
        yield server.uri
    finally:
        down("milvus", root)
