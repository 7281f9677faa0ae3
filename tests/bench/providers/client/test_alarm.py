"""Moments that the loop hears of."""

from __future__ import annotations

import asyncio
import sys
import time

import pytest

from mox.bench.providers.client.alarm import Alarm, Watch, until

EXACT = pytest.mark.parametrize(
    "exact",
    [
        pytest.param(
            True, marks=pytest.mark.skipif(sys.platform != "linux", reason="Linux' own timer")
        ),
        False,
    ],
)


@EXACT
def test_an_alarm_never_rings_before_its_moment(exact: bool) -> None:
    async def rings() -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        moments = [time.perf_counter_ns() + 700_000 * step for step in range(1, 30)]
        over = asyncio.get_running_loop().create_future()

        def ring() -> None:
            found.append((moments[len(found)], time.perf_counter_ns()))
            if len(found) == len(moments):
                over.set_result(None)
            else:
                alarm.set(moments[len(found)])

        alarm = Alarm(ring, exact=exact)
        alarm.set(moments[0])
        await asyncio.wait_for(over, 10)
        alarm.close()
        return found

    import uvloop  # its own timers may be half a millisecond early

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert all(rung >= moment for moment, rung in runner.run(rings()))


@EXACT
def test_a_moment_that_is_over_rings_at_once(exact: bool) -> None:
    async def rung() -> None:
        over = asyncio.get_running_loop().create_future()
        alarm = Alarm(lambda: over.set_result(None), exact=exact)
        alarm.set(time.perf_counter_ns() - 1_000_000_000)
        await asyncio.wait_for(over, 5)
        alarm.close()

    asyncio.run(rung())


def test_waiting_for_a_moment_is_never_short() -> None:
    async def waited() -> None:
        for _ in range(20):
            moment = time.perf_counter_ns() + 300_000
            await until(moment)
            assert time.perf_counter_ns() >= moment

    asyncio.run(waited())


def test_a_busy_loop_is_seen_to_lag_for_as_long_as_it_was_busy() -> None:
    async def lags() -> list[int]:
        watch = Watch()
        await asyncio.sleep(0.05)
        time.sleep(0.1)
        await asyncio.sleep(0.05)
        watch.close()
        return watch.lag_ns

    found = [lag / 1e6 for lag in asyncio.run(lags())]
    # Twenty moments passed in those 100 ms, 5 ms apart: the first was heard of 95 to 100 ms late.
    assert max(found) > 94
    assert sum(lag > 20 for lag in found) >= 15
