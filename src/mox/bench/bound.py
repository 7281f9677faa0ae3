"""What a store is held to."""

from __future__ import annotations

from dataclasses import dataclass

from mox.errors import SpecError


@dataclass(frozen=True)
class Bound:
    """What a user can't do without, under what load."""

    recall: float
    """Share of the exact neighbours that must be found."""
    clients: int = 1
    """Clients that ask at once."""
    p95_ms: float | None = None
    """Latency that 95 of 100 searches must not exceed; None: as fast as can be."""

    def __post_init__(self) -> None:
        """Refuse what no curve can be held to.

        Raises:
            SpecError: a recall that isn't over 0 and up to 1, a latency of 0 or less, no client.
        """
        if not 0 < self.recall <= 1:
            raise SpecError(
                f"a bound of recall {self.recall:g}.", mend="name a share over 0, up to 1: 0.95."
            )
        if self.p95_ms is not None and not self.p95_ms > 0:
            raise SpecError(
                f"a bound of p95 {self.p95_ms:g} ms.",
                mend="name milliseconds over 0, or none: as fast as can be.",
            )
        if self.clients < 1:
            raise SpecError(f"a bound for {self.clients} clients.", mend="name 1 or more.")

    def __str__(self) -> str:
        latency = f"p95 ≤ {self.p95_ms:g} ms and " if self.p95_ms is not None else ""
        asked = "1 client" if self.clients == 1 else f"{self.clients} clients"
        return f"{latency}recall ≥ {self.recall:g} with {asked}"
