"""The Pareto frontier: trials that no other beats, over quality, latency, memory, build and cost.

A trial is dominated by another that is at least as good in every figure, as measured, and better
in one beyond the spread. So what is worse by less than its spread only is still on the frontier,
and what is on it depends on no order. Quality is compared by paired differences on the same
questions, other figures by the spread that they stand in; a build, which is timed once, by
`BUILD_TELLS`. Speeds of two jobs, whose rounds did not take turns, are never beyond the spread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mox.errors import SpecError
from mox.evaluation.intervals import student
from mox.evaluation.resampling import sample
from mox.experiment.constraints import AGREEMENT, COSTS, more_is_better
from mox.experiment.loads import TIMED
from mox.registry import nearest
from mox.results.load.apart import jobs_of
from mox.results.paired import ranked_on, reach, rows_of
from mox.results.worth import Worth, columns_of, figure, lacks

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from mox.results.results import Results
    from mox.results.run import TrialRun

    Mask = NDArray[np.bool_]
    Reals = NDArray[np.float64]

LEAST = 6
"""Of units that tell as much as fewer than these, the p of a paired test is over 5 %: 2/2^5 is
0.0625."""

BUILD_TELLS = 1.25
"""A build is timed once and beside others: under this ratio two of them took as long."""

ALIASES: Mapping[str, tuple[str, ...]] = {
    "latency": ("p95_ms",),
    "memory": ("memory_mb", "index_mb"),
    "build": ("build_s",),
    "cost": ("embed_usd", "disk_mb"),
}
"""What a figure may be called → its names, the first that trials have is meant. `quality` is the
measure that decides."""


@dataclass(frozen=True)
class Frontier:
    """Which trials no other beats.

    `by`: the figures. `trials`: ids, the best by the first figure first. `dominated`: id → the
    trial that beats it: of several the first written. `left_out`: id → why it can't be compared.
    """

    by: tuple[str, ...]
    trials: tuple[str, ...]
    dominated: Mapping[str, str]
    left_out: Mapping[str, str]
    figures: Mapping[str, Mapping[str, Worth]]
    """Trial id → figure → its value, of all that are compared."""
    labels: Mapping[str, str]
    jobs: int = 1
    """In how many the speeds among its figures were measured."""

    @property
    def df(self) -> pd.DataFrame:
        """The frontier as a frame: figures with their spreads."""
        import pandas as pd

        rows = []
        for trial in self.trials:
            row: dict[str, Any] = {"trial": trial, "configuration": self.labels[trial]}
            for name, worth in self.figures[trial].items():
                row |= {name: worth.value, f"{name} low": worth.low, f"{name} high": worth.high}
            rows.append(row)
        return pd.DataFrame(rows).set_index("trial") if rows else pd.DataFrame()

    def said(self) -> str:
        """It in a sentence."""
        compared = len(self.figures)
        out = f" {len(self.left_out)} more lack one of them." if self.left_out else ""
        if self.jobs > 1:
            out += f" Speeds are of {self.jobs} jobs: no two of different ones are told apart."
        return (
            f"{len(self.trials)} of {compared} trials are on the frontier of {', '.join(self.by)}:"
            f" no other is as good in all and better in one beyond its spread.{out}"
        )

    def __repr__(self) -> str:
        lines = [self.said()]
        for trial in self.trials:
            told = ", ".join(f"{name} {worth}" for name, worth in self.figures[trial].items())
            lines.append(f"  {trial}  {self.labels[trial]}: {told}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        from mox.results.show.markup import div, row, small, table, tag

        head = ["trial", "configuration", *self.by]
        rows = [row(head, left=2, head=True)]
        rows += [
            row(
                [tag("code", trial), self.labels[trial], *map(str, self.figures[trial].values())],
                left=2,
            )
            for trial in self.trials
        ]
        return str(div(small(self.said()), table(rows)))


def frontier(results: Results, by: Sequence[str] | None = None) -> Frontier:
    """The trials that no other dominates.

    Args:
        by: figures, or `quality`, `latency`, `memory`, `build`, `cost`; those that trials have
            where None.

    Raises:
        SpecError: no trial finished, or none has such a figure; names the nearest.
    """
    trials = results.finished
    if not trials:
        raise SpecError("no trial finished, so there is no frontier.", mend="run it again.")
    names = standard(results) if by is None else tuple(named(results, name) for name in by)
    names = tuple(dict.fromkeys(names))
    figures: dict[str, dict[str, Worth]] = {}
    left_out: dict[str, str] = {}
    for trial in trials:
        found = {name: figure(results, trial, name) for name in names}
        missing = [name for name, worth in found.items() if worth is None]
        if missing:
            left_out[trial.id] = lacks(results, trial, missing[0])
        else:
            figures[trial.id] = {name: worth for name, worth in found.items() if worth is not None}
    kept = [trial for trial in trials if trial.id in figures]
    beaten = _beaten(results, kept, figures)
    front = [trial.id for trial in kept if trial.id not in beaten]
    sign = -1 if more_is_better(names[0]) else 1
    jobs = set(jobs_of(results, kept)) if set(names) & set(TIMED) else ()
    front.sort(key=lambda name: sign * figures[name][names[0]].value)
    return Frontier(
        by=names,
        trials=tuple(front),
        dominated=beaten,
        left_out=left_out,
        figures=figures,
        labels={trial.id: results.label(trial) for trial in trials},
        jobs=len(jobs),
    )


def standard(results: Results) -> tuple[str, ...]:
    """Quality, and latency, memory, build time and cost: by what a load test measured where
    there is one, else by what all trials have."""
    found = [results.run.decisive]
    for names in ALIASES.values():
        for name in names:
            by_load = name in COSTS and COSTS[name].by_load
            if _has(results, name) if by_load else _all_have(results, name):
                found.append(name)
                break
    return tuple(found)


def named(results: Results, name: str) -> str:
    """The figure that a name means.

    Raises:
        SpecError: no trial has it.
    """
    if name == "quality":
        return results.run.decisive
    known = [*results.run.measures, *COSTS, AGREEMENT]
    known += dict.fromkeys(
        cost for costs in results.costs.values() for cost in costs if cost.startswith(AGREEMENT)
    )
    for meant in ALIASES.get(name, (name,) if name in known else ()):
        if _has(results, meant):
            return meant
    if name in ALIASES or name in known:
        raise SpecError(
            f"no trial has {' or '.join(ALIASES.get(name, (name,)))}, so there is no frontier by"
            f" {name}.",
            mend="add a `load` axis, which measures latency, throughput and memory."
            if name in ("latency", "memory", "cost") or (name in COSTS and COSTS[name].by_load)
            else f"use {', '.join(standard(results))}.",
        )
    words = ["quality", *ALIASES, *known]
    raise SpecError(
        f"no figure is called {name!r}{nearest(name, words)}.",
        mend=f"use some of {', '.join(words)}.",
    )


def _has(results: Results, name: str) -> bool:
    return any(figure(results, trial, name) is not None for trial in results.finished)


def _all_have(results: Results, name: str) -> bool:
    return all(figure(results, trial, name) is not None for trial in results.finished)


def _beaten(
    results: Results, trials: Sequence[TrialRun], figures: Mapping[str, Mapping[str, Worth]]
) -> dict[str, str]:
    """Id of each trial that is dominated → id of the first that dominates it."""
    import numpy as np

    rows = [figures[trial.id] for trial in trials]
    measures = [name for name in (rows[0] if rows else ()) if name in results.run.measures]
    surely = {name: _surely_more(results, trials, name) for name in measures}
    jobs = np.array(jobs_of(results, trials))
    for name in TIMED:
        if rows and name in rows[0]:
            surely[name] = _beyond(rows, name) & (jobs[:, None] == jobs[None, :])
    beats = dominates(rows, surely)
    return {
        trial.id: trials[int(beats[:, at].argmax())].id
        for at, trial in enumerate(trials)
        if beats[:, at].any()
    }


def dominates(rows: Sequence[Mapping[str, Worth]], surely: Mapping[str, Mask]) -> Mask:
    """(rows, rows) whether the one of a row dominates that of a column: at least as good in all
    figures, and better in one beyond the spread of both.

    Args:
        rows: figures by name; all have the same.
        surely: of some figures, (rows, rows) whether one is better beyond doubt, where that is
            known otherwise than by the spreads.
    """
    import numpy as np

    as_good = np.ones((len(rows), len(rows)), dtype=bool)
    better = np.zeros((len(rows), len(rows)), dtype=bool)
    for name in rows[0] if rows else ():
        _, value, _ = _ends(rows, name)
        as_good &= value[:, None] >= value[None, :]
        if name in surely:
            better |= surely[name]
        elif name == "build_s":
            better |= value[None, :] < BUILD_TELLS * value[:, None]  # both are negative
        else:
            better |= _beyond(rows, name)
    return as_good & better


def _beyond(rows: Sequence[Mapping[str, Worth]], name: str) -> Mask:
    """(rows, rows) whether a figure is better than another beyond the spread of both."""
    low, _, high = _ends(rows, name)
    found: Mask = low[:, None] > high[None, :]
    return found


def _ends(rows: Sequence[Mapping[str, Worth]], name: str) -> Reals:
    """(3, rows) the worst, the value and the best of a figure, turned so that more is better."""
    import numpy as np

    sign = 1 if more_is_better(name) else -1
    ends = [(one[name].low, one[name].value, one[name].high) for one in rows]
    return sign * np.array(ends, dtype=float).T[::sign]


def _surely_more(results: Results, trials: Sequence[TrialRun], measure: str) -> Mask:
    """(trials, trials) whether a trial's mean exceeds another's by more than the 95 % interval of
    their paired difference, by groups of questions; by questions under 20 groups (`resampling`).

    It has to do so with one unit more, of the mean size, that it lost by the most that can be lost
    (`reach`): many small gains don't show that there are no rare large losses. So at least seven
    units differ.
    """
    import numpy as np

    rows = rows_of(results, ranked_on(results))
    columns = columns_of(results, trials)
    table = sample(results.values(measure)[rows][:, columns], results.groups(rows)).table
    counts, units = table.counts, len(table)
    if table.effective < LEAST:
        return np.zeros((len(columns), len(columns)), dtype=bool)
    # Σd, Σd² and Σdc are of d, a unit's sum of one trial less that of the other, and its size c.
    more = float(counts.mean())
    lost = more * reach(results, measure)[1]
    raw, totals, by_size = table.sums.T @ table.sums, table.sums.sum(axis=0), table.sums.T @ counts
    every = counts.sum() + more
    mean = (totals[:, None] - totals[None, :] - lost) / every
    squares = np.diag(raw)[:, None] + np.diag(raw)[None, :] - 2 * raw + lost**2
    sized = by_size[:, None] - by_size[None, :] - lost * more
    rest = squares - 2 * mean * sized + mean**2 * ((counts**2).sum() + more**2)
    spread = student(0.975, table.effective - 1) * np.sqrt(rest * (units + 1) / units) / every
    return np.asarray(mean > spread)
