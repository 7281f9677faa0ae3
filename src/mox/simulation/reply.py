"""What a front plays: a status, headers, and pieces of a body, each with the time it is due."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

Holds = Literal["", "text", "reasoning"]
Ending = Literal["whole", "cut", "stalled"]


@dataclass(frozen=True, slots=True)
class Piece:
    """Some bytes of a body, which are sent at once."""

    due_s: float
    """Real seconds since the request was let in: the time scale is in it already."""
    data: bytes
    holds: Holds = ""
    """Which output is in it; none in an event that only opens or closes something."""
    tokens: int = 0


def nothing(played: bool) -> None:
    """What there is to do at the end of a reply that holds nothing open."""


@dataclass(slots=True)
class Reply:
    """One answer to one request, refusals included."""

    status: int
    headers: dict[str, str]
    pieces: tuple[Piece, ...]
    request_id: str = ""
    streamed: bool = False
    """Its length isn't known beforehand: sent in chunks."""
    ending: Ending = "whole"
    """`cut`: the connection is closed after the last piece; `stalled`: nothing more ever comes,
    and it stays open."""
    promised: int | None = None
    """Bytes that its headers promise, where that is more than its pieces hold."""
    account: str = ""
    model: str = ""
    wire: str = ""
    fault: str = ""
    """What went wrong on purpose, if anything."""
    ended: Callable[[bool], None] = nothing
    """Called once, with whether all pieces were sent: its place in the queue is free, and where
    the client went away nothing more is produced."""

    @property
    def length(self) -> int:
        """Bytes of its body, as its headers say them."""
        return len(self.body) if self.promised is None else self.promised

    @property
    def body(self) -> bytes:
        """All pieces together."""
        return b"".join(piece.data for piece in self.pieces)

    def head(self) -> Reply:
        """What HEAD is answered: the same without its body."""
        return replace(self, pieces=(Piece(0.0, b""),), promised=self.length)

    def sent(self, admitted_ns: int, sent_ns: list[int]) -> dict[str, Any]:
        """What was sent when, as the log keeps it.

        Args:
            admitted_ns: when the request was read, `perf_counter_ns`.
            sent_ns: when each of the first pieces was handed to the socket.
        """
        played = self.pieces[: len(sent_ns)]
        return {
            "request_id": self.request_id,
            "simulated": True,
            "account": self.account,
            "model": self.model,
            "wire": self.wire,
            "status": self.status,
            "fault": self.fault,
            "admitted_ns": admitted_ns,
            "sent_ns": sent_ns,
            "due_ns": [admitted_ns + round(piece.due_s * 1e9) for piece in played],
            "holds": [piece.holds for piece in played],
            "tokens": [piece.tokens for piece in played],
            "whole": len(played) == len(self.pieces) and self.ending == "whole",
        }
