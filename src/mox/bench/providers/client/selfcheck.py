"""Whether the client could keep up, so that what it measured is the provider's doing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MOST_LAG = 0.1
"""Of the median time to first token: how late the client may be, at p99, and still be believed."""
MOST_CPU = 0.5
"""Of one core: beyond, chunks wait for each other."""


@dataclass(frozen=True, slots=True)
class SelfCheck:
    """What a client noticed of itself during a round; the worst of its processes."""

    loop_lag_p50_ms: float
    loop_lag_p99_ms: float
    """How late the loop heard of a moment that it had asked for, every 5 ms."""
    cpu_share: float
    """Processor time over wall time."""
    send_lag_p50_ms: float = 0.0
    send_lag_p99_ms: float = 0.0
    """From when a request was meant to go (and the pool had let it) to when it went; without the
    time that opening a connection took."""
    client_limited: int = 0
    """Requests that were never sent because the client had no sockets left."""
    instrument_first_ms: float | None = None
    """Median error of a first token's time, measured against the simulator at this many streams;
    None where that was not done."""
    instrument_later_ms: float | None = None
    """The same of later tokens."""


def doubt(check: SelfCheck, *, ttft_p50_ms: float | None) -> str | None:
    """Why a row can't be believed; None where it can.

    Args:
        ttft_p50_ms: of the row; None where nothing was answered.
    """
    if check.client_limited:
        return f"the client could not send {check.client_limited} requests: no sockets left"
    if check.cpu_share > MOST_CPU:
        return f"the client used {check.cpu_share:.0%} of a core (at most {MOST_CPU:.0%})"
    if ttft_p50_ms is None:
        return None
    most = MOST_LAG * ttft_p50_ms
    for what, lag in (("loop", check.loop_lag_p99_ms), ("sends", check.send_lag_p99_ms)):
        if lag > most:
            return (
                f"the client's {what} lagged by {lag:.2f} ms at p99, over"
                f" {MOST_LAG:.0%} of the median time to first token ({ttft_p50_ms:.1f} ms)"
            )
    return None


def worst(checks: Sequence[SelfCheck]) -> SelfCheck:
    """One for several processes: the worst of each figure, and the sum of what was not sent."""
    return SelfCheck(
        loop_lag_p50_ms=max(check.loop_lag_p50_ms for check in checks),
        loop_lag_p99_ms=max(check.loop_lag_p99_ms for check in checks),
        cpu_share=max(check.cpu_share for check in checks),
        send_lag_p50_ms=max(check.send_lag_p50_ms for check in checks),
        send_lag_p99_ms=max(check.send_lag_p99_ms for check in checks),
        client_limited=sum(check.client_limited for check in checks),
    )
