"""Every condition of a file: a provider under a workload, its cache, and a load."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mox.bench.providers.client import Cell, Pooling, Target, Timeouts
from mox.bench.providers.client.jobs import WARM_AT_MOST
from mox.bench.providers.pooling import pooling
from mox.bench.providers.record import Kind, Load
from mox.bench.providers.rows import About
from mox.bench.providers.sections import Search
from mox.bench.providers.slo import EACH, SUSTAINED, longest_s
from mox.bench.providers.targets import outlives, simulated, time_scale
from mox.services import valkey
from mox.settings import settings

if TYPE_CHECKING:
    from mox.bench.providers.entries import Named
    from mox.bench.providers.file import Benchmark
    from mox.bench.providers.workloads import Workload

APART = ", for a search"
"""Ends the names of a search's conditions and cells."""
STREAMS = 200
"""Answers at once that one client process can follow and be believed."""


@dataclass(frozen=True)
class Condition:
    """One line of the table, or one probe of a search."""

    provider: Named
    workload: Workload
    load: Load
    """In the provider's time."""
    benchmark: Benchmark
    probe: bool = False
    """Whether a search asks: its rounds are as long as it takes to tell."""

    @property
    def name(self) -> str:
        """For a reader: `sim-swift short, 4 callers`. A search's rounds are its own."""
        return self.lender + (APART if self.probe else "")

    @property
    def lender(self) -> str:
        """The name of the ladder's condition of the same load and length: a search goes by its
        rounds too, where they will do."""
        load = loaded(self.load.kind, self.load.value)
        more = self.requests != self.benchmark.plain.requests
        of = f" ({self.requests} requests a round)" if more else ""
        return f"{self.provider.name} {self.workload.name}, {load}{of}"

    @property
    def requests(self) -> int:
        """Of each round, at the most. A search takes as many as an open load brings in `SUSTAINED`
        times the longest bound, and `EACH` of every caller, but no fewer than the file says."""
        plain, slo, load = self.benchmark.plain, self.benchmark.slo, self.load
        if not self.probe or slo is None:
            return plain.requests
        lasts_s = SUSTAINED * longest_s(slo, self.workload.output_tokens)
        needed = load.value * (EACH if load.kind == "closed" else lasts_s)
        return max(plain.requests, math.ceil(needed))

    @property
    def seconds(self) -> float | None:
        """After which a round ends, in the provider's time. Those of a search take all of their
        requests, or they could show nothing."""
        return None if self.probe else self.benchmark.plain.seconds

    @property
    def time_scale(self) -> float:
        return time_scale(self.provider.spec, self.benchmark.plain)

    @property
    def warm_up(self) -> int:
        """Requests before each round that nobody counts."""
        plain = self.benchmark.plain
        if plain.warm_up is not None:
            return plain.warm_up
        return min(WARM_AT_MOST, max(1, round(self.load.value)))

    def about(self) -> About:
        """What its row is of."""
        slo = self.benchmark.slo
        return About(
            self.provider.name,
            self.provider.spec.model,
            self.workload.name,
            {"kind": self.load.kind, "value": _plain(self.load.value)},
            bounds=slo.bounds if slo else None,
            simulated=simulated(self.provider.spec),
            time_scale=self.time_scale,
        )

    def cell(self, target: Target, *, drawn: str = "") -> Cell:
        """What the client is told: in its own time.

        Args:
            drawn: by chance for each call, so that a provider that outlives it is never asked
                what an earlier call, cut off in mid-round, has asked it already.
        """
        apart = APART if self.probe else ""
        load = f"{self.load.kind} {self.load.value:g} × {self.requests}{apart}"
        plain, scale = self.benchmark.plain, self.time_scale
        pool = pooling(self.provider, target, url=valkey.url(settings()))
        value = self.load.value if self.load.kind == "closed" else self.load.value / scale
        return Cell(
            target,
            self.workload.name,
            self.workload.under(f"{load} {drawn}" if outlives(self.provider.spec) else load),
            Load(self.load.kind, value),
            seconds=None if self.seconds is None else self.seconds * scale,
            requests=self.requests,
            workers=self._workers(pool),
            timeouts=Timeouts(
                first_byte_s=plain.timeout_s, stall_s=plain.timeout_s, total_s=plain.timeout_s
            ),
            warm_up=self.warm_up,
            pool=pool,
            apart=apart,
        )

    def _workers(self, pool: Pooling | None) -> int:
        alone = pool is not None and pool.url is None  # it lies in one process
        if self.load.kind != "closed" or alone:
            return 1
        return min(os.cpu_count() or 1, -(-round(self.load.value) // STREAMS))


def ladder(benchmark: Benchmark, asked: Sequence[Workload]) -> list[Condition]:
    """All conditions whose load the file says."""
    return [
        Condition(provider, workload, load, benchmark)
        for provider in benchmark.providers
        for workload in asked
        for load in _loads(benchmark)
    ]


def searches(benchmark: Benchmark, asked: Sequence[Workload]) -> list[tuple[Condition, Search]]:
    """All searches, each as a condition at its first load."""
    return [
        (Condition(provider, workload, Load(search.arrival, search.start), benchmark, True), search)
        for provider in benchmark.providers
        for workload in asked
        for search in benchmark.loads
        if isinstance(search, Search)
    ]


def at(condition: Condition, value: float) -> Condition:
    """The same under another load of its kind."""
    return replace(condition, load=Load(condition.load.kind, value))


def loaded(kind: Kind | str, value: float | None) -> str:
    """A load in words: `4 callers`, `2/s Poisson`."""
    if value is None:
        return "none"
    if kind == "closed":
        return f"{value:g} caller{'' if value == 1 else 's'}"
    return f"{value:g}/s{' Poisson' if kind == 'poisson' else ''}"


def _loads(benchmark: Benchmark) -> Iterator[Load]:
    """Each load once."""
    seen: set[Load] = set()
    for part in benchmark.loads:
        if isinstance(part, Search):
            continue
        for value in part.values:
            load = Load(part.kind, float(value))
            if load not in seen:
                seen.add(load)
                yield load


def _plain(value: float) -> float | int:
    return int(value) if value == int(value) else value


def parts(load: Mapping[str, Any]) -> str:
    """A row's load in words."""
    if load["kind"] == "slo":
        return f"most: {loaded(load['arrival'], load['value'])}"
    return loaded(load["kind"], load["value"])
