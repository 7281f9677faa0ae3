"""Whether the client could keep up, so that what it measured is the provider's doing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mox.bench.providers.client.messages import Noticed, Raw

MOST_LAG = 0.1
"""Of the median time to first token: how late the client may be, at p99, and still be believed;
and how large its own error may be, at the median, as it was measured against the simulator."""
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
    """Median error of a first token's time, measured against the simulator beforehand, at as many
    streams as the file's closed loads have callers at the most (16 where it has none, 400 at the
    most), searches left out: no less than under fewer. None where that was not done."""
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
    for what, lag_ms in (
        ("the client's loop lagged by {:.2f} ms at p99", check.loop_lag_p99_ms),
        ("the client's sends lagged by {:.2f} ms at p99", check.send_lag_p99_ms),
        ("the client sees first tokens {:.2f} ms late (median)", check.instrument_first_ms or 0.0),
    ):
        if lag_ms > MOST_LAG * ttft_p50_ms:
            return (
                f"{what.format(lag_ms)}, over {MOST_LAG:.0%} of the median time to first token"
                f" ({ttft_p50_ms:.1f} ms)"
            )
    return None


def noticed(said: Sequence[Noticed], raws: Sequence[Raw]) -> SelfCheck:
    """What processes noticed of themselves, and what their requests' moments tell."""
    lags = [
        (raw.sent - max(raw.scheduled, raw.leased or 0) - raw.connecting) / 1e6
        for raw in raws
        if raw.sent is not None
    ]
    loop = [[lag / 1e6 for lag in one.loop_lag_ns] for one in said]
    return SelfCheck(
        loop_lag_p50_ms=max((at(one, 0.5) for one in loop), default=0.0),
        loop_lag_p99_ms=max((at(one, 0.99) for one in loop), default=0.0),
        cpu_share=max((one.cpu_s / one.wall_s for one in said), default=0.0),
        send_lag_p50_ms=at(lags, 0.5),
        send_lag_p99_ms=at(lags, 0.99),
        client_limited=sum(raw.failed == "client_limited" for raw in raws),
    )


def at(values: Sequence[float], share: float) -> float:
    """The value that a share of values doesn't exceed; 0 of none."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))] if ranked else 0.0
