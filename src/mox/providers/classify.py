"""What went wrong, told apart: one `ErrorKind`, one message and one mend for each way to fail.

Works on what the wire said (status, body, headers, moments), so that an SDK's exceptions and a
bare HTTP client's answers come out alike; `mox.providers.attempt` takes an SDK's exceptions apart.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mox.errors import ProviderError
from mox.providers.charging import GAVE_UP
from mox.providers.standing import duration_s, retry_after_s, standing
from mox.secrets import scrub
from mox.types.providers import ErrorKind, Resource, Usage

LONGEST = 300
"""Characters of a provider's message that are repeated."""

MENDS: dict[ErrorKind, str] = {
    "rate_limit_requests": "wait, ask less often, or state this account's limits to the pool.",
    "rate_limit_tokens": "wait, ask for fewer tokens, or state this account's limits to the pool.",
    "rate_limit_input": "wait, send less, or state this account's limits to the pool.",
    "rate_limit_output": "wait, or state this account's limits to the pool.",
    "acceleration": "raise the load more slowly.",
    "quota_exhausted": "waiting doesn't help: raise the account's credit or spending limit with"
    " the provider, or use another account.",
    "overloaded": "the provider itself is overloaded: wait, or use another one.",
    "server": "the fault is the provider's: try again later, and name the request id to it.",
    "timeout_connect": "check the address and the network.",
    "timeout_first_byte": "try again, or see the provider's status page.",
    "timeout_stall": "try again, or see the provider's status page.",
    "timeout_total": "raise timeout_s, or ask for fewer output tokens.",
    "connection": "check the address, the network and whether the server runs.",
    "stream_error": "try again, and name the request id to the provider if it stays.",
    "truncated": "try again: an answer that isn't whole is never returned.",
    "malformed": "check that the address is an API's; a proxy or a login page may answer instead.",
    "unusable": "see what the provider says of that reason; what it made may be billed, so it"
    " isn't asked again.",
    "bad_request": "change what the message names.",
    "auth": "check which key is used (`mox doctor` names the variable), and what it may do.",
    "model_not_found": "check the model's name, and that this account may use it.",
    "context_length": "send less, ask for fewer output tokens, or take a model of longer context.",
    "content_filter": "change the text that the provider's filter refused.",
    "cancelled": "it was ended at the other side; ask again if it is still wanted.",
    "client_limited": "open fewer requests at once: no connection was free.",
}

_CODES: dict[str, ErrorKind] = {
    "insufficient_quota": "quota_exhausted",
    "credit_balance_exhausted": "quota_exhausted",
    "billing_hard_limit_reached": "quota_exhausted",
    "billing_not_active": "quota_exhausted",
    "billing_error": "quota_exhausted",
    "enforced_spend_limit_reached": "quota_exhausted",
    "contract_spend_limit_reached": "quota_exhausted",
    "linked_organization_spend_limit_reached": "quota_exhausted",
    "linked_organization_billing_unavailable": "quota_exhausted",
    "organization_on_hold": "quota_exhausted",
    "ramp_limit_exceeded": "acceleration",
    "overloaded_error": "overloaded",
    "slow_down": "overloaded",
    "server_is_overloaded": "overloaded",
    "context_length_exceeded": "context_length",
    "exceed_context_size_error": "context_length",
    "request_too_large": "context_length",
    "string_above_max_length": "context_length",
    "content_filter": "content_filter",
    "content_policy_violation": "content_filter",
    "invalid_prompt": "content_filter",
    "bio_policy": "content_filter",
    "model_not_found": "model_not_found",
    "deploymentnotfound": "model_not_found",
    "invalid_api_key": "auth",
    "authentication_error": "auth",
    "permission_error": "auth",
    "cancelled": "cancelled",
}
"""By `code`, `type` or `error_code`, in lower case, whatever the status: what they say is
narrower. OpenAI's and Anthropic's own, Azure's `DeploymentNotFound`, llama.cpp's context error."""

_LONG = re.compile(
    r"maximum context length|context window|prompt is too long|too many (?:input )?tokens",
    re.IGNORECASE,
)
_TOO_LARGE = re.compile(r"request too large|must be reduced", re.IGNORECASE)
_MODEL = re.compile(r"\bmodel\b", re.IGNORECASE)
_FASTER = re.compile(r"acceleration limit", re.IGNORECASE)
_SPENT = re.compile(r"exceeded your current quota|credit balance is too low|insufficient balance",
                    re.IGNORECASE)  # fmt: skip
_AGAIN = re.compile(r"try again in ((?:[0-9.]+(?:ms|h|m|s))+)", re.IGNORECASE)
_STATUS = re.compile(r"[45][0-9]{2}")
_HTML = re.compile(r"\s*<(?:!doctype|html)", re.IGNORECASE)
_LIMITS: list[tuple[re.Pattern[str], ErrorKind]] = [
    (re.compile(r"input tokens", re.IGNORECASE), "rate_limit_input"),
    (re.compile(r"output tokens", re.IGNORECASE), "rate_limit_output"),
    (re.compile(r"requests per|\bRPM\b|\bRPD\b|concurrent (?:connections|requests)", re.IGNORECASE),
     "rate_limit_requests"),
    (re.compile(r"tokens per|\bTPM\b|\bTPD\b", re.IGNORECASE), "rate_limit_tokens"),
]  # fmt: skip
_LIMIT_OF: dict[Resource, ErrorKind] = {
    "requests": "rate_limit_requests",
    "tokens": "rate_limit_tokens",
    "input": "rate_limit_input",
    "output": "rate_limit_output",
}


@dataclass(frozen=True, slots=True)
class Said:
    """What a provider said of its refusal, from whichever wire."""

    message: str = ""
    code: str = ""
    """The narrowest of `error_code`, `code` and `type` that is known here, else the first."""
    type: str = ""
    html: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Who was asked, and what the response's head said."""

    name: str
    """Of the provider and what it is asked for, for messages: `openai (gpt-6)`."""
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case."""

    @property
    def request_id(self) -> str | None:
        """The provider's own name of the request."""
        return self.headers.get("x-request-id") or self.headers.get("request-id")


def said_in(body: Any) -> Said:
    """What an error's body says: OpenAI's, Anthropic's, FastAPI's or Ollama's shape, or text."""
    if isinstance(body, str | bytes):
        text = body if isinstance(body, str) else body.decode(errors="replace")
        return Said(text.strip(), html=bool(_HTML.match(text)))
    if not isinstance(body, Mapping):
        return Said()
    inner = body.get("error", body)
    if not isinstance(inner, Mapping):
        return Said(str(inner))
    details = inner.get("details")
    narrow = details.get("error_code") if isinstance(details, Mapping) else None
    names = [str(name) for name in (narrow, inner.get("code"), inner.get("type")) if name]
    known = [name for name in names if name.lower() in _CODES]
    message = inner.get("message") or inner.get("detail") or ""
    return Said(str(message), (known or names or [""])[0], str(inner.get("type") or ""))


def refused(place: Place, said: Said) -> ProviderError:
    """The error for an answer with a status of 400 or more."""
    status = place.status or 0
    named = _CODES.get(said.code.lower())
    if named is None or (named == "auth" and status not in {0, 401, 403}):
        named = _by_status(place, said)
    return failed(named, place, _quoted(said, status), wait_s=_wait(place, said),
                  billable=_made_something(named, status))  # fmt: skip


def broken(place: Place, said: Said) -> ProviderError:
    """The error for an error's event inside a stream that began well."""
    message = _quoted(said, None)
    return failed(_by_name(place, said), place, f"in mid-answer: {message}",
                  wait_s=_wait(place, said), billable=True)  # fmt: skip


def reported(place: Place, said: Said) -> ProviderError:
    """The error for an answer that is nothing but one, though its status is 200."""
    kind, message = _by_name(place, said), _quoted(said, None)
    status = int(said.code) if _STATUS.fullmatch(said.code) else None
    return failed(kind, place, f"an error for an answer: {message}", wait_s=_wait(place, said),
                  billable=_made_something(kind, status) or None)  # fmt: skip


def failed(
    kind: ErrorKind, place: Place, what: str, *, mend: str | None = None,
    wait_s: float | None = None, usage: Usage | None = None, billable: bool | None = None,
) -> ProviderError:  # fmt: skip
    """An error of a kind, with its mend, its place and nothing secret in it."""
    return ProviderError(
        scrub(f"{place.name}: {what}"),
        mend=mend or MENDS[kind],
        kind=kind,
        status=place.status,
        retry_after_s=wait_s,
        request_id=place.request_id,
        usage=usage,
        billable=billable,
    )


def _made_something(kind: ErrorKind, status: int | None) -> bool:
    """Whether something may have been made of what was refused. Azure bills what its filter
    stopped, also where it did so before an answer (its page on content filtering), and may bill a
    400 for an over-long prompt (that on managing costs)."""
    too_long = kind == "context_length" and status == 400
    return kind == "content_filter" or too_long or status in GAVE_UP


def _by_name(place: Place, said: Said) -> ErrorKind:
    """Where the response's own status says nothing: gateways name the one that they got as the
    error's code."""
    kind = _CODES.get(said.code.lower())
    if kind is None and _STATUS.fullmatch(said.code):
        kind = _by_status(replace(place, status=int(said.code)), said)
    if kind is None and said.code in {"rate_limit_error", "rate_limit_exceeded"}:
        kind = _named_limit(place, said) or "rate_limit_tokens"
    return kind or "stream_error"


def _by_status(place: Place, said: Said) -> ErrorKind:
    status = place.status or 0
    if status == 429:
        return _limited(place, said)
    if status in {503, 529}:
        return "overloaded"
    if status >= 500 or status in {408, 409}:
        return "server"
    if status == 402 or _SPENT.search(said.message):
        return "quota_exhausted"
    if status in {401, 403}:
        return "auth"
    if status == 413 or _LONG.search(said.message):
        return "context_length"
    if status == 404 and not said.html and _MODEL.search(said.message):
        return "model_not_found"
    if status == 499:
        return "cancelled"
    return "bad_request"


def _limited(place: Place, said: Said) -> ErrorKind:
    """Which of the meanings of a 429: the whole quota, or one of the limits."""
    if _SPENT.search(said.message):
        return "quota_exhausted"
    if _FASTER.search(said.message):
        return "acceleration"
    named = _named_limit(place, said)
    # Anthropic names a wait with each limit that refills; where nothing tells of one, it is a cap
    # on spending.
    if named is None and said.type == "rate_limit_error" and _wait(place, said) is None:
        return "quota_exhausted"
    return named or "rate_limit_tokens"


def _named_limit(place: Place, said: Said) -> ErrorKind | None:
    """By OpenAI's `type`, by the message, by which of the headers says that nothing is left."""
    if _TOO_LARGE.search(said.message):
        return "context_length"  # more than the limit allows at all: waiting doesn't help
    if said.type in {"requests", "tokens"}:
        return _LIMIT_OF["requests" if said.type == "requests" else "tokens"]
    for words, kind in _LIMITS:
        if words.search(said.message):
            return kind
    left = standing(place.headers)
    spent = [name for name, value in (left.remaining if left else {}).items() if value <= 0]
    order: list[Resource] = ["input", "output", "requests", "tokens"]
    return next((_LIMIT_OF[name] for name in order if name in spent), None)


def _wait(place: Place, said: Said) -> float | None:
    """Of the headers, else of OpenAI's `Please try again in 2.598s`."""
    asked = retry_after_s(place.headers)
    if asked is None and (found := _AGAIN.search(said.message)):
        asked = duration_s(found[1].lower())
    return asked


def _quoted(said: Said, status: int | None) -> str:
    if said.html:
        what = "an HTML page instead of JSON"
    else:
        message = " ".join(scrub(said.message).split())
        what = message if len(message) <= LONGEST else f"{message[:LONGEST]}…"
    code = f" [{said.code}]" if said.code else ""
    head = f"HTTP {status}: " if status else ""
    return f"{head}{what or 'no message'}{code}"
