"""Rate-limit headers, in each provider's own form."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

from mox.simulation.limits import Bucket, Denied, Gate, whole
from mox.simulation.script import Wire
from mox.types.providers import Resource

NAMES: dict[Resource, str] = {
    "requests": "requests", "tokens": "tokens", "input": "input-tokens", "output": "output-tokens",
}  # fmt: skip
ROUNDED_TO = 1000
"""Anthropic's remaining tokens."""


def standing(gate: Gate, wire: Wire, now: datetime) -> dict[str, str]:
    """What is left of a gate's buckets after a request was counted.

    Args:
        now: the date, of which Anthropic's headers give the moment of a reset.
    """
    if wire == "messages":
        return _anthropic(gate, now)
    found: dict[str, str] = {}
    for name, bucket in gate.buckets.items():
        found |= _openai(NAMES[name], bucket)
    if gate.limits.project_headers and "tokens" in gate.buckets:
        found |= _openai("project-tokens", gate.buckets["tokens"])
    return found


def _openai(name: str, bucket: Bucket) -> dict[str, str]:
    return {
        f"x-ratelimit-limit-{name}": str(whole(bucket.per_min)),
        f"x-ratelimit-remaining-{name}": str(whole(bucket.level)),
        f"x-ratelimit-reset-{name}": duration(bucket.full_in_s),
    }


def _anthropic(gate: Gate, now: datetime) -> dict[str, str]:
    rows: dict[str, tuple[float, float, float]] = {
        NAMES[name]: (bucket.per_min, bucket.level, bucket.full_in_s)
        for name, bucket in gate.buckets.items()
    }
    if "input" in gate.buckets:  # and both together
        both = [gate.buckets["input"], gate.buckets["output"]]
        rows["tokens"] = (
            sum(one.per_min for one in both),
            sum(max(0.0, one.level) for one in both),
            max(one.full_in_s for one in both),
        )
    found = {}
    for name, (limit, left, reset_s) in rows.items():
        step = 1 if name == "requests" else ROUNDED_TO
        at = now + timedelta(seconds=math.ceil(reset_s))
        found[f"anthropic-ratelimit-{name}-limit"] = str(whole(limit))
        found[f"anthropic-ratelimit-{name}-remaining"] = str(round(whole(left) / step) * step)
        found[f"anthropic-ratelimit-{name}-reset"] = at.astimezone(UTC).strftime(
            "%Y-%m-%dT%H:%M:%SZ"
        )
    return found


def duration(seconds: float) -> str:
    """A time as OpenAI writes it: `120ms`, `2.598s`, `6m0s`, `1h2m3s`."""
    ms = math.ceil(seconds * 1000 - 1e-6)
    if ms < 1000:
        return f"{ms}ms"
    if ms < 60_000:
        return f"{ms / 1000:g}s"
    minutes, rest = divmod(math.ceil(ms / 1000), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{rest}s" if hours else f"{minutes}m{rest}s"


def retry(denied: Denied, wire: Wire) -> dict[str, str]:
    """When to come again; nothing where that doesn't help."""
    if denied.wait_s is None:
        return {}
    found = {"retry-after": str(max(1, math.ceil(denied.wait_s)))}
    if wire != "messages":
        found["retry-after-ms"] = str(math.ceil(denied.wait_s * 1000))
    return found
