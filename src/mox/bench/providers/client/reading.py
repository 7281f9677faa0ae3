"""What an answer's bytes say, read after its end: its chunks, its usage, what went wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mox.bench.providers.client.messages import Raw
from mox.bench.providers.client.sse import Event, events
from mox.bench.providers.record import Chunk
from mox.secrets import scrub
from mox.simulation.script import Wire
from mox.types.providers import ErrorKind, Finish, Usage

SAID_CHARACTERS = 300


@dataclass(slots=True)
class Read:
    """What was read of an answer."""

    chunks: list[Chunk] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    finish: Finish | None = None
    ended: bool = False
    """Whether the last event that its wire format has was there."""
    error: ErrorKind | None = None
    said: str | None = None
    request_id: str | None = None

    @property
    def text(self) -> str:
        """The answer without its reasoning; surrogates that two deltas split are joined."""
        whole = "".join(self.texts)
        if whole.isascii():
            return whole
        return whole.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def add(self, at_ns: int, text: Any, kind: Any = "text") -> None:
        """Output that came, if there is any in it."""
        if isinstance(text, str) and text:
            self.chunks.append(Chunk(at_ns, len(text), kind))
            if kind == "text":
                self.texts.append(text)


def read(raw: Raw, wire: Wire) -> Read:
    """What a request's raw answer says. It never raises: what can't be read is an error kind."""
    found = Read(request_id=raw.head.get("x-request-id") or raw.head.get("request-id"))
    if raw.status is not None and not 200 <= raw.status < 300:
        if raw.failed is None or raw.parts:
            found.error, said = _refused(raw)
            found.said = _short(said)
            return found
    elif raw.status is not None:
        try:
            _stream(found, events(raw.times, raw.parts), wire)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            _fault(found, "malformed", f"{type(error).__name__}: {error}")
    if raw.failed is not None:
        # What the answer itself said before comes first, and an answer that is whole is one.
        if found.error is None and not found.ended:
            found.error, found.said = raw.failed, _short(raw.said or "")
    elif found.error is None and not found.ended:
        _incomplete(found, raw)
    return found


def _incomplete(found: Read, raw: Raw) -> None:
    media = raw.head.get("content-type", "").partition(";")[0].strip()
    if media == "text/event-stream" or found.chunks:
        _fault(found, "truncated", "the stream ended without its last event")
    else:
        start = b"".join(raw.parts)[:SAID_CHARACTERS].decode(errors="replace")
        _fault(found, "malformed", f"no stream of events but {media or 'no type'}: {start}")


def _stream(found: Read, stream: Iterable[Event], wire: Wire) -> None:
    step = _STEP[wire]
    for event in stream:
        if event.data == b"[DONE]":
            continue
        said = json.loads(event.data.decode("utf-8"))
        if not isinstance(said, dict):
            raise TypeError(f"an event that is no object: {str(said)[:80]}")
        if (error := _error_of(said)) is not None:
            _fault(found, "stream_error", error)
            return
        step(found, event.at_ns, said)


def _error_of(said: Mapping[str, Any]) -> str | None:
    """The message of an error event; None of any other."""
    error = said.get("error")
    if said.get("type") == "response.failed":
        error = said["response"].get("error") or {}
    elif said.get("type") == "error" and error is None:
        error = said
    if isinstance(error, Mapping):
        kind = error.get("code") or error.get("type") or "error"
        return f"{kind}: {error.get('message')}"
    return str(error) if error else None


def _chat(found: Read, at_ns: int, said: Mapping[str, Any]) -> None:
    for choice in said.get("choices") or ():
        delta = choice.get("delta") or {}
        found.add(at_ns, delta.get("reasoning_content") or delta.get("reasoning"), "reasoning")
        found.add(at_ns, delta.get("content") or delta.get("refusal"))
        for call in delta.get("tool_calls") or ():
            found.add(at_ns, (call.get("function") or {}).get("arguments"))
        if reason := choice.get("finish_reason"):
            found.finish, found.ended = _FINISH.get(reason, "stop"), True
    if usage := said.get("usage"):
        kept = usage.get("prompt_tokens_details") or {}
        spent = usage.get("completion_tokens_details") or {}
        found.usage = Usage(
            usage.get("prompt_tokens") or 0,
            kept.get("cached_tokens") or 0,
            kept.get("cache_write_tokens") or 0,
            usage.get("completion_tokens") or 0,
            spent.get("reasoning_tokens") or 0,
        )


def _responses(found: Read, at_ns: int, said: Mapping[str, Any]) -> None:
    kind = said.get("type", "")
    if kind in _TEXT_DELTAS:
        found.add(at_ns, said.get("delta"))
    elif kind in _REASONING_DELTAS:
        found.add(at_ns, said.get("delta"), "reasoning")
    elif kind in ("response.completed", "response.incomplete"):
        answer = said["response"]
        why = (answer.get("incomplete_details") or {}).get("reason")
        found.finish, found.ended = _FINISH.get(why, "stop"), True
        usage = answer.get("usage") or {}
        kept = usage.get("input_tokens_details") or {}
        spent = usage.get("output_tokens_details") or {}
        found.usage = Usage(
            usage.get("input_tokens") or 0,
            kept.get("cached_tokens") or 0,
            kept.get("cache_write_tokens") or 0,
            usage.get("output_tokens") or 0,
            spent.get("reasoning_tokens") or 0,
        )


def _messages(found: Read, at_ns: int, said: Mapping[str, Any]) -> None:
    kind = said.get("type")
    if kind == "content_block_delta":
        delta = said["delta"]
        found.add(at_ns, delta.get("thinking"), "reasoning")
        found.add(at_ns, delta.get("text") or delta.get("partial_json"))
    elif kind == "message_start":
        _count(found, said["message"].get("usage") or {})
    elif kind == "message_delta":
        if reason := (said.get("delta") or {}).get("stop_reason"):
            found.finish = _FINISH.get(reason, "stop")
        _count(found, said.get("usage") or {})
    elif kind == "message_stop":
        found.ended = True


def _count(found: Read, usage: Mapping[str, Any]) -> None:
    """Anthropic's count: its input is without what a cache held, and what is later is the sum."""
    before = found.usage
    cached = usage.get("cache_read_input_tokens")
    cached = before.cached_tokens if cached is None else cached
    written = usage.get("cache_creation_input_tokens")
    written = before.cache_write_tokens if written is None else written
    fresh = usage.get("input_tokens")
    if fresh is None:
        fresh = before.input_tokens - before.cached_tokens - before.cache_write_tokens
    spent = usage.get("output_tokens_details") or {}
    found.usage = Usage(
        fresh + cached + written,
        cached,
        written,
        usage.get("output_tokens") or before.output_tokens,
        spent.get("thinking_tokens") or before.reasoning_tokens,
    )


def _refused(raw: Raw) -> tuple[ErrorKind, str]:
    """Kind and message of an answer that isn't 2xx."""
    body = b"".join(raw.parts).decode(errors="replace")
    try:
        error = json.loads(body).get("error")
        said = error if isinstance(error, dict) else {}
    except (ValueError, AttributeError):
        said = {}
    status = raw.status or 0
    words = " ".join(str(said.get(name) or "") for name in ("type", "code", "message")) or body
    return _kind(status, words.lower(), raw.head), f"HTTP {status}: {said.get('message') or body}"


def _kind(status: int, words: str, head: Mapping[str, str]) -> ErrorKind:
    if status == 429:
        if any(word in words for word in ("insufficient_quota", "credit_balance", "spend_limit")):
            return "quota_exhausted"
        return "rate_limit_requests" if "request" in words else "rate_limit_tokens"
    if status in (401, 403):
        return "auth"
    if status == 404:
        return "model_not_found"
    if status in (503, 529):
        return "overloaded"
    if status >= 500:
        return "server"
    return "context_length" if "context_length" in words else "bad_request"


def _fault(found: Read, kind: ErrorKind, said: str) -> None:
    found.error, found.said = kind, _short(said)


def _short(said: str) -> str:
    return scrub(said)[:SAID_CHARACTERS]


_STEP: Mapping[Wire, Callable[[Read, int, Mapping[str, Any]], None]] = {
    "chat": _chat,
    "responses": _responses,
    "messages": _messages,
}
_TEXT_DELTAS = frozenset(
    {
        "response.output_text.delta", "response.refusal.delta",
        "response.function_call_arguments.delta", "response.custom_tool_call_input.delta",
    }
)  # fmt: skip
_REASONING_DELTAS = frozenset(
    {"response.reasoning_text.delta", "response.reasoning_summary_text.delta"}
)
_FINISH: Mapping[str | None, Finish] = {
    "length": "length",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "model_context_window_exceeded": "length",
    "content_filter": "content_filter",
    "refusal": "content_filter",
    "tool_calls": "tool",
    "function_call": "tool",
    "tool_use": "tool",
}
