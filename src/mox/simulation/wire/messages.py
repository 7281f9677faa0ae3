"""Anthropic's Messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mox.simulation.reply import Piece
from mox.simulation.script import Asked, End, Token
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
from mox.types.providers import Finish, Message, Role, Usage

ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant"}
STOPS: dict[Finish, str] = {
    "stop": "end_turn", "length": "max_tokens", "content_filter": "refusal", "tool": "tool_use",
}  # fmt: skip
PING = event("ping", {"type": "ping"})
SIGNATURE = "bW94LXNpbXVsYXRlZA=="
"""Of simulated thinking: it signs nothing."""
DELTA = b"event: content_block_delta\n"
"""How an event with output begins."""


def read(body: Mapping[str, Any], *, account: str, counts: bool = False) -> Call:
    """What a request asks for.

    Args:
        counts: it only wants its tokens counted, and so names no `max_tokens`.

    Raises:
        Refused: it can't be meant, or isn't simulated.
    """
    model = model_of(body)
    not_simulated(body, "tools", "stop_sequences", "mcp_servers", "container")
    most = at_least_one(body, "max_tokens")
    if most is None and not counts:
        raise Refused("bad_request", "max_tokens: Field required", param="max_tokens")
    given = field(body, "messages", list, "an array")
    if not given:
        raise Refused("bad_request", "messages: at least one message is required", param="messages")
    turns = [_message(one, at) for at, one in enumerate(given)]
    contents = [one["content"] for one in given]
    if body.get("system"):
        text = text_of(body["system"], kinds=("text",), param="system")
        turns.insert(0, Message("system", text))
        contents.insert(0, body["system"])
    ends = [end for at, content in enumerate(contents) for end in _ends(at, content)]
    if body.get("cache_control") and ends:  # of the whole request: up to its end
        ends[-1] = ends[-1]._replace(kept=True)
    asked = Asked(
        wire="messages",
        account=account,
        model=model,
        messages=tuple(turns),
        max_output_tokens=most or 1,
        json_schema=_schema(field(body, "output_config", dict, "an object") or {}),
        ends=tuple(ends),
    )
    return Call(asked, bool(body.get("stream")))


def _message(given: Any, at: int) -> Message:
    role = given.get("role") if isinstance(given, dict) else None
    if not isinstance(role, str) or role not in ROLES:
        raise Refused(
            "bad_request", f"messages.{at}.role: Input should be 'user' or 'assistant'",
            param="messages",
        )  # fmt: skip
    content = text_of(given.get("content"), kinds=("text",), param=f"messages.{at}.content")
    return Message(ROLES[role], content)


def _ends(message: int, content: str | list[dict[str, Any]]) -> Iterator[End]:
    """Where the parts of a message end, and which of them are marked."""
    if isinstance(content, str):
        yield End(message, len(content), kept=False)
        return
    characters = 0
    for part in content:
        characters += len(part["text"])
        yield End(message, characters, kept=bool(part.get("cache_control")))


def _schema(config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    given = config.get("format")
    if given is None:
        return None
    if not isinstance(given, dict) or given.get("type") != "json_schema":
        raise Refused("bad_request", "output_config.format.type: Input should be 'json_schema'")
    found = given.get("schema")
    if not isinstance(found, dict):
        raise Refused("bad_request", "output_config.format.schema: Field required")
    return found


def usage(of: Usage, output_tokens: int) -> dict[str, Any]:
    """What it cost, as this wire says it: the three kinds of input apart."""
    return {
        "input_tokens": of.input_tokens - of.cached_tokens - of.cache_write_tokens,
        "cache_creation_input_tokens": of.cache_write_tokens,
        "cache_read_input_tokens": of.cached_tokens,
        "output_tokens": output_tokens,
        "output_tokens_details": {"thinking_tokens": of.reasoning_tokens},
        "service_tier": "standard",
    }


def _base(answer: Answered) -> dict[str, Any]:
    return {
        "id": f"msg_{answer.id}",
        "type": "message",
        "role": "assistant",
        "model": answer.call.asked.model,
        "stop_sequence": None,
    }


def whole(answer: Answered, *, with_usage: bool) -> bytes:
    """The answer at once."""
    content: list[dict[str, Any]] = []
    for kind, tokens in answer.runs:
        text = "".join(token.text for token in tokens)
        content.append(
            {"type": "text", "text": text}
            if kind == "text"
            else {"type": "thinking", "thinking": text, "signature": SIGNATURE}
        )
    of = answer.script.usage
    said = {**_base(answer), "content": content, "stop_reason": STOPS[answer.script.finish]}
    if with_usage:
        said["usage"] = usage(of, of.output_tokens)
    return dumped(said)


def pieces(answer: Answered, *, with_usage: bool) -> tuple[Piece, ...]:
    """The answer as a stream: thinking blocks first, where it reasons."""
    of = answer.script.usage
    start = {**_base(answer), "content": [], "stop_reason": None}
    if with_usage:
        start["usage"] = usage(of, 1)
    opening = answer.opening_s
    made = [
        Piece(opening, event("message_start", {"type": "message_start", "message": start})),
        Piece(opening, PING),
    ]
    for index, (kind, tokens) in enumerate(answer.runs):
        made += _block(index, kind, tokens, answer)
    ending: dict[str, Any] = {
        "type": "message_delta",
        "delta": {"stop_reason": STOPS[answer.script.finish], "stop_sequence": None},
    }
    # Without usage a client's parser still finds the field that it needs, and nothing in it.
    ending["usage"] = usage(of, of.output_tokens) if with_usage else {}
    made.append(Piece(answer.done_s, event("message_delta", ending)))
    made.append(Piece(answer.done_s, event("message_stop", {"type": "message_stop"})))
    return tuple(made)


def _block(index: int, kind: str, tokens: list[Token], answer: Answered) -> list[Piece]:
    first, last = answer.span_s(tokens)
    thinking = kind == "reasoning"
    empty = {"type": "thinking", "thinking": "", "signature": ""} if thinking else _TEXT
    start = {"type": "content_block_start", "index": index, "content_block": empty}
    name, field_ = ("thinking_delta", "thinking") if thinking else ("text_delta", "text")

    def delta(of: dict[str, Any]) -> bytes:
        said = {"type": "content_block_delta", "index": index, "delta": of}
        return event("content_block_delta", said)

    before, _, after = delta({"type": name, field_: "\0"}).partition(b'"\\u0000"')
    made = [Piece(first, event("content_block_start", start))]
    for token in tokens:
        text = before + dumped(token.text) + after
        made.append(Piece(token.due_s * answer.time_scale, text, token.kind, token.tokens))
    if thinking:
        made.append(Piece(last, delta({"type": "signature_delta", "signature": SIGNATURE})))
    stop = event("content_block_stop", {"type": "content_block_stop", "index": index})
    return [*made, Piece(last, stop)]


_TEXT = {"type": "text", "text": ""}


def error_event(number: int) -> bytes:
    """What a stream that fails in the middle ends with."""
    said = {"type": "overloaded_error", "message": "Overloaded (simulated)"}
    return event("error", {"type": "error", "error": said})
