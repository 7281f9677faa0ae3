"""A small limit of output, in virtual time: our books against the simulator's strict gates."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from mox.providers.pool import Account, Limits
from mox.providers.pool.books import Books
from mox.providers.pool.forms import Ask, Booked, Closing, View
from mox.simulation.config import Limits as Strict
from mox.simulation.limits import Cost, Gate, Production

FIRST_S, MOST = 0.15, 512
LIKE = (math.exp(5), 333.0)
"""Of a kind of answers, the median length and the tokens a second."""
PROCESSES, CALLERS = 4, 32


class World:
    """Callers in a closed loop, of several processes that know what their own calls told them.

    Args:
        kinds: of answers; each process has one, by turns.
        tells_s: how often the pool hears of a running answer, as `Pooled` does; never where 0.
    """

    def __init__(
        self, limits: Limits, strict: Strict, *, seed: int,
        kinds: Sequence[tuple[float, float]] = (LIKE,), tells_s: float = 0.0,
    ) -> None:  # fmt: skip
        self.kinds, self.tells_s = kinds, tells_s
        self.draws = random.Random(seed)  # noqa: S311
        self.accounts = [Account(f"a{at}", limits, "p") for at in range(3)]
        self.gates = [Gate(strict, now_s=0.0) for _ in self.accounts]
        self.books = Books(lambda *_: None)
        self.heap: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self.numbers = itertools.count()
        self.lines: dict[tuple[int, int], deque[dict[str, Any]]] = {
            (process, at): deque() for process in range(PROCESSES) for at in range(3)
        }
        self.views: dict[tuple[int, int], tuple[View, float]] = {}
        self.outputs: list[list[int]] = [[] for _ in range(PROCESSES)]
        self.speeds = [0.0] * PROCESSES
        self.refused = 0

    def later(self, at_s: float, act: Callable[..., None], *given: Any) -> None:
        heapq.heappush(self.heap, (at_s, next(self.numbers), act, given))

    def run(self, seconds: float) -> float:
        """Share of the limit of output that was used after the first 40 s."""
        for caller in range(CALLERS):
            self.later(0.001 * caller, self.ask, caller % PROCESSES)
        before = None
        while self.heap[0][0] < seconds:
            now, _, act, given = heapq.heappop(self.heap)
            if before is None and now > 40:
                before, since = self.charged(now), now
            act(now, *given)
        assert before is not None
        allowed = sum(gate.buckets["output"].rate for gate in self.gates) * (seconds - since)
        return (self.charged(seconds) - before) / allowed

    def charged(self, now: float) -> float:
        for gate in self.gates:
            gate.bring_to(now)
        return sum(gate.buckets["output"].charged for gate in self.gates)

    def ask(self, now: float, process: int) -> None:
        last = self.outputs[process][-64:]
        mean = sum(last) / len(last) if len(last) >= 3 else MOST
        given = float(self.draws.randint(50, 400))
        costs = [(1.0, given, mean)] * 3
        speeds = [self.speeds[process]] * 3
        ask = Ask(self.accounts, costs, str(next(self.numbers)), 600, 600, speeds=speeds)
        booked = self.books.place(ask, now)
        assert isinstance(booked, Booked)
        median, speed = self.kinds[process % len(self.kinds)]
        most = max(MOST, 4 * int(median))
        length = min(most, max(1, int(self.draws.lognormvariate(math.log(median), 0.5))))
        call = {
            "lease": ask.lease, "marks": booked.marks, "input": given, "cost": mean,
            "length": length, "speed": booked.speed, "makes": speed, "told": 0.0,
        }  # fmt: skip
        self.lines[process, booked.account].append(call)
        self.hear(now, process, booked.account, booked.view)

    def hear(self, now: float, process: int, at: int, view: View) -> None:
        self.views[process, at] = (view, now)
        self.move(now, process, at)

    def move(self, now: float, process: int, at: int) -> None:
        line = self.lines[process, at]
        while line:
            view, heard = self.views[process, at]
            rows = zip(line[0]["marks"], view.granted, view.rates, strict=True)
            due = max(heard, *(heard + (mark - granted) / rate for mark, granted, rate in rows))
            if due > now + 1e-9:
                self.later(due + 0.0002, self.move, process, at)
                return
            # A busy machine and the network: 20 ms in the mean.
            self.later(
                now + self.draws.expovariate(50), self.arrive, process, at, line.popleft(), now
            )

    def arrive(self, now: float, process: int, at: int, call: dict[str, Any], began: float) -> None:
        gate, cost = self.gates[at], Cost(int(call["input"]), int(call["input"]), MOST)
        if gate.ask(cost, now) is not None:
            self.refused += 1
        gate.charge(cost, now)
        due = [now + FIRST_S + token / call["makes"] for token in range(1, call["length"] + 1)]
        gate.produce(Production(due, [1] * call["length"]))
        self.later(due[-1], self.done, process, at, call, began)
        call["told_s"] = began
        if self.tells_s:
            for number in range(1, int((due[-1] - now) / self.tells_s) + 1):
                self.later(now + number * self.tells_s, self.tell, process, at, call, now)

    def flow(self, now: float, call: dict[str, Any], made: float) -> float:
        """What was made beyond what the book takes it to be."""
        return made - call["told"] - call["speed"] * (now - call["told_s"])

    def tell(self, now: float, process: int, at: int, call: dict[str, Any], sent: float) -> None:
        made = (now - sent - FIRST_S) * call["makes"]
        if made <= call["told"]:
            return
        beyond = max(made, call["cost"]) - max(call["told"], call["cost"])
        flow = self.flow(now, call, made)
        call["told"], call["told_s"] = made, now
        view = self.books.progress(self.accounts[at], call["lease"], flow, beyond, now)
        self.hear(now, process, at, view)

    def done(self, now: float, process: int, at: int, call: dict[str, Any], began: float) -> None:
        length, speed = call["length"], call["length"] / (now - began)
        flow, back = self.flow(now, call, length), max(call["cost"], call["told"]) - length
        closing = Closing(call["lease"], (0, 0, back), verdict=1, flow=flow)
        self.hear(now, process, at, self.books.settle(self.accounts[at], closing, now))
        self.outputs[process].append(length)
        known = self.speeds[process]
        self.speeds[process] = known + 0.2 * (speed - known) if known else speed
        self.ask(now, process)


@pytest.mark.parametrize("seed", [0, 1])
def test_thirty_thousand_tokens_a_minute_are_used_and_never_met(seed: int) -> None:
    limits = Limits(requests_per_min=600, input_per_min=6e6, output_per_min=30_000)
    strict = Strict(accounting="anthropic", rpm=600, itpm=6e6, otpm=30_000, burst_s=2)
    world = World(limits, strict, seed=seed)
    used = world.run(160)
    assert world.refused == 0
    assert used >= 0.90


@pytest.mark.parametrize(
    ("kinds", "least"),
    [
        (((150, 300), (150, 30)), 0.90),
        (((50, 300), (400, 30)), 0.85),
        (((800, 100), (20, 100)), 0.85),
    ],
    ids=["two speeds", "short fast ones beside long slow ones", "answers beside verdicts"],
)
def test_answers_of_two_kinds_use_one_small_limit(
    kinds: Sequence[tuple[float, float]], least: float
) -> None:
    limits = Limits(requests_per_min=6000, input_per_min=6e6, output_per_min=30_000)
    strict = Strict(accounting="anthropic", rpm=6000, itpm=6e6, otpm=30_000, burst_s=2)
    world = World(limits, strict, seed=0, kinds=kinds, tells_s=0.5)
    used = world.run(120)
    assert world.refused == 0
    assert used >= least
