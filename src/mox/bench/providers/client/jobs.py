"""What is measured: whom to ask, what, how fast, for how long. All of it crosses to processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mox.bench.providers.record import Load
from mox.simulation.script import Wire
from mox.types.providers import Request

if TYPE_CHECKING:
    from mox.providers.pool import Account

WARM_AT_MOST = 64
"""Connections are opened before the clock runs; further callers open theirs while it does."""
Prompts = Callable[[int, int], Request]
"""The request of a round by its number; its model is replaced by the target's. Has to survive
pickling: a function of a module, a `functools.partial` of one, or an object with `__call__`.
Numbers below 0 are asked to warm up."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds after which a request is given up, each an error of its own."""

    connect_s: float = 10.0
    first_byte_s: float = 120.0
    """From its sending to the first byte of the answer's body."""
    stall_s: float = 60.0
    """Between two reads of a body."""
    total_s: float = 600.0
    """From its sending to its end."""


@dataclass(frozen=True, slots=True)
class Target:
    """Whom to ask. It never holds a key, only where one stands."""

    name: str
    """Of the provider, in rows and records."""
    wire: Wire
    base_url: str
    """As the wire's SDK takes it: OpenAI's ends with `/v1`, Anthropic's doesn't."""
    model: str
    key_env: str | None = None
    """The environment variable that holds the key; None where none is needed."""
    key_file: Path | None = None
    account: str = "simulated"
    """What a simulator takes for a key, where neither of the two above is given."""
    output_limit: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"
    """How Chat Completions' limit of output tokens is called there."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Further ones. No secrets: they are written down."""
    simulated: bool = False
    time_scale: float = 1.0
    """Of a simulator: its seconds last so many of ours."""


@dataclass(frozen=True, slots=True)
class Member:
    """An account of a pool, and the way to it."""

    account: Account
    target: Target
    """Of the same wire as the cell's; it differs in its key, most likely."""


@dataclass(frozen=True, slots=True)
class Pooling:
    """A token pool that requests wait for."""

    members: tuple[Member, ...]
    url: str | None = field(default=None, repr=False)
    """Of a Redis that several processes share; None: a pool of the one client process."""
    attempts: int = 4
    deadline_s: float = 600.0
    """Of a request's whole: waiting for the pool, further attempts, the answer."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One condition: a target under a workload and a load."""

    target: Target
    workload: str
    """Its name, in rows and records."""
    prompts: Prompts
    load: Load
    seconds: float | None = 30.0
    """New requests are made for so long; those under way are waited for."""
    requests: int | None = None
    """… or until there were so many, whichever comes first."""
    workers: int = 1
    """Client processes that share the load."""
    timeouts: Timeouts = field(default_factory=Timeouts)
    warm_up: int | None = None
    """Connections that are opened and asked once before the clock runs; None: one for each caller,
    or one for each request of the first second of an open loop, 64 at most."""
    pool: Pooling | None = None
    """None: requests go when they are meant to, once, on the target's own account."""
    apart: str = ""
    """What tells it from another one of the same load and length."""

    @property
    def name(self) -> str:
        """What tells it from the others of a run: rounds of other lengths are of another cell."""
        kind, value = self.load.kind, self.load.value
        of = "" if self.requests is None else f" × {self.requests}"
        load = f"{kind} {value:g}{of}{self.apart}"
        return f"{self.target.name}/{self.target.model} {self.workload} {load}"


@dataclass(frozen=True, slots=True)
class Job:
    """One process' share of one round of a cell."""

    cell: Cell
    round: int
    seed: int
    """Of the round's schedule."""
    share: int = 0
    """It takes the requests numbered `share`, `share + of`, …"""
    of: int = 1
