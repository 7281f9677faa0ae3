"""Rounds of load on providers, interleaved over everything that is compared, and resumed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mox.bench.providers.client.jobs import Cell
from mox.bench.providers.client.selfcheck import SelfCheck
from mox.bench.providers.record import Record
from mox.errors import MoxError

Judge = Callable[[Cell, Record, str], Record]
"""Given a record and its answer's text, the record with what only the text tells (`quality`,
`usd`). Called in the measuring process while others stream: milliseconds at most."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One round of one cell: what was measured, or why it was not."""

    cell: Cell
    round: int
    records: tuple[Record, ...] = ()
    """Without those of the warm-up. Of a round that failed, those that came before."""
    check: SelfCheck | None = None
    """None where it failed."""
    failed: MoxError | None = None
    resumed: bool = False
    """Whether it stood in the file already."""


def _still() -> None:
    """Nobody watches."""


def measure(
    cells: Sequence[Cell],
    *,
    out: Path,
    rounds: int = 3,
    seed: int = 0,
    tick: Callable[[], None] = _still,
    judge: Judge | None = None,
) -> Iterator[Turn]:
    """Put each cell under load for its rounds, in an order drawn anew for each round.

    Every record is written to `out` as soon as it is there; a round that stands there whole isn't
    measured again. A cell that fails doesn't stop the others: its later rounds are left out. No
    process is left at the end, whatever happens.

    Args:
        out: JSON lines (`mox.bench.providers.client.records`); made where it isn't there.
        seed: of the order, and of the schedules.
        tick: called at least every half second of waiting.

    Raises:
        SpecError: two cells of one name, or one that asks for nothing.
        StoreError: `out` can't be written, or is no such file.
    """
    raise NotImplementedError
