"""What is asked of a pool, what it gives, and what it is told afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from mox.providers.pool.limits import Account
from mox.types.providers import ErrorKind, Resource, Standing, Usage

Priority = Literal["interactive", "batch"]
"""`interactive` books as far ahead as its deadline; `batch` at most `AHEAD_S`, so that who waits
for an answer waits behind so much of it and no more."""
AHEAD_S: Mapping[Priority, float] = {"interactive": float("inf"), "batch": 2.0}
DEADLINE_S = 60.0


@dataclass(frozen=True, slots=True)
class Need:
    """What a call is expected to use."""

    input: float = 0.0
    """Tokens; OpenAI's limiter counts a quarter of the characters."""
    output: float = 0.0
    """Tokens that it will make: the mean of what calls like it made."""
    max_output: float = 0.0
    """Tokens that it may make: what OpenAI's limiter charges beforehand."""
    requests: float = 1.0
    tokens_per_s: float | None = None
    """How fast one answer comes; where it is known, no more answers come at once on an account
    than its limit of output can carry."""

    def costs(self, account: Account) -> tuple[float, ...]:
        """Of each of an account's resources, what is set aside."""
        by = {
            "requests": self.requests,
            "tokens": self.input + self.max_output,
            "input": self.input,
            "output": self.output,
        }
        return tuple(by[name] for name in account.limits.resources)


Needs = Need | Mapping[str, Need]
"""The same for all accounts; or by an account's name, where they count differently."""


@dataclass(slots=True)
class Lease:
    """Leave to send one request on an account, now."""

    account: Account
    costs: tuple[float, ...]
    """Of each of the account's resources, what was set aside."""
    id: str
    asked_s: float
    """`time.monotonic` of the question."""
    waited_s: float = 0.0
    """From the question to the leave."""
    mark: tuple[float, ...] = ()
    """Of each resource, where it stands in the account's book, to be found again at settling."""
    ends: tuple[float, ...] = ()
    """Of each resource, where the next one's place begins."""
    level: tuple[float, ...] = ()
    """Of each resource, what the pool took to be left after this call, for the headers to be
    held against."""
    speed: float = 0.0
    """Tokens a second that the account's book takes it to make."""
    began_s: float = 0.0
    """`time.monotonic` of the leave."""
    reported: float = 0.0
    """Tokens of output that the account's book was told of,"""
    reported_s: float = 0.0
    """and when; the leave, before it was told anything."""
    origin: int = 0
    """Which book it stands in: the shared one, or this process's own while that was away."""
    closed: bool = False
    tenant: str = ""
    notes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a call."""

    usage: Usage | None = None
    """None where the provider didn't say."""
    error: ErrorKind | None = None
    retry_after_s: float | None = None
    standing: Standing | None = None
    """What the answer's headers said."""
    sent: bool = True
    """False where it never left: all that was set aside is free again."""
    billable: bool | None = None
    """Whether it may be charged though nobody counted; None where `error` tells."""


class Pool(Protocol):
    """Says when a call may start, and on which account. Safe for many tasks of one loop."""

    async def acquire(
        self,
        accounts: Sequence[Account],
        need: Needs,
        *,
        deadline_s: float = DEADLINE_S,
        priority: Priority = "interactive",
        tenant: str = "",
    ) -> Lease:
        """Wait for leave to send one request, first come first served.

        Cancelled while it waits, it gives back what was set aside.

        Args:
            accounts: any of them will do; that which is free first is taken.
            deadline_s: the longest wait.
            tenant: on whose behalf; those who want more than there is share it alike.

        Raises:
            PoolError: no account is free within the deadline (`would_wait_s`), all are put
                aside, or somebody else states limits of other resources for one of them. Nothing
                is set aside.
        """

    async def progress(self, lease: Lease, output_tokens: float) -> None:
        """Tell how much of a running answer has come, so that others know what is left."""

    async def settle(self, lease: Lease, outcome: Outcome) -> None:
        """Tell what a call used or how it failed. Every lease is settled once."""

    async def put_aside(self, account: Account, reason: str, until_s: float | None = None) -> None:
        """Give an account to nobody for so many seconds; until `take_back` where None."""

    async def take_back(self, account: Account) -> None:
        """End what `put_aside`, an exhausted quota, or a provider's wish to wait began."""

    async def state(self, accounts: Sequence[Account]) -> dict[str, dict[str, Any]]:
        """By account's name, for people: what is left, who is held up, and why."""

    async def aclose(self) -> None:
        """Leave. Who still waits is refused."""


def limited(kind: ErrorKind | None) -> tuple[Resource, ...] | None:
    """The resources that a 429 speaks of: () for all of an account's; None where it is none."""
    return _LIMITED.get(kind or "")


_LIMITED: dict[str, tuple[Resource, ...]] = {
    "rate_limit_requests": ("requests",),
    "rate_limit_tokens": ("tokens", "input", "output"),
    "rate_limit_input": ("input", "tokens"),
    "rate_limit_output": ("output", "tokens"),
    "acceleration": (),
}
