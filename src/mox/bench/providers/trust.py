"""Whether what was measured is the provider's doing, and what the client says of itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TypeVar

from mox.bench.providers.client import SelfCheck, Turn, doubt
from mox.bench.providers.moments import answered, moments
from mox.bench.providers.quantiles import quantile
from mox.bench.providers.record import Record

T = TypeVar("T")


def doubted(check: SelfCheck | None, records: Sequence[Record]) -> str | None:
    """Why a round measured the client; None where it did not, or failed."""
    if check is None:
        return None
    first = [
        found.ttft_ms
        for record in records
        if answered(record) and (found := moments(record)).ttft_ms is not None
    ]
    return doubt(check, ttft_p50_ms=quantile(first, 0.5).value if first else None)


def doubt_of(turn: Turn) -> str | None:
    """The same of a turn, with the number of its round."""
    said = doubted(turn.check, turn.records)
    return None if said is None else f"round {turn.round + 1}: {said}"


def first(of: Callable[[Turn], T | None], turns: Sequence[Turn]) -> T | None:
    """What the first round has to say that says anything."""
    return next((said for turn in turns if (said := of(turn)) is not None), None)


def worst(checks: Sequence[SelfCheck]) -> dict[str, float | None]:
    """What the client says of itself, the worst of its rounds, in real milliseconds."""
    found: dict[str, float | None] = {}
    for check in map(asdict, checks):
        for name, value in check.items():
            old = found.get(name)
            found[name] = value if old is None else old if value is None else max(old, value)
    return found
