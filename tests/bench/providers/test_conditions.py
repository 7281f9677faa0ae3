"""Conditions: how long their rounds are, and that none repeats what another one asked."""

from __future__ import annotations

import heapq
import itertools
import random
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from mox.bench.providers.client import Target
from mox.bench.providers.conditions import Condition, at, ladder, searches
from mox.bench.providers.file import load
from mox.bench.providers.quantiles import Share
from mox.bench.providers.slo import Search, verdict
from mox.bench.providers.workloads import workloads


def conditions(**changes: Any) -> tuple[list[Condition], list[Condition]]:
    """Those of a file's ladder, and its searches at their first loads."""
    content = {
        "providers": [{"kind": "simulated", "model": "sim-swift"}],
        "workloads": [{"kind": "tokens", "input": 80, "output": 100}],
        **changes,
    }
    found = load(content)
    asked = workloads(found.workloads[0], caches=found.plain.cache, salt="0", base=Path())
    return ladder(found, asked), [one for one, _ in searches(found, asked)]


def queue(rate: float, requests: int, draw: random.Random) -> int:
    """Of requests at random moments, those that ten servers answer within 5 s; each takes 1 s."""
    free, now, met = [0.0] * 10, 0.0, 0
    for _ in range(requests):
        now += draw.expovariate(rate)
        ends = max(now, heapq.heappop(free)) + draw.uniform(0.9, 1.1)
        heapq.heappush(free, ends)
        met += ends - now <= 5
    return met


@pytest.mark.parametrize("requests", [18, 70])
def test_a_search_finds_what_a_queue_can_keep_up_and_no_burst(requests: int) -> None:
    _, (condition,) = conditions(
        loads=[{"kind": "slo", "start": 1}], slo={"e2e_ms": 5000}, requests=requests
    )
    found = []
    for seed in range(9):
        draw, search = random.Random(seed), Search(1, 256)  # noqa: S311  a queue, no secret
        while (rate := search.ask()) is not None:
            met = asked = 0
            for _ in range(3):
                one = at(condition, rate)
                met, asked = met + queue(rate, one.requests, draw), asked + one.requests
                told = verdict(Share(met, asked), 0.95)
                if told != "open":
                    break
            search.tell(rate, Share(met, asked), kept=told == "kept", answers_per_s=None)
        assert search.best is not None
        found.append(search.best.value)
    # Ten servers of one second each answer 10 a second for ever, and no more.
    assert 8 <= median(found) <= 12
    assert max(found) <= 16


@pytest.mark.parametrize(
    ("search", "slo", "value", "expected"),
    [
        ({}, {"e2e_ms": 5000}, 2, 70),  # 2 · 6 · 5 = 60: the file's own are more
        ({}, {"e2e_ms": 5000, "ttft_ms": 900}, 64, 1920),  # 64 · 6 · 5
        ({}, {"ttft_ms": 1500}, 64, 576),  # 64 · 6 · 1.5
        ({}, {"itl_ms": 20}, 64, 768),  # 100 tokens · 20 ms are 2 s; 64 · 6 · 2
        ({"arrival": "closed"}, {"e2e_ms": 5000}, 64, 256),  # four of each caller
        ({"arrival": "closed"}, {"e2e_ms": 5000}, 8, 70),
    ],
)
def test_a_probe_lasts_until_a_queue_would_have_grown(
    search: dict[str, Any], slo: dict[str, Any], value: float, expected: int
) -> None:
    _, (condition,) = conditions(loads=[{"kind": "slo", **search}], slo=slo)
    assert at(condition, value).requests == expected


@pytest.mark.parametrize("arrival", ["poisson", "closed"])
def test_a_probe_is_not_cut_short(arrival: str) -> None:
    (step,), (probe,) = conditions(
        loads=[{"kind": "poisson", "rate": 1}, {"kind": "slo", "arrival": arrival, "start": 1}],
        slo={"ttft_ms": 1500},
        seconds=10,
    )
    target = Target("sim-swift", "chat", "http://h/v1", "sim-swift", simulated=True)
    assert step.cell(target).seconds == 10
    assert probe.cell(target).seconds is None
    # … so nothing that the ladder measured is taken for one.
    assert step.name != probe.name
    assert step.cell(target).name != probe.cell(target).name


def test_a_round_of_another_length_is_another_condition_and_cell() -> None:
    (step,), (probe,) = conditions(
        loads=[{"kind": "poisson", "rate": 64}, {"kind": "slo", "start": 64}],
        slo={"ttft_ms": 1500},
    )
    target = Target("sim-swift", "chat", "http://h/v1", "sim-swift", simulated=True)
    assert (step.requests, probe.requests) == (70, 576)
    assert step.name != probe.name
    assert step.cell(target).name != probe.cell(target).name


@pytest.mark.parametrize("cache", ["off", "on"])
def test_no_load_repeats_what_another_one_asked(cache: str) -> None:
    steps, probes = conditions(
        loads=[
            {"kind": "closed", "concurrency": [1, 2]},
            {"kind": "poisson", "rate": 2},
            {"kind": "slo", "start": 64},
        ],
        slo={"ttft_ms": 1500},
        cache=[cache],
    )
    target = Target("sim-swift", "chat", "http://h/v1", "sim-swift", simulated=True)
    cells = [one.cell(target) for one in [*steps, *probes]]
    asked = [
        cell.prompts(round_, number).messages
        for cell, round_, number in itertools.product(cells, range(3), range(-2, 20))
    ]
    begins = {" ".join(messages[-1].text.split()[:20]) for messages in asked}
    assert len(begins) == len(asked) == 4 * 3 * 22
    # What requests share, all loads do.
    assert len({messages[0].text for messages in asked}) == (1 if cache == "on" else len(asked))
