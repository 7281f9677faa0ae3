"""The loop that a model is asked in by who isn't asynchronous: it loses no work, and it ends."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from mox.providers import loop as module
from mox.providers.loop import OwnLoop

INTERRUPTED = """
import gc, os, signal, threading
import mox

SLOW = {"kind": "simulated", "model": "sim-swift", "time_scale": 100}


def interrupted(asked):
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        asked()
    except KeyboardInterrupt:
        timer.join()
    gc.collect()
    print(threading.active_count(), end=" ")


def forgotten():
    mox.model(SLOW, remember=False).ask("Why?", max_output_tokens=400)


def closed():
    with mox.model(SLOW, remember=False) as model:
        model.ask_many([f"{n}?" for n in range(4)], max_output_tokens=400, quiet=True)


with mox.model({**SLOW, "time_scale": 0.001}) as model:
    model.ask("warm?", max_output_tokens=3)
interrupted(forgotten)
interrupted(closed)
"""


@pytest.fixture
def own() -> Iterator[OwnLoop]:
    before = threading.active_count()
    made = OwnLoop()
    yield made
    made.close()
    assert threading.active_count() == before


def test_ctrl_c_ends_what_was_asked_and_leaves_no_thread() -> None:
    """Whoever forgets the model, so that the task holds the last reference to it, or closes it."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", INTERRUPTED],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "1 1 ", "")


def test_what_is_done_while_nobody_looks_is_not_lost(
    own: OwnLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TICK_S", 0)  # it looks all the time, and so at the worst moment
    found = [own.run(asyncio.sleep(0, n), tick=lambda: None) for n in range(2000)]
    assert found == list(range(2000))


@pytest.mark.parametrize("tick", [None, lambda: None])
def test_a_timeout_of_the_work_itself_is_its_callers(own: OwnLoop, tick: Any) -> None:
    async def late() -> None:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(5)

    with pytest.raises(TimeoutError):
        own.run(late(), tick=tick)


def test_what_is_cancelled_has_ended_when_the_interruption_is_told(own: OwnLoop) -> None:
    said: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.05)  # a booking is settled
            said.append("settled")

    def tick() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        own.run(work(), tick=tick)
    assert said == ["settled"]


def test_it_is_closed_by_its_own_work_too() -> None:
    """As where a task held the last reference to the model."""
    before = threading.active_count()
    own, said = OwnLoop(), list[str]()

    async def last() -> None:
        await asyncio.sleep(0)
        said.append("closed")

    async def work() -> str:
        own.close(last())
        return "done"

    assert own.run(work()) == "done"
    for thread in threading.enumerate():
        if thread not in (threading.main_thread(), threading.current_thread()):
            thread.join(1)
    assert (said, threading.active_count()) == (["closed"], before)


def test_what_runs_at_its_end_is_cancelled_after_the_last_work() -> None:
    own, said, tasks = OwnLoop(), list[str](), list[asyncio.Task[None]]()

    async def background() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            said.append("cancelled")

    async def begin() -> None:
        tasks.append(asyncio.create_task(background()))
        await asyncio.sleep(0)

    async def last() -> None:
        said.append("last")

    own.run(begin())
    own.close(last())
    assert said == ["last", "cancelled"]
