"""One measured request, as it is kept: raw moments, from which every figure is made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from mox.types.providers import ErrorKind, Finish, Usage

Kind = Literal["closed", "constant", "poisson"]


@dataclass(frozen=True, slots=True)
class Load:
    """How requests arrive.

    `closed`: `value` callers, each asks again when it has its answer. `constant` and `poisson`:
    `value` requests a second, whatever the answers do.
    """

    kind: Kind
    value: float


@dataclass(frozen=True, slots=True)
class Chunk:
    """One event with output in it."""

    at_ns: int
    """When its bytes arrived."""
    characters: int
    kind: Literal["text", "reasoning"] = "text"


@dataclass(frozen=True, slots=True)
class Record:
    """What came of one request. All moments are `time.perf_counter_ns` of one process."""

    provider: str
    model: str
    workload: str
    load: Load
    round: int
    number: int
    """Of the request within its round: with provider, workload, load and round, its name."""
    scheduled_ns: int
    """When it was meant to start. In a closed loop, when its caller was free."""
    leased_ns: int | None = None
    """When the pool let it go; None without a pool."""
    sent_ns: int | None = None
    """When its bytes were handed to the socket; None if they never were."""
    headers_ns: int | None = None
    chunks: tuple[Chunk, ...] = ()
    done_ns: int | None = None
    """When its answer was whole, refused or given up; None of what was never sent."""
    error: ErrorKind | None = None
    said: str | None = None
    """The error's message, scrubbed."""
    billable: bool | None = None
    """Whether it may be billed though nobody counted; None where `error` tells
    (`mox.providers.charging`)."""
    finish: Finish | None = None
    usage: Usage = field(default_factory=Usage)
    request_id: str | None = None
    attempts: int = 1
    retried: tuple[ErrorKind, ...] = ()
    """Why the attempts before the last one were refused. What may be billed isn't tried again."""
    pool_wait_ns: int | None = None
    """For the pool's leave, of all attempts; None without a pool."""
    account: str | None = None
    reused: bool = False
    """Whether its connection was open already."""
    usd: str | None = None
    """Decimal, of all its attempts; the most that it may have cost where it broke off and nobody
    counted (`mox.providers.charging`); None where it has no price."""
    quality: float | None = None
    """In [0, 1], where the workload can judge the answer."""
