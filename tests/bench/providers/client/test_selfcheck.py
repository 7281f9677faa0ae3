"""When a row can't be believed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mox.bench.providers.client import SelfCheck, doubt
from mox.bench.providers.client.messages import Noticed, Raw
from mox.bench.providers.client.selfcheck import noticed

FINE = SelfCheck(0.1, 29.0, 0.49, 0.1, 29.0, instrument_first_ms=29.0)


def test_a_client_that_kept_up_is_believed() -> None:
    # At a median of 300 ms to the first token, 10 % are 30 ms.
    assert doubt(FINE, ttft_p50_ms=300.0) is None


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"loop_lag_p99_ms": 31.0}, "loop lagged by 31.00 ms"),
        ({"send_lag_p99_ms": 31.0}, "sends lagged by 31.00 ms"),
        ({"cpu_share": 0.51}, "51% of a core"),
        ({"instrument_first_ms": 31.0}, "first tokens 31.00 ms late"),
        ({"client_limited": 3}, "3 requests"),
    ],
)
def test_a_client_that_did_not_keep_up_says_why(changes: dict[str, float], why: str) -> None:
    assert why in str(doubt(replace(FINE, **changes), ttft_p50_ms=300.0))  # type: ignore[arg-type]


def test_the_worst_process_speaks_for_all() -> None:
    calm = Noticed([100_000] * 100, 0.1, 1.0)
    busy = Noticed([100_000] * 98 + [9_000_000] * 2, 0.4, 1.0)
    check = noticed([calm, busy], [])
    assert (check.loop_lag_p50_ms, check.loop_lag_p99_ms, check.cpu_share) == (0.1, 9.0, 0.4)


def test_a_send_lags_behind_its_schedule_and_its_lease_but_not_behind_its_connection() -> None:
    at = 1_000_000_000
    raws = [
        Raw(0, at, sent=at + 2_000_000),
        # Let go by a pool 5 ms later, sent 1 ms after that.
        Raw(1, at, leased=at + 5_000_000, sent=at + 6_000_000),
        # 3 ms for a connection, of 4.
        Raw(2, at, connecting=3_000_000, sent=at + 4_000_000),
        Raw(3, at, failed="client_limited"),
    ]
    check = noticed([], raws)
    assert (check.send_lag_p50_ms, check.send_lag_p99_ms) == (1.0, 2.0)
    assert check.client_limited == 1
