"""OpenAI's Chat Completions, which most other servers speak too."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from mox.providers.classify import Said, said_in
from mox.providers.wire import End, Parts, Piece, Whole, count_of, with_extra
from mox.providers.wire.schemas import is_closed
from mox.types.providers import Finish, Request, Usage

_FINISH: dict[str, Finish] = {
    "stop": "stop",
    "eos": "stop",
    "length": "length",
    "max_tokens": "length",
    "content_filter": "content_filter",
    "tool_calls": "tool",
    "function_call": "tool",
}


def body(request: Request, stream: bool, *, limit: str = "max_completion_tokens") -> dict[str, Any]:
    """The SDK's arguments for a request.

    Args:
        limit: the field for the most output tokens; older servers know `max_tokens` only.
    """
    made: dict[str, Any] = {
        "model": request.model,
        "messages": [{"role": turn.role, "content": turn.text} for turn in request.messages],
        limit: request.max_output_tokens,
    }
    if request.temperature is not None:
        made["temperature"] = request.temperature
    if request.json_schema is not None:
        schema = dict(request.json_schema)
        made["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": schema, "strict": is_closed(schema)},
        }
    if stream:
        made["stream_options"] = {"include_usage": True}
    return with_extra(made, request.extra)


async def parts(chunks: AsyncIterator[Any]) -> Parts:
    """Pieces of a stream, and its End if it has one."""
    reason = ""
    usage: Usage | None = None
    model = ""
    async for chunk in chunks:
        model = chunk.model or model
        usage = _usage(getattr(chunk, "usage", None)) or usage
        for choice in (chunk.choices or [])[:1]:
            # Azure's filter, where it works beside the answer, sends chunks of notes alone.
            for piece in _pieces(choice.delta) if choice.delta else ():
                yield piece
            reason = choice.finish_reason or reason
    if reason == "error":
        yield Said("the server reports that the answer failed")
    elif reason:
        yield End(reason, _FINISH.get(reason), usage, model)


def whole(answer: Any) -> Whole | Said:
    """An answer that came at once.

    Raises:
        ValueError: it is none.
    """
    if not answer.choices:
        if "error" not in (answer.model_extra or {}):
            raise ValueError("JSON without choices")
        return said_in(answer.model_extra)  # a gateway's, with a status of 200
    choice = answer.choices[0]
    reasoning = "".join(p.text for p in _pieces(choice.message) if p.kind == "reasoning")
    text = "".join(p.text for p in _pieces(choice.message) if p.kind == "text")
    reason = choice.finish_reason or ""
    end = End(reason, _FINISH.get(reason), _usage(answer.usage), answer.model or "")
    return Whole(text, reasoning, end)


def _pieces(said: Any) -> list[Piece]:
    """What a delta or a message holds. Reasoning goes by two names, neither of them OpenAI's:
    DeepSeek's and vLLM's, OpenRouter's and Ollama's. A refusal is what the model answers."""
    found = []
    extra = said.model_extra or {}
    thought = extra.get("reasoning_content") or extra.get("reasoning")
    if isinstance(thought, str) and thought:
        found.append(Piece(thought, "reasoning"))
    found.extend(Piece(text) for text in (said.content, said.refusal) if text)
    return found


def _usage(counted: Any) -> Usage | None:
    """What was counted; None where input or output wasn't.

    What the total has beyond prompt and completion is output: reasoning that xAI counts beside the
    completion, and that Gemini and gateways to it count in the total only. OpenAI's is within.
    """
    sent, made = count_of(counted, "prompt_tokens"), count_of(counted, "completion_tokens")
    if sent is None or made is None:
        return None
    given = getattr(counted, "prompt_tokens_details", None)
    details = getattr(counted, "completion_tokens_details", None)
    beside = max(0, (count_of(counted, "total_tokens") or 0) - sent - made)
    return Usage(
        input_tokens=sent,
        cached_tokens=count_of(given, "cached_tokens") or 0,
        cache_write_tokens=count_of(given, "cache_write_tokens") or 0,
        output_tokens=made + beside,
        reasoning_tokens=max(beside, count_of(details, "reasoning_tokens") or 0),
    )
