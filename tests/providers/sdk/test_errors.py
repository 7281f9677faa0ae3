"""Each way to fail has a name of its own, over real HTTP through the official SDKs.

Bodies and headers as the providers document them; what other servers say, as they say it.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from mox.errors import ProviderError
from mox.providers.charging import may_be_billed
from mox.providers.classify import MENDS
from mox.types.providers import ErrorKind

HTML = b"<!DOCTYPE html><html><body><h1>502 Bad Gateway</h1></body></html>"


def openai(kind: str | None, code: str | None, message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def anthropic(kind: str, message: str, code: str | None = None) -> dict[str, Any]:
    details = {"details": {"error_code": code}} if code else {}
    return {
        "type": "error",
        "error": {"type": kind, "message": message, **details},
        "request_id": "req_anthropic_1",
    }


TPM = (
    "Rate limit reached for gpt-4 in organization org-1 on tokens per min (TPM): Limit 10000,"
    " Used 9500, Requested 800. Please try again in 1.8s."
)
RPM = (
    "Rate limit reached for gpt-4 in organization org-1 on requests per min (RPM): Limit 3, Used"
    " 3, Requested 1. Please try again in 20s."
)
LARGE = (
    "Request too large for gpt-4 in organization org-1 on tokens per min (TPM): Limit 10000,"
    " Requested 12000. The input or output tokens must be reduced in order to run successfully."
)
QUOTA = "You exceeded your current quota, please check your plan and billing details."
LONG = "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens."
WAIT = {"retry-after": "7"}

BILLED = {
    # Azure's page on managing costs: it may charge a 400 of the content filter or of the input's
    # limit, and a 408.
    ("content_filter", 400), ("context_length", 400), ("server", 408),
    # Of what a gateway gave up, and of what it took for left, nobody here knows.
    ("server", 504), ("server", 524), ("cancelled", 499),
}  # fmt: skip
"""Refusals that may be billed, for all that is known here; all others are taken to be free."""
REFUSALS: list[tuple[str, int, Any, dict[str, str], ErrorKind, float | None]] = [
    ("chat", 429, openai("tokens", "rate_limit_exceeded", TPM), {}, "rate_limit_tokens", 1.8),
    ("chat", 429, openai("requests", "rate_limit_exceeded", RPM), {}, "rate_limit_requests", 20),
    ("responses", 429, openai("requests", "rate_limit_exceeded", RPM),
     {"retry-after-ms": "1500", "retry-after": "2"}, "rate_limit_requests", 1.5),
    # More than a minute's limit at once: no later attempt can be let in.
    ("chat", 429, openai("tokens", "rate_limit_exceeded", LARGE), {}, "context_length", None),
    ("chat", 429, openai("insufficient_quota", "insufficient_quota", QUOTA), {},
     "quota_exhausted", None),
    ("responses", 429, openai("insufficient_quota", "credit_balance_exhausted", "No credit."), {},
     "quota_exhausted", None),
    ("chat", 401, openai("invalid_request_error", "invalid_api_key", "Incorrect API key."), {},
     "auth", None),
    ("chat", 403, openai("invalid_request_error", "unsupported_country_region_territory", "No."),
     {}, "auth", None),
    ("responses", 404, openai("invalid_request_error", "model_not_found",
     "The model `gpt-9` does not exist or you do not have access to it."), {},
     "model_not_found", None),
    ("chat", 404, openai("invalid_request_error", None, "Invalid URL (POST /v1/x)"), {},
     "bad_request", None),
    ("chat", 400, openai("invalid_request_error", "context_length_exceeded", LONG), {},
     "context_length", None),
    # vLLM: no code, and the status as its code.
    ("chat", 400, {"error": {"message": LONG, "type": "BadRequestError", "code": 400}}, {},
     "context_length", None),
    # Azure's filter.
    ("chat", 400, openai(None, "content_filter", "The response was filtered."), {},
     "content_filter", None),
    ("chat", 400, openai("invalid_request_error", None, "Unknown parameter: 'foo'."), {},
     "bad_request", None),
    # FastAPI's shape, and Ollama's own.
    ("chat", 422, {"detail": "field required"}, {}, "bad_request", None),
    ("chat", 404, {"error": 'model "llama9" not found, try pulling it first'}, {},
     "model_not_found", None),
    ("chat", 500, openai("server_error", None, "The server had an error."), {}, "server", None),
    ("chat", 503, openai("server_error", "slow_down", "Slow down."), WAIT, "overloaded", 7),
    ("chat", 503, HTML, {}, "overloaded", None),
    ("chat", 502, HTML, {}, "server", None),
    ("chat", 504, HTML, {}, "server", None),
    ("chat", 524, HTML, {}, "server", None),  # Cloudflare's
    ("chat", 408, openai(None, "Timeout", "The operation was timeout."), {}, "server", None),
    ("chat", 499, openai(None, None, "client closed request"), {}, "cancelled", None),
    ("chat", 404, HTML, {}, "bad_request", None),
    ("messages", 429, anthropic("rate_limit_error",
     "This request would exceed your organization's rate limit of 40,000 input tokens per minute."),
     WAIT, "rate_limit_input", 7),
    ("messages", 429, anthropic("rate_limit_error",
     "This request would exceed your organization's rate limit of 8,000 output tokens per minute."),
     WAIT, "rate_limit_output", 7),
    ("messages", 429, anthropic("rate_limit_error",
     "This request would exceed your organization's rate limit of 50 requests per minute."),
     WAIT, "rate_limit_requests", 7),
    # The message tells nothing: the headers do.
    ("messages", 429, anthropic("rate_limit_error", "Too many."),
     {**WAIT, "anthropic-ratelimit-output-tokens-remaining": "0"}, "rate_limit_output", 7),
    ("messages", 429, anthropic("rate_limit_error",
     "Your organization's usage grew too fast: acceleration limit."), WAIT, "acceleration", 7),
    ("messages", 429, anthropic("rate_limit_error", "Slower.", "ramp_limit_exceeded"), WAIT,
     "acceleration", 7),
    # No wait is named in a header: the message, or a header that says 0, tells that it refills.
    ("messages", 429, anthropic("rate_limit_error",
     "This request would exceed your organization's rate limit of 50 requests per minute."),
     {"anthropic-ratelimit-requests-remaining": "0",
      "anthropic-ratelimit-requests-reset": "2026-10-21T09:30:01Z"}, "rate_limit_requests", None),
    ("messages", 429, anthropic("rate_limit_error", "Too many."),
     {"anthropic-ratelimit-input-tokens-remaining": "0"}, "rate_limit_input", None),
    ("messages", 429, anthropic("rate_limit_error", "Slower. Please try again in 2s."), {},
     "rate_limit_tokens", 2),
    ("chat", 429, openai("rate_limit_error", None,
     "Rate limit reached: 500 requests per minute. Please try again in 2s."), {},
     "rate_limit_requests", 2),
    ("messages", 429, anthropic("rate_limit_error", "The monthly limit is reached.",
     "enforced_spend_limit_reached"), {}, "quota_exhausted", None),
    ("messages", 429, anthropic("rate_limit_error", "The limit of the workspace is reached."), {},
     "quota_exhausted", None),
    ("messages", 402, anthropic("billing_error", "Your credit balance is too low."), {},
     "quota_exhausted", None),
    ("messages", 400, anthropic("invalid_request_error",
     "Your credit balance is too low to access the Anthropic API."), {}, "quota_exhausted", None),
    ("messages", 529, anthropic("overloaded_error", "Overloaded"), {}, "overloaded", None),
    ("messages", 503, anthropic("api_error", "Unavailable"), {}, "overloaded", None),
    ("messages", 500, anthropic("api_error", "Internal server error"), {}, "server", None),
    ("messages", 504, anthropic("timeout_error", "Timeout"), {}, "server", None),
    ("messages", 401, anthropic("authentication_error", "invalid x-api-key"), {}, "auth", None),
    ("messages", 403, anthropic("permission_error", "Not allowed."), {}, "auth", None),
    ("messages", 404, anthropic("not_found_error", "model: claude-9"), {}, "model_not_found", None),
    ("messages", 400, anthropic("invalid_request_error",
     "prompt is too long: 210000 tokens > 200000 maximum"), {}, "context_length", None),
    ("messages", 413, anthropic("request_too_large", "Request exceeds the maximum size"), {},
     "context_length", None),
    ("messages", 400, anthropic("invalid_request_error", "max_tokens: must be positive"), {},
     "bad_request", None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("wire", "status", "body", "headers", "kind", "wait_s"), REFUSALS,
    ids=[f"{w}-{s}-{k}-{n}" for n, (w, s, _, _, k, _) in enumerate(REFUSALS)],
)  # fmt: skip
def test_refusals_are_told_apart(
    lab: Any, wire: str, status: int, body: Any, headers: dict[str, str], kind: str,
    wait_s: float | None,
) -> None:  # fmt: skip
    html = isinstance(body, bytes)
    raw = body if html else json.dumps(body).encode()
    given = {"content-type": "text/html" if html else "application/json", **headers}
    reply = lab.Reply([raw], status=status, headers={"x-request-id": "req_7", **given})

    async def main() -> None:
        async with lab.serving(reply) as server:
            provider = lab.open_at(wire, server)
            for call in (lab.drained(provider, lab.ask()), provider.complete(lab.ask())):
                with pytest.raises(ProviderError, match=r"(openai|anthropic) \(m\)") as caught:
                    await call
                error = caught.value
                assert error.kind == kind
                assert error.status == status
                assert error.retry_after_s == wait_s
                assert error.request_id == "req_7"
                assert error.mend == MENDS[error.kind]
                billed = may_be_billed(error.kind, error.billable)
                assert billed == ((error.kind, status) in BILLED)
            # Each is one attempt: the SDKs' own retries are off.
            assert len(server.asked) == 2
            await provider.aclose()

    asyncio.run(main())


MID: list[tuple[str, dict[str, Any], ErrorKind]] = [
    ("chat", openai("server_error", None, "boom"), "stream_error"),
    ("chat", openai("tokens", "rate_limit_exceeded", TPM), "rate_limit_tokens"),
    ("responses", {"type": "error", "code": "server_error", "message": "boom", "param": None},
     "stream_error"),
    ("messages", anthropic("overloaded_error", "Overloaded"), "overloaded"),
    ("messages", anthropic("api_error", "Internal server error"), "stream_error"),
]  # fmt: skip


@pytest.mark.parametrize(("wire", "said", "kind"), MID, ids=[f"{w}-{k}" for w, _, k in MID])
def test_an_error_in_mid_answer_is_told_by_its_type(
    lab: Any, wire: str, said: dict[str, Any], kind: str
) -> None:
    """OpenAI's SDK raises it without a status, Anthropic's with one of 200."""
    sse = lab.data(said) if wire == "chat" else lab.event(said)
    reply = lab.Reply([*lab.STREAMS[wire]("a", "b")[:3], sse], headers=lab.OPENAI_HEADERS)
    error = asyncio.run(lab.told(wire, reply))
    assert error.kind == kind
    assert error.request_id == "req_openai_1"
    assert "in mid-answer" in error.message
    assert may_be_billed(error.kind, error.billable)


def test_a_response_that_failed_is_told_by_its_code(lab: Any) -> None:
    failed = {"error": {"code": "rate_limit_exceeded", "message": RPM}}
    pieces = lab.responses("a", status="failed", **failed)
    error = asyncio.run(lab.told("responses", lab.Reply(pieces, headers=lab.OPENAI_HEADERS)))
    assert error.kind == "rate_limit_requests"
    assert error.retry_after_s == 20


@pytest.mark.parametrize("events", [1, 3])
def test_a_stream_that_lacks_its_last_event_is_truncated(lab: Any, wire: str, events: int) -> None:
    """The body ends in order, and no SDK raises anything. Of a chat the event with
    `finish_reason` is the last but two: usage and `[DONE]` follow."""
    after = 2 if wire == "chat" else 0
    kept = lab.STREAMS[wire]("one", "two", "three")[: -events - after]
    error = asyncio.run(lab.told(wire, lab.Reply(kept, headers=lab.OPENAI_HEADERS)))
    assert error.kind == "truncated"


def test_an_answer_at_once_that_has_not_ended_is_truncated(lab: Any, wire: str) -> None:
    (raw,) = lab.whole(wire, "half")
    body = json.loads(raw)
    if wire == "chat":
        body["choices"][0]["finish_reason"] = None
    elif wire == "responses":
        body["status"] = "in_progress"
    else:
        body["stop_reason"] = None
    kind = {"content-type": "application/json"}
    reply = lab.Reply([json.dumps(body).encode()], headers=kind)

    async def main() -> None:
        async with lab.serving(reply) as server:
            provider = lab.open_at(wire, server)
            with pytest.raises(ProviderError, match="without its last event") as caught:
                await provider.complete(lab.ask())
            assert caught.value.kind == "truncated"
            await provider.aclose()

    asyncio.run(main())


def test_a_response_that_was_cancelled_says_so(lab: Any) -> None:
    body = json.dumps(lab.response(None, "cancelled")).encode()
    kind = {"content-type": "application/json"}

    async def main() -> None:
        async with lab.serving(lab.Reply([body], headers=kind)) as raw:
            provider = lab.open_at("responses", raw)
            with pytest.raises(ProviderError, match="cancelled") as caught:
                await provider.complete(lab.ask())
            assert caught.value.kind == "cancelled"
            await provider.aclose()

    asyncio.run(main())
