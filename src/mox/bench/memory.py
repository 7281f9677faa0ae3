"""What an index takes of a server's memory: by its formula, and as the server's process shows.

Measured is the memory of the whole process, as the kernel counts it, while a collection is loaded
and was searched, less the same after its release: what the release gave back. It is loaded and
released several times and the median taken, since the server's own heap (Go's, 80 MB, collected
when it likes) moves by some MB in between.

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
from typing import TYPE_CHECKING, Any

from mox.errors import EngineError
from mox.indexes import indexes
from mox.loadgen import memory_bytes
from mox.spec import IndexSpec, SearchSettings
from mox.types import Place

if TYPE_CHECKING:
    from mox.types import Floats

TOLERANCE = 0.15
"""How far a formula may be from what is resident, as a share of the latter."""
CYCLES = 5
SETTLES_S = 5.0
"""How long a server is left alone before its memory is looked at: its collector runs meanwhile."""
READY_WITHIN_S = 120.0
"""A server that has just started answers before it can load."""
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
    """The whole process, after the first load and its release."""

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
        place: on a server that Mox started, with no other collection loaded.
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
        held = loaded()
        full = _settled(pid)
        held.close()
        found.append((full - _settled(pid)) / MB)
    formula = formula_bytes(spec, rows, int(queries.shape[1])) / MB
    return Resident(spec.kind, rows, int(queries.shape[1]), formula, tuple(found), idle / MB)


def formula_bytes(spec: IndexSpec, rows: int, dims: int) -> int:
    """Bytes that a loaded collection takes in memory, by the formula of its index type.

    Raises:
        EngineError: its Spec has none.
    """
    made = getattr(spec, "memory_bytes", None)
    if made is None:
        raise EngineError(
            f"nothing is known of the memory that {spec.kind} takes.",
            mend="give its Spec a `memory_bytes`.",
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
    found = memory_bytes(pid)
    if found is None:
        raise EngineError(
            f"process {pid} has ended, or this system doesn't say what it holds.",
            mend="look into the server's log; memory is measured on Linux only.",
        )
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
