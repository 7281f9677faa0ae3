"""What an index takes of a server's memory: by its formula, and as the server's process shows.

Measured is the resident memory of the server's process, as the kernel lists it (`smaps`), without
the heap of Go: while a collection is loaded and was searched, less the same after its release. It
is loaded and released several times and the median taken. Milvus holds vectors and indexes in its
C++ part; its Go part's heap has requests and metadata, and moves by 15 MB with each load and
release (measured, 2.3.5), which hides an index of 10 MB.

That a release gives back what the collection took is for the allocator to see to. A Milvus that
Mox starts is told to (`services.milvus.server.ALLOCATOR`); of another one, the cells of an IVF
index mostly stay in the process, and what is measured here is too little.

The formula is the collection's: its index, and what the engine keeps for each row besides.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mox.errors import EngineError
from mox.indexes import indexes
from mox.spec import IndexSpec, SearchSettings
from mox.types import Place

if TYPE_CHECKING:
    from mox.types import Floats

TOLERANCE = 0.15
"""How far a formula may be from what is resident, as a share of the latter."""
CYCLES = 5
SETTLES_S = 5.0
"""How long a server is left alone before its memory is looked at."""
READY_WITHIN_S = 120.0
"""A server that has just started answers before it can load, and a busy one misses a call."""
GO_HEAP = range(0xC0_0000_0000, 0xD0_0000_0000)
"""Addresses of Go's heap on 64 bits: from a fixed one on, and allocators of C begin elsewhere."""
MB = 1e6


@dataclass(frozen=True)
class Resident:
    """What a collection holds of a server's memory, beside its formula."""

    kind: str
    rows: int
    dims: int
    formula_mb: float
    cycles_mb: tuple[float, ...]
    """What each release gave back."""
    idle_mb: float
    """All that was counted, after the first load and its release."""

    @property
    def resident_mb(self) -> float:
        return statistics.median(self.cycles_mb)

    @property
    def off(self) -> float:
        """The formula's error, as a share of what is resident."""
        return self.formula_mb / self.resident_mb - 1.0

    @property
    def holds(self) -> bool:
        return abs(self.off) <= TOLERANCE

    def document(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "rows": self.rows,
            "dims": self.dims,
            "formula_mb": self.formula_mb,
            "resident_mb": self.resident_mb,
            "cycles_mb": list(self.cycles_mb),
            "idle_mb": self.idle_mb,
            "off": self.off,
            "holds": self.holds,
        }


def resident(
    spec: IndexSpec,
    place: Place,
    queries: Floats,
    *,
    pid: int,
    rows: int,
    settings: SearchSettings | None = None,
    cycles: int = CYCLES,
) -> Resident:
    """Load and release a built collection, and see what the server's process holds of it.

    Args:
        place: on a server that Mox started after the collection was built.
        queries: (queries, dims), asked each time, so that what is mapped is also touched.
        pid: the server's process.

    Raises:
        EngineError: it is away, or can't load the collection.
    """
    asked = settings or type(spec).Search()
    backend = indexes[spec]

    def loaded() -> ExitStack:
        held = ExitStack()
        searcher = held.enter_context(backend.open(spec, place))
        searcher.search(queries, k=10, settings=asked)
        return held

    # The first load sets up much that stays: threads, pools, connections.
    _patiently(loaded).close()
    idle = _settled(pid)
    found = []
    for _ in range(cycles):
        held = _patiently(loaded)
        full = _settled(pid)
        held.close()
        found.append((full - _settled(pid)) / MB)
    formula = formula_bytes(spec, rows, int(queries.shape[1])) / MB
    return Resident(spec.kind, rows, int(queries.shape[1]), formula, tuple(found), idle / MB)


def formula_bytes(spec: IndexSpec, rows: int, dims: int) -> int:
    """Bytes that a loaded collection takes in memory, by the formula of its index type: with all
    that its engine holds beside the index where the Spec says so (`resident_bytes`), else of what
    answers.

    Raises:
        EngineError: its Spec has none.
    """
    made = getattr(spec, "resident_bytes", None) or getattr(spec, "formula_bytes", None)
    if made is None:
        raise EngineError(
            f"nothing is known of the memory that {spec.kind} takes.",
            mend="give its Spec a `formula_bytes`.",
        )
    return int(made(rows, dims))


def _patiently(load: Callable[[], ExitStack]) -> ExitStack:
    until = time.monotonic() + READY_WITHIN_S
    while True:
        try:
            return load()
        except EngineError:
            if time.monotonic() > until:
                raise
            time.sleep(1.0)


def _settled(pid: int) -> int:
    time.sleep(SETTLES_S)
    return native_bytes(Path(f"/proc/{pid}/smaps"))


def native_bytes(smaps: Path) -> int:
    """Resident bytes of a process outside Go's heap; pages that it shares count in part (PSS).

    Args:
        smaps: the kernel's list of the process' mappings.

    Raises:
        EngineError: it has ended, is another user's, or the system has no such list.
    """
    try:
        lines = smaps.read_text().splitlines()
    except OSError as error:
        raise EngineError(
            f"what {smaps} lists cannot be read ({error.strerror}): the server has ended, or"
            " this system doesn't say what it holds.",
            mend="look into the server's log; memory is measured on Linux only.",
        ) from None
    found, counts = 0, True
    for line in lines:
        first, *rest = line.split()
        if not first.endswith(":"):
            counts = int(first.partition("-")[0], 16) not in GO_HEAP
        elif first == "Pss:" and counts:
            found += int(rest[0]) * 1024
    return found


def table(found: Sequence[Resident]) -> str:
    """A line for each index type."""
    head = f"{'kind':<10} {'rows':>9} {'dims':>5} {'formula':>9} {'resident':>9} {'off':>7}"
    lines = [
        f"{one.kind:<10} {one.rows:>9,} {one.dims:>5} {one.formula_mb:>6.1f} MB"
        f" {one.resident_mb:>6.1f} MB {100 * one.off:>+6.1f} %"
        f"{'' if one.holds else '  not within 15 %'}"
        f"   [{', '.join(f'{mb:.1f}' for mb in sorted(one.cycles_mb))}]"
        for one in found
    ]
    return "\n".join([head, *lines])
