"""OpenAI's Chat Completions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mox.simulation.reply import Piece
from mox.simulation.script import Asked
from mox.simulation.wire.common import (
    Answered,
    Call,
    Refused,
    at_least_one,
    data,
    dumped,
    field,
    model_of,
    not_simulated,
    text_of,
)
from mox.types.providers import Message, Role, Usage

ROLES: dict[str, Role] = {
    "system": "system", "developer": "system", "user": "user", "assistant": "assistant",
}  # fmt: skip
DEFAULT_MAX = 1024
DELTA = b""
"""How an event with output begins: events have no names here."""


def read(body: Mapping[str, Any], *, account: str) -> Call:
    """What a request asks for.

    Raises:
        Refused: it can't be meant, or isn't simulated.
    """
    model = model_of(body)
    not_simulated(body, "tools", "functions", "logprobs", "stop", "audio", "prediction")
    if body.get("n") not in (None, 1):
        raise Refused("bad_request", "'n' other than 1 is not simulated by Mox.", param="n")
    given = field(body, "messages", list, "an array of objects")
    if not given:
        raise Refused("bad_request", "Invalid 'messages': empty array.", param="messages")
    most = at_least_one(body, "max_completion_tokens") or at_least_one(body, "max_tokens")
    asked = Asked(
        wire="chat",
        account=account,
        model=model,
        messages=tuple(_message(one, at) for at, one in enumerate(given)),
        max_output_tokens=most or DEFAULT_MAX,
        json_schema=schema(field(body, "response_format", dict, "an object")),
    )
    options = field(body, "stream_options", dict, "an object") or {}
    return Call(asked, bool(body.get("stream")), bool(options.get("include_usage")))


def _message(given: Any, at: int) -> Message:
    role = given.get("role") if isinstance(given, dict) else None
    if not isinstance(role, str) or role not in ROLES:
        raise Refused(
            "bad_request", f"Invalid value for 'messages[{at}].role': {role!r}.", param="messages"
        )
    content = text_of(given.get("content"), kinds=("text",), param=f"messages[{at}].content")
    return Message(ROLES[role], content)


def schema(given: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The JSON schema of a `response_format`; None for text."""
    kind = (given or {}).get("type", "text")
    if given is None or kind == "text":
        return None
    if kind == "json_object":
        return {"type": "object"}
    named = given.get("json_schema") if kind == "json_schema" else None
    found = named.get("schema") if isinstance(named, dict) else None
    if not isinstance(found, dict):
        raise Refused(
            "bad_request", f"Invalid 'response_format': {kind!r}.", param="response_format"
        )
    return found


def usage(of: Usage) -> dict[str, Any]:
    """What it cost, as this wire says it."""
    return {
        "prompt_tokens": of.input_tokens,
        "completion_tokens": of.output_tokens,
        "total_tokens": of.input_tokens + of.output_tokens,
        "prompt_tokens_details": {"cached_tokens": of.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": of.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _base(answer: Answered, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{answer.id}",
        "object": kind,
        "created": answer.created_s,
        "model": answer.call.asked.model,
        "system_fingerprint": "fp_mox_simulated",
        "service_tier": "default",
    }


def whole(answer: Answered, *, with_usage: bool) -> bytes:
    """The answer at once."""
    message: dict[str, Any] = {
        "role": "assistant", "content": answer.script.text, "refusal": None, "annotations": [],
    }  # fmt: skip
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": _finish(answer),
    }
    said = {**_base(answer, "chat.completion"), "choices": [choice]}
    if with_usage:
        said["usage"] = usage(answer.script.usage)
    return dumped(said)


def pieces(answer: Answered, *, with_usage: bool) -> tuple[Piece, ...]:
    """The answer as a stream. Reasoning takes its time and is not shown, as at OpenAI's."""
    include_usage = answer.call.include_usage and with_usage
    base = _base(answer, "chat.completion.chunk") | ({"usage": None} if include_usage else {})

    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return data({**base, "choices": [choice]})

    # All chunks are alike but for their text: made once, and the text set in.
    before, _, after = chunk({"content": "\0"}).partition(b'"\\u0000"')
    made = [Piece(answer.opening_s, chunk({"role": "assistant", "content": "", "refusal": None}))]
    made += [
        Piece(
            token.due_s * answer.time_scale,
            before + dumped(token.text) + after,
            "text",
            token.tokens,
        )
        for token in answer.script.tokens
        if token.kind == "text"
    ]
    made.append(Piece(answer.done_s, chunk({}, _finish(answer))))
    if include_usage:
        last = {**base, "choices": [], "usage": usage(answer.script.usage)}
        made.append(Piece(answer.done_s, data(last)))
    made.append(Piece(answer.done_s, b"data: [DONE]\n\n"))
    return tuple(made)


def _finish(answer: Answered) -> str:
    return "tool_calls" if answer.script.finish == "tool" else answer.script.finish


def error_event(number: int) -> bytes:
    """What a stream that fails in the middle ends with."""
    said = {
        "message": "The server had an error while processing your request (simulated).",
        "type": "server_error",
        "param": None,
        "code": None,
    }
    return data({"error": said})
