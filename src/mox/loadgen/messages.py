"""What the measuring process and its clients say to each other, pickled, over a socket pair."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mox.loadgen.cells import Ask, Open
from mox.types import Rows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mox.types import Floats, Ints


@dataclass(frozen=True)
class Opening:
    """Open a collection under a name and keep it open; answered by `Ready`."""

    name: str
    open_: Open
    queries: Floats


@dataclass(frozen=True)
class Closing:
    """Close what was opened under a name; answered by `Ready`."""

    name: str


@dataclass(frozen=True)
class Searching:
    """Warm up, say `Ready`, wait for `Go`, search, and send `Answers`."""

    name: str
    ask: Ask
    warm_up: int
    seed: int


@dataclass(frozen=True)
class Writing:
    """Say `Ready`, wait for `Go`, insert and delete, and send `Wrote`."""

    name: str
    rows: Rows
    first_id: int
    rate: float


@dataclass(frozen=True)
class Go:
    """When all begin and end, by the clock that all processes of a machine share (monotonic)."""

    begin: float
    end: float


@dataclass(frozen=True)
class Ready:
    """A command is done, or whoever was told to wait now waits."""

    seconds: float = 0.0


@dataclass(frozen=True)
class Failed:
    """A command could not be done, or nothing was answered `LOST` times running."""

    message: str
    mend: str


@dataclass(frozen=True)
class Answers:
    """What one client was answered. See `Round`."""

    latency_s: NDArray[np.float64]
    query: Ints
    ids: Ints
    until_s: float
    """From its own beginning to the end of its last search, answered or not."""
    errors: Mapping[str, int]
    cpu_s: float


@dataclass(frozen=True)
class Wrote:
    """What the writer did."""

    inserted: int
    until_s: float
    """From the common beginning to the end of the round or of what it asked last, if that is
    later; without the deletion of what is left at the end."""
    cpu_s: float
