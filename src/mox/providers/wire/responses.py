"""OpenAI's Responses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from mox.providers.classify import Said
from mox.providers.wire import End, Parts, Piece, Whole, count_of, with_extra
from mox.providers.wire.schemas import is_closed
from mox.types.providers import Finish, Request, Usage

_FINISH: dict[str, Finish] = {
    "completed": "stop",
    "max_output_tokens": "length",
    "content_filter": "content_filter",
    "function_call": "tool",
}
_TEXT = {"response.output_text.delta", "response.refusal.delta"}
_REASONING = {"response.reasoning_text.delta", "response.reasoning_summary_text.delta"}
_LAST = {"response.completed", "response.incomplete"}
_CALLS = {"function_call", "custom_tool_call"}


def body(request: Request, stream: bool) -> dict[str, Any]:
    """The SDK's arguments for a request. Nothing is kept at the provider (`store`)."""
    made: dict[str, Any] = {
        "model": request.model,
        "input": [{"role": turn.role, "content": turn.text} for turn in request.messages],
        "max_output_tokens": request.max_output_tokens,
        "store": False,
    }
    if request.temperature is not None:
        made["temperature"] = request.temperature
    if request.json_schema is not None:
        schema = dict(request.json_schema)
        made["text"] = {
            "format": {
                "type": "json_schema",
                "name": "answer",
                "schema": schema,
                "strict": is_closed(schema),
            }
        }
    return with_extra(made, request.extra)


async def parts(events: AsyncIterator[Any]) -> Parts:
    """Pieces of a stream, and its End if it has one."""
    async for event in events:
        if event.type in _TEXT and event.delta:
            yield Piece(event.delta)
        elif event.type in _REASONING and event.delta:
            yield Piece(event.delta, "reasoning")
        elif event.type in _LAST:
            yield _end(event.response)
        elif event.type == "response.failed":
            yield _failure(event.response)
        elif event.type == "error":
            yield Said(event.message or "", event.code or "")


def whole(answer: Any) -> Whole | Said:
    """An answer that came at once."""
    if answer.status in {"failed", "cancelled"}:
        return _failure(answer)
    text: list[str] = []
    thoughts: list[str] = []
    for item in answer.output or []:
        if item.type == "message":
            text.extend(
                part.text if part.type == "output_text" else part.refusal for part in item.content
            )
        elif item.type == "reasoning":
            thoughts.extend(part.text for part in (item.content or item.summary or []))
    return Whole("".join(text), "".join(thoughts), _end(answer))


def _end(answer: Any) -> End:
    reason = answer.status or ""
    if reason == "incomplete":
        reason = (answer.incomplete_details and answer.incomplete_details.reason) or reason
    elif reason == "completed" and any(item.type in _CALLS for item in answer.output or []):
        reason = "function_call"
    elif reason != "completed":
        reason = ""  # still in progress: it doesn't say that it ended
    return End(reason, _FINISH.get(reason), _usage(answer.usage), answer.model or "")


def _failure(answer: Any) -> Said:
    if answer.error is None:
        return Said(f"the answer is {answer.status}", answer.status or "")
    return Said(answer.error.message or "", answer.error.code or "")


def _usage(counted: Any) -> Usage | None:
    """What was counted; None where input or output wasn't."""
    sent, made = count_of(counted, "input_tokens"), count_of(counted, "output_tokens")
    if sent is None or made is None:
        return None
    given = getattr(counted, "input_tokens_details", None)
    details = getattr(counted, "output_tokens_details", None)
    return Usage(
        input_tokens=sent,
        cached_tokens=count_of(given, "cached_tokens") or 0,
        # Servers of an older version of the format don't count what is written.
        cache_write_tokens=count_of(given, "cache_write_tokens") or 0,
        output_tokens=made,
        reasoning_tokens=count_of(details, "reasoning_tokens") or 0,
    )
