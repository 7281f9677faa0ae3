"""Two workers before one strict provider: one is killed, or the Valkey that they share is.

The provider is the simulator's server, with buckets that hold a second: what comes too soon is
refused, and counted.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mox.errors import PoolWarning
from mox.providers.pool import Account, Limits, Need, redis_pool
from mox.simulation.serving import Served, serving

pytestmark = pytest.mark.timeout(120)
RATE = 10
"""Requests a second."""
CALLERS = 12
LIMITS = {"rpm": 60 * RATE, "tpm": 10_000_000, "burst_s": 1}


@pytest.fixture(scope="module")
def strict() -> Iterator[Served]:
    with serving({"time_scale": 0.01, "accounts": {"strict": {"limits": LIMITS}}}) as served:
        yield served


class Worker:
    """A process that asks, and what it said so far."""

    def __init__(self, redis_url: str, served: Served, name: str) -> None:
        script = Path(__file__).with_name("asking.py")
        self.process = subprocess.Popen(
            [sys.executable, str(script), redis_url, served.url, name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        self.answers: list[dict[str, Any]] = []
        self.warnings: list[str] = []
        assert self.process.stdout
        assert self.process.stdout.readline() == "ready\n"
        self._hearing = threading.Thread(target=self._hear)
        self._hearing.start()

    def go(self) -> None:
        assert self.process.stdin
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def _hear(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            try:
                said = json.loads(line)
            except ValueError:
                return  # killed in mid-line
            if "warning" in said:
                self.warnings.append(said["warning"])
            else:
                self.answers.append(said)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)
        self._hearing.join(10)
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe
            pipe.close()

    def between(self, first: float, last: float) -> int:
        """Answers whose turn came in an interval."""
        return sum(first <= one["at"] < last for one in self.answers)


@pytest.fixture
def two(strict: Served) -> Iterator[Callable[[str], list[Worker]]]:
    started: list[Worker] = []

    def start(redis_url: str) -> list[Worker]:
        strict.reset()
        name = uuid.uuid4().hex
        started.extend(Worker(redis_url, strict, name) for _ in range(2))
        for worker in started:
            worker.go()
        return started

    yield start
    for worker in started:
        if worker.process.returncode is None:
            worker.kill()


def refused(served: Served, workers: list[Worker]) -> int:
    [account] = served.stats()["accounts"]
    there = sum(account["rate_limited"].values())
    here = sum(one["status"] == 429 for worker in workers for one in worker.answers)
    return max(here, int(there))


def wait_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))


def test_a_killed_workers_share_is_anothers_within_a_window_and_no_limit_is_passed(
    valkey: Any, strict: Served, two: Callable[[str], list[Worker]]
) -> None:
    dies, lives = two(valkey.url)
    time.sleep(2.5)
    dies.kill()
    killed = time.monotonic()
    # By hand: at most its 12 callers' bookings are lost, 1.2 s of the rate.
    wait_until(killed + 5.5)
    lives.kill()
    assert refused(strict, [dies, lives]) == 0
    assert dies.between(0, killed) >= 5
    lost_until = killed + 2 * CALLERS / RATE
    assert lives.between(killed, lost_until) >= 0.9 * CALLERS - 1
    assert lives.between(lost_until, lost_until + 3) >= 0.9 * RATE * 3
    for first in (one["at"] for one in lives.answers):
        # Half a second's worth may go at once.
        assert lives.between(first, first + 1) <= RATE + RATE / 2 + 1


def test_without_its_valkey_each_worker_goes_on_with_its_share_and_both_come_back(
    own_valkey: Any, strict: Served, two: Callable[[str], list[Worker]]
) -> None:
    workers = two(own_valkey.url)
    time.sleep(4.0)  # each has said that it is here, and heard of the other
    own_valkey.stop()
    gone = time.monotonic()
    wait_until(gone + 4)
    own_valkey.start()
    back = time.monotonic()
    wait_until(back + 5)
    for worker in workers:
        worker.kill()
    assert refused(strict, workers) == 0
    for worker in workers:
        (said,) = worker.warnings
        assert "goes on with 1/2 of each limit, and comes back when it answers" in said
        # What waited has its turns first: the queue of both was 2.4 s long.
        assert worker.between(gone, gone + 4) <= RATE / 2 * 4 + RATE / 2 + 1
        assert worker.between(gone + 1, gone + 4) >= 0.7 * RATE / 2 * 3
    together = sum(worker.between(back + 2.5, back + 4.5) for worker in workers)
    assert 0.85 * RATE * 2 <= together <= RATE * 2.5 + 1


def test_what_was_booked_is_booked_when_a_killed_valkey_is_started_again(own_valkey: Any) -> None:
    name = uuid.uuid4().hex
    account = Account("one", Limits(tokens_per_min=6000, safety=1.0))  # 100 a second

    async def whole() -> float:
        before = redis_pool(own_valkey.url, name=name)
        await before.acquire([account], Need(input=50))
        booked = asyncio.create_task(before.acquire([account], Need(input=500)))
        await asyncio.sleep(0.1)
        own_valkey.stop()
        killed = time.monotonic()
        booked.cancel()
        with pytest.warns(PoolWarning, match="is away"):
            await asyncio.wait([booked])
        await before.aclose()
        own_valkey.start()
        after = redis_pool(own_valkey.url, name=name)
        lease = await after.acquire([account], Need(input=10))
        await after.aclose()
        return lease.began_s - killed

    # 500 + 10 tokens at 100 a second, from 0.1 s before its death on.
    assert 4.5 <= asyncio.run(whole()) <= 5.6
