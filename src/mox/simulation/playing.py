"""A script as the reply that a front plays, with whatever goes wrong in it."""

from __future__ import annotations

import time
from typing import Protocol

from mox.simulation import faults
from mox.simulation.faults import Fault
from mox.simulation.reply import Ending, Piece, Reply
from mox.simulation.script import Asked, Script, Wire
from mox.simulation.wire import chat, messages, responses
from mox.simulation.wire.common import Answered, Call, JsonObject


class WireFormat(Protocol):
    """What a module of a wire has."""

    DELTA: bytes
    """How an event with output begins."""

    def read(self, body: JsonObject, *, account: str) -> Call:
        """What a request asks for."""

    def whole(self, answer: Answered, *, with_usage: bool) -> bytes:
        """The answer at once."""

    def pieces(self, answer: Answered, *, with_usage: bool) -> tuple[Piece, ...]:
        """The answer as a stream."""

    def error_event(self, number: int) -> bytes:
        """What a stream that fails in the middle ends with, after so many events."""


WIRES: dict[Wire, WireFormat] = {"chat": chat, "responses": responses, "messages": messages}


def made(call: Call, script: Script, fault: Fault | None, *, name: str, time_scale: float) -> Reply:
    """The reply to a request for text.

    Args:
        name: the answer's own, without the prefix that its wire gives it.
    """
    answer = Answered(script, call, name, int(time.time()), time_scale)
    wire = WIRES[call.asked.wire]
    with_usage = says_usage(fault)
    if not call.streamed:
        told = wire.whole(answer, with_usage=with_usage)
        piece = Piece(answer.done_s, told, "text", script.usage.output_tokens)
        return whole(call.asked, piece, fault)
    pieces = wire.pieces(answer, with_usage=with_usage)
    ending: Ending = "whole"
    if fault is not None:
        pieces, ending = faults.struck(pieces, fault, name=wire.DELTA, error_event=wire.error_event)
    return Reply(
        200,
        {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"},
        pieces,
        streamed=True,
        ending=ending,
        account=call.asked.account,
        model=call.asked.model,
        fault=fault.kind if fault else "",
    )


def says_usage(fault: Fault | None) -> bool:
    """Whether an answer says what it cost."""
    return fault is None or fault.kind != "no_usage"


def whole(asked: Asked, piece: Piece, fault: Fault | None) -> Reply:
    """A reply that comes at once."""
    pieces: tuple[Piece, ...] = (piece,)
    ending: Ending = "whole"
    if fault is not None:
        pieces, ending = faults.struck_whole(piece, fault)
    return Reply(
        200,
        {"content-type": "application/json"},
        pieces,
        ending=ending,
        promised=len(piece.data) if ending != "whole" else None,
        account=asked.account,
        model=asked.model,
        fault=fault.kind if fault else "",
    )
