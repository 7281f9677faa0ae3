"""What an account has left, read from a provider's headers.

OpenAI's (and most others'): `x-ratelimit-remaining-tokens: 99000`, `x-ratelimit-reset-tokens:
6m0s`, for the organisation and, with `-project-` in the name, for the project. Anthropic's:
`anthropic-ratelimit-input-tokens-remaining: 39000`, rounded to thousands, `…-reset:
2026-10-21T09:30:00Z`. Headers are given with names in lower case, or as a mapping that doesn't
mind.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from mox.types.providers import Resource, Standing

_UNITS_S = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6,
            "ns": 1e-9}  # fmt: skip
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|us|µs|ns|d|h|m|s)")
_OPENAI: dict[Resource, str] = {"requests": "requests", "tokens": "tokens"}
_ANTHROPIC: dict[Resource, str] = {
    "requests": "requests", "tokens": "tokens", "input": "input-tokens", "output": "output-tokens",
}  # fmt: skip
_ANTHROPIC_ROUNDS_TO = 1000.0
_NEARLY = 0.05
"""How far a day may be missed, as a share: resets are rounded."""


def standing(headers: Mapping[str, str], *, now: datetime | None = None) -> Standing | None:
    """The limits that a response's headers tell of; None where they tell of none.

    A value that can't be read is left out.

    Args:
        now: what times of reset are counted from; by default the response's own `date`, so that
            this machine's clock may be wrong.
    """
    return _openai(headers) or _anthropic(headers, now or _date(headers) or datetime.now(UTC))


def retry_after_s(headers: Mapping[str, str], *, now: datetime | None = None) -> float | None:
    """How long the provider asks to wait, in seconds; None where it doesn't say.

    `retry-after-ms` first, as the more precise; then `retry-after`, in seconds or as a date.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    said = headers.get("retry-after")
    seconds = _number(said)
    if seconds is not None or said is None:
        return seconds
    try:
        until = parsedate_to_datetime(said)
    except ValueError:
        return None
    return _seconds_until(until, now or _date(headers) or datetime.now(UTC))


def duration_s(text: str) -> float | None:
    """Seconds of a duration such as `6m0s`, `120ms` or `1h2m3.5s`, or of a bare number; None
    for anything else."""
    bare = _number(text)
    if bare is not None:
        return bare
    total, at = 0.0, 0
    for part in _PART.finditer(text.strip()):
        if part.start() != at:
            return None
        total += float(part[1]) * _UNITS_S[part[2]]
        at = part.end()
    return total if at and at == len(text.strip()) else None


def _openai(headers: Mapping[str, str]) -> Standing | None:
    """Of organisation and project, both of which bind, the tighter value each."""
    limit: dict[Resource, float] = {}
    remaining: dict[Resource, float] = {}
    reset_s: dict[Resource, float] = {}
    for resource, name in _OPENAI.items():
        for scope in (name, f"project-{name}"):
            whole = _number(headers.get(f"x-ratelimit-limit-{scope}"))
            left = _number(headers.get(f"x-ratelimit-remaining-{scope}"))
            wait = duration_s(headers.get(f"x-ratelimit-reset-{scope}", ""))
            if whole is not None and not _a_day(whole, left, wait):
                limit[resource] = min(whole, limit.get(resource, whole))
            if left is not None:
                remaining[resource] = min(left, remaining.get(resource, left))
            if wait is not None:
                reset_s[resource] = max(wait, reset_s.get(resource, wait))
    return Standing(limit, remaining, reset_s) if limit or remaining or reset_s else None


def _a_day(limit: float, left: float | None, reset_s: float | None) -> bool:
    """Whether a limit is a day's (Groq's of requests, and OpenAI's of its free tier), which no
    header says: what was used of it comes back at its rate. Only a day is taken for one, and not
    whatever is longer than a minute: OpenAI's and Groq's own examples of tokens fit to nothing."""
    if left is None or reset_s is None or left >= limit:
        return False
    window_s = reset_s * limit / (limit - left)
    return abs(window_s / _UNITS_S["d"] - 1) < _NEARLY


def _anthropic(headers: Mapping[str, str], now: datetime) -> Standing | None:
    limit: dict[Resource, float] = {}
    remaining: dict[Resource, float] = {}
    reset_s: dict[Resource, float] = {}
    for resource, name in _ANTHROPIC.items():
        whole = _number(headers.get(f"anthropic-ratelimit-{name}-limit"))
        left = _number(headers.get(f"anthropic-ratelimit-{name}-remaining"))
        until = _rfc3339(headers.get(f"anthropic-ratelimit-{name}-reset", ""))
        if whole is not None:
            limit[resource] = whole
        if left is not None:
            remaining[resource] = left
        if until is not None:
            reset_s[resource] = _seconds_until(until, now)
    if not (limit or remaining or reset_s):
        return None
    return Standing(limit, remaining, reset_s, rounded_to=_ANTHROPIC_ROUNDS_TO)


def _number(text: str | None) -> float | None:
    """A finite number that is not negative; None for anything else."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def _rfc3339(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


def _date(headers: Mapping[str, str]) -> datetime | None:
    try:
        return parsedate_to_datetime(headers.get("date", ""))
    except ValueError:
        return None


def _seconds_until(moment: datetime, now: datetime) -> float:
    if moment.tzinfo is None:  # an HTTP date of "-0000" is in UTC without saying so
        moment = moment.replace(tzinfo=UTC)
    if now.tzinfo is None:
        now = now.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())
