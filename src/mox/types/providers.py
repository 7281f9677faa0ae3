"""What is asked of a language model, what comes back, and what can go wrong on the way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from mox.types.arrays import Floats

Role = Literal["system", "user", "assistant"]
Finish = Literal["stop", "length", "content_filter", "tool"]
"""Why a model stopped: by itself, at the limit of output tokens, by a filter, to call a tool."""
Resource = Literal["requests", "tokens", "input", "output"]
"""What a limit counts: requests; input and output together (OpenAI); each by itself (Anthropic)."""

ErrorKind = Literal[
    "rate_limit_requests",
    "rate_limit_tokens",  # input and output are one limit, or the provider doesn't say which
    "rate_limit_input",
    "rate_limit_output",
    "acceleration",  # a limit on how fast the load may grow
    "quota_exhausted",  # a 429 that waiting doesn't mend
    "overloaded",  # 529 and 503: the provider's state, not the account's
    "server",
    "timeout_connect",
    "timeout_first_byte",
    "timeout_stall",
    "timeout_total",
    "connection",  # refused, reset, or cut in mid-answer
    "stream_error",  # an error event inside a stream that began well
    "truncated",  # the stream ended in order, without its last event
    "malformed",  # HTML, no JSON, broken UTF-8
    "unusable",  # whole, but it ended for an unknown reason, or nobody counted its tokens
    "bad_request",
    "auth",
    "model_not_found",
    "context_length",
    "content_filter",
    "cancelled",
    "client_limited",  # never sent: the client couldn't keep the schedule
]
TRANSIENT: frozenset[str] = frozenset(
    {
        "rate_limit_requests", "rate_limit_tokens", "rate_limit_input", "rate_limit_output",
        "acceleration", "overloaded", "server", "timeout_connect", "timeout_first_byte",
        "timeout_stall", "connection", "stream_error", "truncated", "malformed",
    }
)  # fmt: skip
"""Kinds that another attempt may mend. Only the pool makes one."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class Request:
    """What one answer is asked for: all that may change it, and nothing else."""

    model: str
    messages: tuple[Message, ...]
    max_output_tokens: int = 1024
    """Reasoning included. OpenAI's limiter charges it beforehand: set it as tight as the task."""
    temperature: float | None = None
    """The provider's own where None; refused by models that take none."""
    json_schema: Mapping[str, Any] | None = None
    """The answer is JSON of this schema."""
    cached_messages: int = 0
    """How many of the first messages later requests will share: Anthropic is told to keep them;
    OpenAI and most others find a shared beginning by themselves."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of the provider's own wire format, sent as they are; refused where they buy
    what isn't paid by the token (a provider's own web search, a cache of an hour)."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one answer, by the provider's own count."""

    input_tokens: int = 0
    """All of the input, what came from a cache included."""
    cached_tokens: int = 0
    """Of the input, read from the provider's cache."""
    cache_write_tokens: int = 0
    """Of the input, written into the cache."""
    output_tokens: int = 0
    """All of the output, reasoning included."""
    reasoning_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Timings:
    """Moments of one attempt, `time.perf_counter_ns`; None where it did not come so far."""

    sent: int
    """The request goes to the transport."""
    headers: int | None = None
    first_reasoning: int | None = None
    first_text: int | None = None
    """The first event with text that is not empty; one that only names a role is none."""
    last_text: int | None = None
    done: int | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """What an account has left, as a provider's headers say after a request was counted."""

    limit: Mapping[Resource, float] = field(default_factory=dict)
    """Of each resource, a minute; what is known to be a day's isn't told here."""
    remaining: Mapping[Resource, float] = field(default_factory=dict)
    """Of the limit that binds, a minute's or a day's."""
    reset_s: Mapping[Resource, float] = field(default_factory=dict)
    """Seconds until a resource is full again."""
    rounded_to: float = 1.0
    """`remaining` may be off by this (Anthropic rounds tokens to thousands)."""


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of an answer, as it arrives."""

    text: str
    kind: Literal["text", "reasoning"] = "text"
    at: int = 0
    """When its bytes arrived, `time.perf_counter_ns`."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer: it ended as its wire format says that an answer ends."""

    text: str
    usage: Usage
    finish: Finish
    model: str
    """As the provider names what answered, a dated version of what was asked for maybe."""
    request_id: str | None
    timings: Timings
    reasoning: str = ""
    standing: Standing | None = None
    """None where the provider's headers say nothing."""
    simulated: bool = False


Event = Delta | Answer
"""A stream is Deltas, and one Answer at its end."""


class Provider(Protocol):
    """One account's way to a model. It makes one attempt; who retries is the pool."""

    def stream(self, request: Request, *, timeout_s: float = 120.0) -> AsyncIterator[Event]:
        """Deltas as they arrive, and the Answer last.

        Args:
            timeout_s: of the whole answer.

        Raises:
            ProviderError: told apart by `kind`; an answer that isn't whole is never returned.
        """

    async def complete(self, request: Request, *, timeout_s: float = 120.0) -> Answer:
        """The whole answer at once.

        Raises:
            ProviderError: as in `stream`.
        """

    async def aclose(self) -> None:
        """Close its connections."""


@dataclass(frozen=True, slots=True)
class Call:
    """Who calls whom, and what for: a line of the ledger without its figures."""

    provider: str
    """The kind of its Spec."""
    account: str
    model: str
    purpose: str
    """`bench`, `embed`, `answer`, `judge`, …"""
    trial: str | None = None
    simulated: bool = False
    service_tier: str | None = None
    """As it is asked for, where it isn't the usual one: it has another price."""


class Book(Protocol):
    """What is asked before money is spent, and told afterwards (`mox.providers.ledger`)."""

    def before(self, call: Call, *, input_tokens: int, max_output_tokens: int) -> str:
        """Set the most that a call may cost aside; returns the booking's name.

        Raises:
            BudgetError: more than is left. Nothing is set aside, and nothing may be sent.
            PriceError: what it costs is not known.
        """

    def after(
        self,
        booking: str,
        usage: Usage | None,
        *,
        error: ErrorKind | None = None,
        billable: bool | None = None,
    ) -> None:
        """What came of it (`mox.providers.charging`).

        Args:
            usage: what the provider counted; None where it didn't say.
            billable: whether it may be charged though nobody counted; None where `error` tells.
        """

    def release(self, booking: str) -> None:
        """Set nothing aside any more for a call that was never sent: it leaves no line."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """Vectors of some texts, and what they cost."""

    vectors: Floats
    """(texts, dims) float32, as the provider made them: not normalised."""
    usage: Usage | None
    """None where the provider doesn't say."""
    request_id: str | None = None
    standing: Standing | None = None


@dataclass(frozen=True, slots=True)
class Bought:
    """What one request of a paid embedder brought."""

    vectors: Floats
    """(texts, dims) float32, of length 1; all zero for an empty text, which isn't sent."""
    usage: Usage
    """As the provider counted; as the embedder's own `tokens` does where it doesn't say."""
    booked: Usage | None = None
    """Where it doesn't say, the most that it can be: so the book takes it."""
