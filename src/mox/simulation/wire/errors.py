"""Refusals in each provider's own shape."""

from __future__ import annotations

from typing import Any

from mox.simulation.faults import FaultKind
from mox.simulation.limits import Denied, Reason
from mox.simulation.script import Asked, Wire
from mox.simulation.wire.common import RefusalKind, Refused, dumped

OPENAI: dict[RefusalKind, tuple[int, str, str | None]] = {
    "bad_request": (400, "invalid_request_error", None),
    "auth": (401, "invalid_request_error", "invalid_api_key"),
    "model_not_found": (404, "invalid_request_error", "model_not_found"),
    "context_length": (400, "invalid_request_error", "context_length_exceeded"),
    "not_found": (404, "invalid_request_error", "unknown_url"),
    "too_large": (413, "invalid_request_error", None),
    "rate_limit": (429, "tokens", "rate_limit_exceeded"),
    "quota": (429, "insufficient_quota", "insufficient_quota"),
    "overloaded": (503, "server_error", "server_overloaded"),
    "server": (500, "server_error", None),
}
ANTHROPIC: dict[RefusalKind, tuple[int, str]] = {
    "bad_request": (400, "invalid_request_error"),
    "auth": (401, "authentication_error"),
    "model_not_found": (404, "not_found_error"),
    "context_length": (400, "invalid_request_error"),
    "not_found": (404, "not_found_error"),
    "too_large": (413, "request_too_large"),
    "rate_limit": (429, "rate_limit_error"),
    "quota": (429, "rate_limit_error"),
    "overloaded": (529, "overloaded_error"),
    "server": (500, "api_error"),
}
HTML = b"<!doctype html><html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
_OPENAI_WHAT: dict[Reason, str] = {
    "requests": "requests per min (RPM)", "tokens": "tokens per min (TPM)",
    "input": "input tokens per min (ITPM)", "output": "output tokens per min (OTPM)",
    "acceleration": "growth of requests per min",
}  # fmt: skip
_ANTHROPIC_WHAT: dict[Reason, str] = {
    "requests": "requests per minute", "tokens": "tokens per minute",
    "input": "input tokens per minute", "output": "output tokens per minute",
    "acceleration": "requests per minute",
}  # fmt: skip


def body(refused: Refused, wire: Wire, request_id: str) -> tuple[int, bytes]:
    """Status and body of a refusal."""
    if refused.kind == "html":
        return 502, HTML
    return _anthropic(refused, request_id) if wire == "messages" else _openai(refused)


def _openai(refused: Refused) -> tuple[int, bytes]:
    status, kind, code = OPENAI[refused.kind]
    if refused.kind == "rate_limit" and refused.about in ("requests", "acceleration"):
        kind = "requests"
    error = {"message": refused.message, "type": kind, "param": refused.param, "code": code}
    return status, dumped({"error": error})


def _anthropic(refused: Refused, request_id: str) -> tuple[int, bytes]:
    status, kind = ANTHROPIC[refused.kind]
    error: dict[str, Any] = {"type": kind, "message": refused.message}
    if refused.kind == "quota":
        error["details"] = {"error_code": "enforced_spend_limit_reached"}
    return status, dumped({"type": "error", "error": error, "request_id": request_id})


def limited(denied: Denied, asked: Asked) -> Refused:
    """A refusal by a limit, in the words of its provider."""
    said = _said_by_anthropic if asked.wire == "messages" else _said_by_openai
    return _of(Refused("rate_limit", said(denied, asked), about=denied.reason), asked)


def _of(refused: Refused, asked: Asked) -> Refused:
    refused.account, refused.model = asked.account, asked.model
    return refused


def _said_by_openai(denied: Denied, asked: Asked) -> str:
    what = _OPENAI_WHAT[denied.reason]
    where = f"for {asked.model} in organization {asked.account} on {what}"
    limit = f"Limit {denied.limit:.0f}, "
    if denied.wait_s is None:
        return f"Request too large {where}: {limit}Requested {denied.requested:.0f}."
    again = f"{denied.wait_s:.3f}s" if denied.wait_s >= 1 else f"{denied.wait_s * 1000:.0f}ms"
    return (
        f"Rate limit reached {where}: {limit}Used {denied.used:.0f}, Requested"
        f" {denied.requested:.0f}. Please try again in {again}."
    )


def _said_by_anthropic(denied: Denied, asked: Asked) -> str:
    if denied.reason == "acceleration":
        return (
            "This request would exceed your organization's acceleration limit: usage grows too"
            " fast. Ramp it up gradually."
        )
    return (
        f"This request would exceed the rate limit for your organization ({asked.account}) of"
        f" {denied.limit:,.0f} {_ANTHROPIC_WHAT[denied.reason]} (model: {asked.model})."
    )


def failed(kind: FaultKind, asked: Asked) -> Refused:
    """What stands in an answer's place where a fault takes it."""
    if kind == "spend_cap":
        refused = Refused("quota", _CAPPED[asked.wire == "messages"])
    elif kind == "html":
        refused = Refused("html", "")
    elif kind == "overloaded":
        refused = Refused("overloaded", "Overloaded (simulated)")
    else:
        refused = Refused("server", "Internal server error (simulated)")
    refused.fault = kind
    return _of(refused, asked)


_CAPPED = {
    True: "You have reached your specified API usage limits (a spend limit; simulated).",
    False: "You exceeded your current quota, please check your plan and billing details"
    " (simulated).",
}


def too_long(asked: Asked, tokens: int, most: int) -> Refused:
    """A prompt that doesn't fit into the model's context with its answer."""
    if asked.wire == "messages":
        said = f"prompt is too long: {tokens} tokens + {asked.max_output_tokens} > {most} maximum"
    else:
        said = (
            f"This model's maximum context length is {most} tokens. However, you requested"
            f" {tokens + asked.max_output_tokens} tokens ({tokens} in the messages,"
            f" {asked.max_output_tokens} in the completion)."
        )
    return _of(Refused("context_length", said, param="messages"), asked)
