"""What goes wrong on purpose: when, how often, and to whom."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mox.simulation.reply import Ending, Piece

FaultKind = Literal[
    "overloaded",  # 529, by OpenAI's wire 503
    "server",  # 500
    "spend_cap",  # a 429 that waiting doesn't mend
    "html",  # a gateway's page in place of JSON
    "silent",  # the request is taken, and nothing ever comes
    "slow",  # the first byte comes late
    "cut",  # the connection is closed in mid-stream
    "truncated",  # the stream ends in order, without its last events
    "stalled",  # the stream stops and stays open
    "bad_json",
    "bad_utf8",
    "error_event",  # an error inside a stream that began well
    "no_usage",  # whole, but it doesn't say what it cost
    "split",  # whole; every piece comes in two halves, in mid-character where it has a long one
]
REFUSALS: frozenset[str] = frozenset({"overloaded", "server", "spend_cap", "html"})
"""Those that take the place of an answer."""


class Fault(BaseModel):
    """One thing that goes wrong, for some requests or all."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    kind: FaultKind
    rate: float = Field(default=1.0, ge=0, le=1)
    """Share of the requests that it strikes. Which ones depends on the seed, the account, the
    request and the attempt, and on nothing else."""
    at: int = Field(default=3, ge=0)
    """After how many pieces with output a stream is struck."""
    delay_s: float = Field(default=5.0, ge=0, le=86_400)
    """Of `slow`, in real seconds."""
    from_s: float = Field(default=0.0, ge=0)
    """Real seconds since the simulator's start (or its reset): a storm's beginning."""
    until_s: float | None = Field(default=None, gt=0)
    """A storm's end; None lasts."""
    accounts: tuple[str, ...] = ()
    """All where empty."""
    models: tuple[str, ...] = ()
    """All where empty."""
    attempts: int | None = Field(default=None, ge=1)
    """Of each request, only so many first attempts: 1 lets the second pass. None strikes all."""

    @model_validator(mode="after")
    def _lasts(self) -> Self:
        if self.until_s is not None and self.until_s <= self.from_s:
            raise ValueError(f"until_s = {self.until_s:g} is not after from_s = {self.from_s:g}")
        return self


@dataclass(frozen=True, slots=True)
class Who:
    """Which request it is, as far as chance is concerned."""

    account: str
    model: str
    identity: bytes
    """Of seed, account and request (`draws.identity`)."""
    attempt: int


def drawn(faults: Iterable[Fault], who: Who, *, at_s: float) -> Fault | None:
    """The first fault that strikes a request; None where none does."""
    for number, fault in enumerate(faults):
        if fault.accounts and who.account not in fault.accounts:
            continue
        if fault.models and who.model not in fault.models:
            continue
        if fault.attempts is not None and who.attempt >= fault.attempts:
            continue
        if at_s < fault.from_s or (fault.until_s is not None and at_s >= fault.until_s):
            continue
        if _chance(number, who) < fault.rate:
            return fault
    return None


def refuses(fault: Fault, *, streamed: bool) -> bool:
    """Whether it takes an answer's place. An error inside an answer that comes at once is one
    instead of it."""
    return fault.kind in REFUSALS or (fault.kind == "error_event" and not streamed)


def _chance(number: int, who: Who) -> float:
    """A number in [0, 1) that is always the same for the same request."""
    told = who.identity + f"{number} {who.attempt}".encode()
    return int.from_bytes(blake2b(told, digest_size=7).digest()) / 2**56


def asked(header: str) -> Fault:
    """The fault that a test asks for by `x-mox-fault`: `cut@3`, `slow@2.5`, `server`.

    Raises:
        ValueError: there is no such fault, or its number is none.
    """
    kind, _, number = header.strip().partition("@")
    if kind not in get_args(FaultKind):
        raise ValueError(f"x-mox-fault is one of {', '.join(get_args(FaultKind))}")
    if not number:
        return Fault.model_validate({"kind": kind})
    field = "delay_s" if kind == "slow" else "at"
    return Fault.model_validate({"kind": kind, field: float(number)})


def struck(
    pieces: Sequence[Piece], fault: Fault, *, name: bytes, error_event: Callable[[int], bytes]
) -> tuple[tuple[Piece, ...], Ending]:
    """A stream as it goes with a fault in it.

    Args:
        pieces: as they would have been without it.
        name: how an event with output begins on its wire.
        error_event: what its wire sends where an answer fails after so many events.
    """
    if fault.kind == "silent":
        return (), "stalled"
    if fault.kind == "slow":
        return tuple(_later(piece, fault.delay_s) for piece in pieces), "whole"
    if fault.kind == "split":
        return tuple(half for piece in pieces for half in _halves(piece)), "whole"
    if fault.kind == "no_usage" or fault.kind in REFUSALS:
        return tuple(pieces), "whole"
    kept = _first(pieces, fault.at)
    due_s = pieces[len(kept)].due_s if len(kept) < len(pieces) else pieces[-1].due_s
    match fault.kind:
        case "cut":
            return (*kept, Piece(due_s, b"")), "cut"
        case "truncated":
            return kept, "whole"
        case "stalled":
            return kept, "stalled"
        case "bad_json":
            return (*kept, Piece(due_s, name + b'data: {"delta": {"con\n\n')), "whole"
        case "bad_utf8":
            return (*kept, Piece(due_s, name + b'data: {"text": "\xff\xfe\xc3"}\n\n')), "whole"
        case _:
            return (*kept, Piece(due_s, error_event(len(kept)))), "whole"


def struck_whole(piece: Piece, fault: Fault) -> tuple[tuple[Piece, ...], Ending]:
    """An answer that comes at once, with a fault in it: half of it, where a stream would stop."""
    half = Piece(piece.due_s, piece.data[: len(piece.data) // 2])
    match fault.kind:
        case "silent":
            return (), "stalled"
        case "slow":
            return (_later(piece, fault.delay_s),), "whole"
        case "split":
            return _halves(piece), "whole"
        case "cut":
            return (half,), "cut"
        case "stalled":
            return (half,), "stalled"
        case "truncated" | "bad_json":
            return (half,), "whole"
        case "bad_utf8":
            return (Piece(piece.due_s, b'{"text": "\xff\xfe\xc3"}'),), "whole"
        case _:
            return (piece,), "whole"


def _first(pieces: Sequence[Piece], many: int) -> tuple[Piece, ...]:
    """Up to and with so many pieces that have output in them; all of those where there are fewer,
    and never what comes after the last."""
    holding = [at for at, piece in enumerate(pieces) if piece.holds]
    if len(holding) > many:
        return tuple(pieces[: holding[many]])
    return tuple(pieces[: holding[-1] + 1] if holding else pieces[:1])


def _later(piece: Piece, by_s: float) -> Piece:
    return Piece(piece.due_s + by_s, piece.data, piece.holds, piece.tokens)


def _halves(piece: Piece) -> tuple[Piece, ...]:
    if len(piece.data) < 2:
        return (piece,)
    long = next((at for at, byte in enumerate(piece.data) if byte >= 0xC0), None)
    at = len(piece.data) // 2 if long is None else long + 1
    # The output is whole with the second half: the first holds none.
    return (
        Piece(piece.due_s, piece.data[:at]),
        Piece(piece.due_s, piece.data[at:], piece.holds, piece.tokens),
    )
