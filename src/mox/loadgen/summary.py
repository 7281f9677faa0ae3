"""What a cell's rounds amount to: medians with the spread that they stand in, and whether they
are the engine's at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mox.loadgen.cells import Cell, Measured

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SAMPLES_P99 = 1_000
"""Answers under which no 99th percentile is given: it would be the word of a handful."""
SHARE_OF_CLIENTS = 0.25
"""Of the machine's CPU: clients that take more measure themselves."""
DRAWS = 2_000


@dataclass(frozen=True)
class Spread:
    """A median, and how far it may be off."""

    median: float
    low: float
    high: float

    def document(self) -> dict[str, float]:
        return {"median": self.median, "low": self.low, "high": self.high}


def over_rounds(values: Sequence[float]) -> Spread:
    """Median of the rounds, with their least and greatest.

    The range of r independent rounds holds the true median with probability 1 − 2^(1−r): 94 %
    for 5 rounds, whatever the distribution; of a single round it says nothing.
    """
    import numpy as np

    return Spread(float(np.median(values)), min(values), max(values))


def percentile(rounds: Sequence[NDArray[np.float64]], share: float, *, seed: int = 0) -> Spread:
    """Median over the rounds of each one's percentile, with its 95 % bootstrap interval.

    Drawn twice: rounds with replacement, and within each its answers. Of a sample of n drawn
    with replacement, the q-quantile lies at the Beta((n+1)q, (n+1)(1−q)) quantile of what was
    drawn from, so no sample is really drawn.

    Args:
        rounds: latencies of each round; at least one isn't empty.
        share: in (0, 1).
    """
    import numpy as np

    whole = [np.sort(values) for values in rounds if len(values)]
    median = float(np.median([np.quantile(values, share) for values in whole]))
    draw = np.random.default_rng(seed)
    taken = draw.integers(0, len(whole), (DRAWS, len(whole)))
    found = np.empty(taken.shape)
    for at, values in enumerate(whole):
        places = taken == at
        n = len(values) + 1
        quantiles = draw.beta(n * share, n * (1 - share), int(places.sum()))
        found[places] = np.quantile(values, quantiles)
    low, high = np.quantile(np.median(found, axis=1), [0.025, 0.975])
    return Spread(median, min(median, float(low)), max(median, float(high)))


def invalid(measured: Measured, cores: int) -> str | None:
    """Why a row says nothing about the engine; None where it may be believed.

    An engine inside the client can't be held to this: there the two are one.
    """
    if measured.cell.subject.in_client or not measured.rounds:
        return None
    spent = sum(measured.each("client_cpu_s"))
    share = spent / (cores * sum(measured.each("wall_s")))
    if share <= SHARE_OF_CLIENTS:
        return None
    return (
        f"clients took {100 * share:.0f} % of the {cores} cores, over"
        f" {100 * SHARE_OF_CLIENTS:.0f} %: their own speed is in these figures"
    )


def summary(measured: Measured, *, cores: int, seed: int = 0) -> dict[str, Any]:
    """The plain figures of one cell. See `Measured`; at least one answer came.

    Returns:
        `qps`, `p50_ms`, `p95_ms`, `p99_ms`: {median, low, high} (p99 None under `SAMPLES_P99`
        answers, and then `p99_why` says so); `answers`, `errors` (what was said → times),
        `engine_cpu_ms` and `client_cpu_ms` an answer, `engine_cores` busy on average, `others`
        (share of the machine that went to neither), `invalid`; with a writer `inserted_per_s`;
        of a cold cell `open_s` and `first_ms`, each client's first answer after opening: the
        other latencies are mostly of a collection that the round itself has warmed.
    """
    cell, rounds = measured.cell, measured.rounds
    answers = sum(len(one.query) for one in rounds)
    latencies = measured.each("latency_ms")
    errors: Counter[str] = Counter()
    for one in rounds:
        errors.update(one.errors)
    found: dict[str, Any] = {
        "clients": cell.clients,
        "inserts": cell.inserts,
        "cold": cell.cold,
        "rounds": len(rounds),
        "seconds": cell.seconds,
        "answers": answers,
        "errors": dict(errors),
        "qps": over_rounds(measured.each("qps")).document(),
        "qps_rounds": measured.each("qps"),
    }
    for name, share in (("p50_ms", 0.5), ("p95_ms", 0.95), ("p99_ms", 0.99)):
        few = name == "p99_ms" and answers < SAMPLES_P99
        found[name] = (
            None if few or not answers else percentile(latencies, share, seed=seed).document()
        )
    if answers < SAMPLES_P99:
        found["p99_why"] = f"{answers} answers; a 99th percentile needs {SAMPLES_P99:,}"
    return found | _cpu(measured, answers, cores) | _during(cell, measured)


def _cpu(measured: Measured, answers: int, cores: int) -> dict[str, Any]:
    wall = sum(measured.each("wall_s"))
    client = sum(measured.each("client_cpu_s"))
    engines, machines = measured.each("engine_cpu_s"), measured.each("machine_cpu_s")
    engine = None if None in engines else sum(engines)
    machine = None if None in machines else sum(machines)
    others = None
    if machine is not None and (engine is not None or measured.cell.subject.in_client):
        others = min(1.0, max(0.0, machine - client - (engine or 0.0)) / (cores * wall))
    return {
        "engine_cpu_ms": None if engine is None or not answers else 1e3 * engine / answers,
        "client_cpu_ms": 1e3 * client / answers if answers else None,
        "engine_cores": None if engine is None else engine / wall,
        "client_share": client / (cores * wall),
        "others": others,
        "invalid": invalid(measured, cores),
    }


def _during(cell: Cell, measured: Measured) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if cell.inserts:
        # Of a writer's own time: a round lasts until its slowest search is answered.
        seconds = sum(measured.each("insert_s"))
        found["inserted_per_s"] = sum(measured.each("inserted")) / seconds
    if cell.cold:
        found["open_s"] = over_rounds(measured.each("open_s")).document()
        firsts = [one for one in measured.each("first_ms") if one is not None]
        found["first_ms"] = over_rounds(firsts).document() if firsts else None
    return found
