"""Anthropic's Messages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from mox.errors import SpecError
from mox.providers.classify import Said
from mox.providers.wire import End, Parts, Piece, Whole, count_of, with_extra
from mox.types.providers import Finish, Request, Usage

_FINISH: dict[str, Finish] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool",
    "pause_turn": "tool",
    "refusal": "content_filter",
}


def body(request: Request, stream: bool) -> dict[str, Any]:
    """The SDK's arguments for a request: the system's leading messages apart from the turns.

    Raises:
        SpecError: a schema that Anthropic can't keep, or more kept messages than there are.
    """
    turns: list[dict[str, Any]] = [
        {"role": turn.role, "content": [{"type": "text", "text": turn.text}]}
        for turn in request.messages
    ]
    kept = request.cached_messages
    if not 0 <= kept <= len(turns):
        raise SpecError(
            f"cached_messages is {kept}, of {len(turns)} messages.",
            mend=f"give 0 to {len(turns)}.",
        )
    if kept:
        turns[kept - 1]["content"][0]["cache_control"] = {"type": "ephemeral"}
    leading = next((at for at, t in enumerate(request.messages) if t.role != "system"), len(turns))
    made: dict[str, Any] = {
        "model": request.model,
        "max_tokens": request.max_output_tokens,
        "messages": turns[leading:],
    }
    if leading:
        made["system"] = [turn["content"][0] for turn in turns[:leading]]
    if request.json_schema is not None:
        made["output_config"] = {"format": {"type": "json_schema", "schema": _schema(request)}}
    extra = dict(request.extra)
    if request.temperature is not None:
        # The SDK has no parameter for it since 2.0; the newest models take none.
        extra.setdefault("temperature", request.temperature)
    return with_extra(made, extra)


def _schema(request: Request) -> dict[str, Any]:
    from anthropic import transform_schema

    try:
        return transform_schema(dict(request.json_schema or {}))
    except ValueError as error:
        raise SpecError(
            f"Anthropic can't keep this JSON schema: {error}.",
            mend="give each part of it a type, or ask for JSON in the prompt.",
        ) from None


async def parts(events: AsyncIterator[Any]) -> Parts:
    """Pieces of a stream, and its End if it has one."""
    reason, model = "", ""
    start: Any = None
    usage: Usage | None = None
    async for event in events:
        if event.type == "message_start":
            model, start = event.message.model, event.message.usage
        elif event.type == "content_block_start":
            yield Piece(getattr(event.content_block, "text", None) or "")
        elif event.type == "content_block_delta":
            if event.delta.type == "text_delta":
                yield Piece(event.delta.text)
            elif event.delta.type == "thinking_delta":
                yield Piece(event.delta.thinking, "reasoning")
        elif event.type == "message_delta":
            reason = event.delta.stop_reason or reason
            usage = _usage(start, event.usage)
        elif event.type == "message_stop":
            yield End(reason, _FINISH.get(reason), usage, model)


def whole(answer: Any) -> Whole | Said:
    """An answer that came at once."""
    text = "".join(part.text for part in answer.content or [] if part.type == "text")
    thoughts = "".join(part.thinking for part in answer.content or [] if part.type == "thinking")
    reason = answer.stop_reason or ""
    end = End(reason, _FINISH.get(reason), _usage(answer.usage, answer.usage), answer.model or "")
    return Whole(text, thoughts, end)


def _usage(start: Any, last: Any) -> Usage | None:
    """The counts of the start, and where the end has newer ones those: they are cumulative. None
    where input or output wasn't counted; the start's output is what was made by then, no bill.

    Anthropic counts what came from a cache or went into it apart from the input; we within it.
    """

    def count(name: str) -> int | None:
        newer = count_of(last, name)
        return count_of(start, name) if newer is None else newer

    sent, made = count("input_tokens"), count_of(last, "output_tokens")
    if sent is None or made is None:
        return None
    read = count("cache_read_input_tokens") or 0
    written = count("cache_creation_input_tokens") or 0
    details = getattr(last, "output_tokens_details", None)
    return Usage(
        input_tokens=sent + read + written,
        cached_tokens=read,
        cache_write_tokens=written,
        output_tokens=made,
        reasoning_tokens=count_of(details, "thinking_tokens") or 0,
    )
