"""What is put under load, how, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mox.errors import MoxError
from mox.spec import SearchSettings
from mox.types import Rows, Searcher, Where

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mox.types import Floats, Ints

Open = Callable[[], AbstractContextManager[Searcher]]
"""Opens a collection in whatever process calls it; has to survive pickling, as
`functools.partial(backend.open, spec, place)` does."""


@dataclass(frozen=True)
class Subject:
    """A collection under load. Cells that share one share each client's connection to it."""

    name: str
    open_: Open
    queries: Floats
    """(queries, dims) float32: what clients ask, one at a time, each in an order of its own."""
    pid: int | None = None
    """The engine's process (see `engine.find`); None where it isn't on this machine."""
    in_client: bool = False
    """Whether the engine works inside the client's process, so that they can't be told apart."""
    fresh: Rows | None = None
    """What a writer inserts over and over; needed where a cell has inserts, and then `open_`
    opens a `Writable`."""
    first_id: int = 0
    """The id of the writer's first row: past all rows that the collection was built with."""


@dataclass(frozen=True)
class Ask:
    """One way of searching."""

    k: int
    settings: SearchSettings
    where: Where | None = None


@dataclass(frozen=True)
class Cell:
    """One condition: who asks what of which collection, while what else happens."""

    name: str
    subject: Subject
    ask: Ask
    clients: int = 1
    """Processes that each wait for an answer before they ask again (closed loop)."""
    seconds: float = 5.0
    """Of each round."""
    rounds: int = 5
    inserts: float = 0.0
    """Rows a second that one more process inserts, and deletes again."""
    cold: bool = False
    """Whether every client closes and opens the collection before each round, unwarmed."""


@dataclass(frozen=True)
class Round:
    """What one round of one cell gave. n: answers; what failed is in `errors` and nowhere else."""

    qps: float
    """Answers a second: the sum over clients of each one's rate up to the end of its last search,
    answered or not."""
    wall_s: float
    latency_ms: NDArray[np.float64]
    """(n,) by client, in the order of asking."""
    query: Ints
    """(n,) which query was asked."""
    ids: Ints
    """(n, k) what was answered, padded with -1."""
    errors: Mapping[str, int]
    """What was said instead of an answer → how often."""
    client_cpu_s: float
    engine_cpu_s: float | None
    """None where the engine's process isn't known, or is the client's."""
    machine_cpu_s: float | None
    """Of all processes of the machine; None where the system doesn't say."""
    open_s: float | None = None
    """Of a cold round: the slowest client's opening."""
    first_ms: float | None = None
    """Median over the clients of each one's first answer: of a cold round the only ones that are
    cold. None where nobody had an answer."""
    inserted: int = 0
    """Rows that the writer inserted and the engine took."""
    insert_s: float = 0.0
    """The writer's own time: the round's, and what its last call took beyond it."""


@dataclass(frozen=True)
class Measured:
    """All rounds of a cell, or why there are fewer than were asked for."""

    cell: Cell
    rounds: tuple[Round, ...] = ()
    failed: MoxError | None = None

    @property
    def whole(self) -> bool:
        return self.failed is None and len(self.rounds) == self.cell.rounds

    def each(self, name: str) -> list[Any]:
        """One field of every round."""
        return [getattr(one, name) for one in self.rounds]
