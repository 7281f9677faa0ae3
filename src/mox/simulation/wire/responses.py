"""OpenAI's Responses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mox.simulation.reply import Holds, Piece
from mox.simulation.script import Asked, Token
from mox.simulation.wire.chat import DEFAULT_MAX, ROLES, schema
from mox.simulation.wire.common import (
    Answered,
    Call,
    Refused,
    at_least_one,
    dumped,
    event,
    field,
    model_of,
    not_simulated,
    text_of,
)
from mox.types.providers import Message, Usage

DELTA = b"event: response.output_text.delta\n"
"""How an event with output begins."""
PARTS = ("input_text", "output_text", "text")


def read(body: Mapping[str, Any], *, account: str) -> Call:
    """What a request asks for.

    Raises:
        Refused: it can't be meant, or isn't simulated.
    """
    model = model_of(body)
    not_simulated(body, "tools", "previous_response_id", "conversation", "background", "prompt")
    given = body.get("input")
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    if not isinstance(given, list) or not given:
        raise Refused("bad_request", "'input' is a text or a list of messages.", param="input")
    turns = [_message(one, at) for at, one in enumerate(given)]
    instructions = field(body, "instructions", str, "a string")
    if instructions:
        turns.insert(0, Message("system", instructions))
    text = field(body, "text", dict, "an object") or {}
    asked = Asked(
        wire="responses",
        account=account,
        model=model,
        messages=tuple(turns),
        max_output_tokens=at_least_one(body, "max_output_tokens") or DEFAULT_MAX,
        json_schema=_schema(field(text, "format", dict, "an object")),
    )
    reasoning = field(body, "reasoning", dict, "an object") or {}
    return Call(asked, bool(body.get("stream")), shows_reasoning=bool(reasoning.get("summary")))


def _message(given: Any, at: int) -> Message:
    role = given.get("role") if isinstance(given, dict) else None
    if not isinstance(role, str) or role not in ROLES or given.get("type", "message") != "message":
        raise Refused(
            "bad_request", f"Invalid 'input[{at}]': only messages are simulated.", param="input"
        )
    return Message(
        ROLES[role], text_of(given.get("content"), kinds=PARTS, param=f"input[{at}].content")
    )


def _schema(given: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Here a schema stands in the format itself, not below `json_schema`."""
    if given is not None and given.get("type") == "json_schema":
        return schema({"type": "json_schema", "json_schema": given})
    return schema(given)


def usage(of: Usage) -> dict[str, Any]:
    """What it cost, as this wire says it."""
    return {
        "input_tokens": of.input_tokens,
        "input_tokens_details": {
            "cached_tokens": of.cached_tokens, "cache_write_tokens": of.cache_write_tokens,
        },
        "output_tokens": of.output_tokens,
        "output_tokens_details": {"reasoning_tokens": of.reasoning_tokens},
        "total_tokens": of.input_tokens + of.output_tokens,
    }  # fmt: skip


def _response(answer: Answered, status: str, output: list[Any]) -> dict[str, Any]:
    asked = answer.call.asked
    return {
        "id": f"resp_{answer.id}",
        "object": "response",
        "created_at": answer.created_s,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": asked.max_output_tokens,
        "metadata": {},
        "model": asked.model,
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "service_tier": "default",
        "store": False,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None,
    }


_REASONS = {"length": "max_output_tokens", "content_filter": "content_filter"}


def _ended(answer: Answered, *, with_usage: bool) -> dict[str, Any]:
    """The response as it is when all of it is there."""
    reason = _REASONS.get(answer.script.finish)
    status = "incomplete" if reason else "completed"
    output = [
        _reasoning(answer, tokens) if kind == "reasoning" else _text(answer, tokens, status)
        for kind, tokens in answer.runs
    ]
    said = _response(answer, status, output)
    said["incomplete_details"] = {"reason": reason} if reason else None
    said["usage"] = usage(answer.script.usage) if with_usage else None
    return said


def _joined(tokens: list[Token]) -> str:
    return "".join(token.text for token in tokens)


def _reasoning(answer: Answered, tokens: list[Token]) -> dict[str, Any]:
    """Its summary is all that is shown, and only where it was asked for."""
    shown = answer.call.shows_reasoning and tokens
    summary = [{"type": "summary_text", "text": _joined(tokens)}] if shown else []
    return {"id": f"rs_{answer.id}", "type": "reasoning", "summary": summary}


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _text(answer: Answered, tokens: list[Token] | None, status: str) -> dict[str, Any]:
    content = [] if tokens is None else [_part(_joined(tokens))]
    return {
        "id": f"msg_{answer.id}", "type": "message", "role": "assistant", "status": status,
        "content": content,
    }  # fmt: skip


def whole(answer: Answered, *, with_usage: bool) -> bytes:
    """The answer at once."""
    return dumped(_ended(answer, with_usage=with_usage))


class _Stream:
    """Events in their order, each with its number."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []

    def add(self, due_s: float, name: str, **fields: Any) -> None:
        """An event without output in it."""
        said = {"type": name, "sequence_number": len(self.pieces), **fields}
        self.pieces.append(Piece(due_s, event(name, said)))

    def deltas(
        self, name: str, tokens: list[Token], scale: float, holds: Holds, **fields: Any
    ) -> None:
        """Events with output, which differ in text and number only."""
        first = len(self.pieces)
        like = event(name, {"type": name, "sequence_number": "\1", **fields, "delta": "\0"})
        start, _, rest = like.partition(b'"\\u0001"')
        middle, _, end = rest.partition(b'"\\u0000"')
        for number, token in enumerate(tokens, first):
            told = b"%b%d%b%b%b" % (start, number, middle, dumped(token.text), end)
            self.pieces.append(Piece(token.due_s * scale, told, holds, token.tokens))


def pieces(answer: Answered, *, with_usage: bool) -> tuple[Piece, ...]:
    """The answer as a stream."""
    stream = _Stream()
    began = _response(answer, "in_progress", [])
    stream.add(answer.opening_s, "response.created", response=began)
    stream.add(answer.opening_s, "response.in_progress", response=began)
    ended = _ended(answer, with_usage=with_usage)
    for index, (kind, tokens) in enumerate(answer.runs):
        item = ended["output"][index]
        write = _write_reasoning if kind == "reasoning" else _write_text
        write(stream, answer, index, tokens, item)
    stream.add(answer.done_s, f"response.{ended['status']}", response=ended)
    return tuple(stream.pieces)


def _write_reasoning(
    stream: _Stream, answer: Answered, index: int, tokens: list[Token], item: dict[str, Any]
) -> None:
    first, last = answer.span_s(tokens)
    empty = {**item, "summary": []}
    stream.add(first, "response.output_item.added", output_index=index, item=empty)
    if item["summary"]:
        at = {"item_id": item["id"], "output_index": index, "summary_index": 0}
        name = "response.reasoning_summary"
        nothing = {"type": "summary_text", "text": ""}
        stream.add(first, f"{name}_part.added", **at, part=nothing)
        stream.deltas(f"{name}_text.delta", tokens, answer.time_scale, "reasoning", **at)
        stream.add(last, f"{name}_text.done", **at, text=item["summary"][0]["text"])
        stream.add(last, f"{name}_part.done", **at, part=item["summary"][0])
    stream.add(last, "response.output_item.done", output_index=index, item=item)


def _write_text(
    stream: _Stream, answer: Answered, index: int, tokens: list[Token], item: dict[str, Any]
) -> None:
    first, last = answer.span_s(tokens)
    name = "response.output_text"
    at = {"item_id": item["id"], "output_index": index, "content_index": 0}
    empty = _text(answer, None, "in_progress")
    stream.add(first, "response.output_item.added", output_index=index, item=empty)
    stream.add(first, "response.content_part.added", **at, part=_part(""))
    stream.deltas(f"{name}.delta", tokens, answer.time_scale, "text", **at, logprobs=[])
    whole_part = item["content"][0]
    stream.add(last, f"{name}.done", **at, text=whole_part["text"], logprobs=[])
    stream.add(last, "response.content_part.done", **at, part=whole_part)
    stream.add(last, "response.output_item.done", output_index=index, item=item)


def error_event(number: int) -> bytes:
    """What a stream that fails in the middle ends with."""
    said = {
        "type": "error",
        "sequence_number": number,
        "code": "server_error",
        "message": "The server had an error while processing your request (simulated).",
        "param": None,
    }
    return event("error", said)
