"""What the asking processes say to the measuring one, pickled, over a socket pair."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mox.loadgen.messages import Failed

if TYPE_CHECKING:
    from mox.types.providers import ErrorKind


@dataclass(slots=True)
class Raw:
    """What came of one request before anyone has read it. Moments are `perf_counter_ns`."""

    number: int
    scheduled: int
    leased: int | None = None
    connecting: int = 0
    """How long opening a connection took; 0 where one was open."""
    sent: int | None = None
    headers: int | None = None
    status: int | None = None
    head: dict[str, str] = field(default_factory=dict)
    """The answer's headers, their names in lower case."""
    times: list[int] = field(default_factory=list)
    parts: list[bytes] = field(default_factory=list)
    """The body as it came: each part at its time."""
    done: int | None = None
    """When its answer came to its end, or was given up; None of what never had a connection."""
    failed: ErrorKind | None = None
    """What the transport knows; what the body says is found out later."""
    said: str | None = None
    reused: bool = False
    attempts: int = 1
    retried: tuple[ErrorKind, ...] = ()
    """Why the attempts before the last one failed."""
    pool_wait: int | None = None
    """How long it waited for the pool's leave, in ns, all attempts together."""
    account: str | None = None


@dataclass(frozen=True)
class Unsent(Failed):
    """… before the process had sent anything."""


@dataclass(frozen=True, slots=True)
class Noticed:
    """What a process noticed of itself, at its round's end."""

    loop_lag_ns: list[int]
    cpu_s: float
    wall_s: float
