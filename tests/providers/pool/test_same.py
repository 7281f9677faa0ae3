"""The books in Redis say what those in Python say, step by step, at the same times."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mox.providers.pool import Account, Limits
from mox.providers.pool.books import Books
from mox.providers.pool.forms import Ask, Booked, Closing, Refused
from mox.providers.pool.redis import _Shared

WIDE = 6e5
ACCOUNTS = (
    Account("a", Limits(requests_per_min=WIDE, tokens_per_min=WIDE), "p"),
    Account("b", Limits(requests_per_min=WIDE, tokens_per_min=2 * WIDE, ramp_per_min=0.5), "q"),
    Account("c", Limits(requests_per_min=WIDE, input_per_min=WIDE, output_per_min=WIDE), "p"),
    Account("d", Limits(output_per_min=WIDE, burst_s=0.2), "q"),
    Account("e", Limits(requests_per_min=WIDE / 10, tokens_per_min=WIDE / 10), "r"),
    Account("f", Limits(input_per_min=WIDE / 10, output_per_min=WIDE / 10), "r"),
)
"""10,000 of each a second: what is booked takes milliseconds, as the steps do. Of the last two a
tenth: there who waits is undone before those behind."""
NAN, INF = float("nan"), float("inf")
amounts = st.floats(0, 4000).map(lambda value: round(value, 3))
places = st.tuples(
    st.just("place"), st.lists(st.sampled_from(range(6)), min_size=1, max_size=4, unique=True),
    st.lists(amounts, min_size=4, max_size=4), st.sampled_from([0.0, 20_000.0]),
    st.sampled_from([0.05, 60.0]), st.sampled_from([float("inf"), 0.3]),
    st.sampled_from(["", "x", "y"]),
)  # fmt: skip
settles = st.tuples(
    st.just("settle"), st.integers(0, 50), st.sampled_from([-1, -1, -1, -1, 0, 1]),
    st.sampled_from([0.0, 0.0, 0.01]), st.sampled_from([0.0, 0.0, 0.01]), st.booleans(),
    st.one_of(st.just(NAN), st.floats(0.1, 2).map(lambda value: round(value, 3))), amounts,
)  # fmt: skip
passes = st.tuples(st.just("pass"), st.sampled_from([0.3, 2.0, 16.0, 50.0]))
looks = st.tuples(st.just("state"), st.integers(0, 5))
asides = st.tuples(st.just("aside"), st.integers(0, 5), st.sampled_from([0.0, 0.0, 3.0, INF]))
told = st.tuples(st.just("progress"), st.integers(0, 50), amounts, st.sampled_from([0.0, 10.0]))


def queue(
    which: int, sizes: list[float], leaves: list[int], seconds: float
) -> list[tuple[Any, ...]]:
    """Some wait for one account, and some of them leave."""
    waits = [("place", [which], [size] * 2, 20_000.0, 60.0, float("inf"), "") for size in sizes]
    return [*waits, *(("leave", at) for at in leaves), ("pass", seconds), waits[0]]


queues = st.builds(
    queue, st.sampled_from([4, 5]), st.lists(st.floats(300, 2000), min_size=3, max_size=6),
    st.lists(st.integers(-4, -1), min_size=1, max_size=3), st.sampled_from([0.0, 0.3, 2.0]),
)  # fmt: skip


def idle(seconds: float) -> list[tuple[Any, ...]]:
    """A load that may not grow at once has grown, rests while somebody looks, and begins again."""
    uses: tuple[Any, ...] = ("place", [1], [1.0] * 2, 0.0, 60.0, INF, "")
    grows = [step for _ in range(6) for step in (uses, ("pass", 50.0))]
    return [*grows, ("state", 1), ("pass", seconds), ("state", 1), ("pass", 0.3), uses]


def numbers(found: Any) -> list[Any]:
    if isinstance(found, Refused):
        return [found.wait_s]
    if isinstance(found, list):
        [state] = found
        return [
            *state["levels"], *state["rates"], state["held_s"], state["aside"], state["aside_s"],
            state["flow"], state["waiting"], state["running"], state["closed_s"],
        ]  # fmt: skip
    if isinstance(found, Booked):
        here = [found.account, found.wait_s, found.speed, *found.marks, *found.ends]
        return [*here, *numbers(found.view)]
    holes = [place for each in found.holes for hole in each for place in hole]
    return [*found.granted, *found.corrected, *found.rates, found.held_s, *holes]


async def play(url: str, steps: list[tuple[Any, ...]], let_pass: Callable[..., Any]) -> None:
    shared, books = _Shared(url, uuid.uuid4().hex), Books(lambda *_: None)
    held: list[tuple[str, Account, tuple[float, ...], Booked]] = []
    try:
        for number, step in enumerate(steps):
            if step[0] == "pass":
                if shared._time[0]:
                    await let_pass(shared, step[1])
                continue
            if step[0] == "place":
                _, which, sizes, speed, wait, ahead, tenant = step
                accounts = [ACCOUNTS[at] for at in which]
                costs = [tuple(sizes[: len(each.limits.resources)]) for each in accounts]
                ask = Ask(
                    accounts, costs, f"l{number}", wait, ahead, tenant, 1.0,
                    [speed] * len(accounts),
                )  # fmt: skip
                there: Any = await shared.place(ask)
                here: Any = books.place(ask, shared._time[0])
                if isinstance(here, Booked):
                    at = here.account
                    held.append((ask.lease, accounts[at], costs[at], here))
            elif held and step[0] == "settle":
                _, at, verdict, hold, aside, undo, share, left = step
                lease, account, costs_of, booked = held.pop(at % len(held))
                size = len(costs_of)
                closing = Closing(
                    lease, tuple(cost if undo else cost / 2 for cost in costs_of), flow=left / 10,
                    undo=undo, ends=booked.ends if undo else (),
                    hit=booked.marks if hold else (), hold_s=hold, slower=hold > 0 and undo,
                    verdict=verdict, aside_s=aside, why="so" if aside else "",
                    left=(left - 2000,) * size, share=(share,) * size,
                )  # fmt: skip
                there = await shared.settle(account, closing, 0)
                here = books.settle(account, closing, shared._time[0])
            elif held and step[0] == "leave":
                lease, account, costs_of, booked = held.pop(max(step[1], -len(held)))
                closing = Closing(lease, costs_of, undo=True, ends=booked.ends)
                there = await shared.settle(account, closing, 0)
                here = books.settle(account, closing, shared._time[0])
            elif held and step[0] == "progress":
                _, at, flow, beyond = step
                lease, account, *_ = held[at % len(held)]
                if account.limits.output is None:
                    continue
                there = await shared.progress(account, lease, flow, beyond, 0)
                here = books.progress(account, lease, flow, beyond, shared._time[0])
            elif step[0] == "state":
                there = await shared.state([ACCOUNTS[step[1]]])
                here = books.state([ACCOUNTS[step[1]]], shared._time[0])
                assert here[0]["why"] == there[0]["why"]
            elif step[0] == "aside":
                account = ACCOUNTS[step[1]]
                there = await shared.aside(account, "so", step[2])
                books.aside(account, "so", step[2], shared._time[0])
                here = books.view(account, shared._time[0])
            else:
                continue
            if isinstance(here, Refused):
                assert (here.why, here.detail) == (there.why, there.detail), (number, step)
            assert type(here) is type(there), (number, step, here, there)
            assert numbers(here) == pytest.approx(numbers(there), rel=1e-6, abs=1e-3), (
                number, step, here, there,
            )  # fmt: skip
    finally:
        await shared.aclose()


idles = st.builds(idle, st.sampled_from([10.0, 61.0]))


@settings(
    max_examples=60, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(
    steps=st.lists(
        st.one_of(places, places, places, settles, told, passes, queues, looks, asides, idles),
        min_size=5,
        max_size=40,
    )
)
def test_both_books_say_the_same(valkey, let_pass, steps: list[Any]) -> None:
    flat = [one for step in steps for one in (step if isinstance(step, list) else [step])]
    asyncio.run(play(valkey.url, flat, let_pass))
