"""`kind: auto`, an index that measured curves pick: what a user writes in its place."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mox.spec import Spec


class Auto(Spec):
    """pgvector or Milvus, whichever measured curves of this host say for this size and load.

    `mox bench growth` measures them; without any the plan is refused. The plan's notes say what
    was taken and why.
    """

    kind: Literal["auto"] = "auto"
    recall: float = Field(0.95, gt=0, le=1)
    """Share of the exact neighbours that must be found."""
    p95_ms: float | None = Field(None, gt=0)
    """Latency that 95 of 100 searches must not exceed; as fast as can be where null."""
    clients: int = Field(1, ge=1, le=256)
    """Clients that ask at once: one of the numbers that were measured."""
    rows: int | None = Field(None, ge=1)
    """Vectors to decide for; those of the largest chunking where null. Write what a corpus is
    going to have, to decide for then."""
