"""Means and paired differences over some questions, with intervals over groups."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mox.errors import SpecError
from mox.evaluation.statistics import mean_intervals, randomisation_p
from mox.registry import nearest
from mox.results.reading import Interval

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mox.results.results import Results
    from mox.results.run import TrialRun

    Values = NDArray[np.float64]
    Rows = NDArray[np.intp]

TIED = 1e-9
"""Scores nearer than this are the same score."""


@dataclass(frozen=True)
class Difference:
    """a less b over some questions: its mean with interval, p, and who won.

    `over`: which questions: `all`, `dev`, `test`, or a kind. `p`: two-sided, paired
    randomisation by group; not corrected for looking at several.
    """

    over: str
    interval: Interval
    p: float
    groups: int
    won: int
    lost: int
    tied: int

    @property
    def told_apart(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.interval.low > 0 or self.interval.high < 0

    def document(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "over": self.over,
            **plain(self.interval),
            "p": self.p,
            "groups": self.groups,
            "won": self.won,
            "lost": self.lost,
            "tied": self.tied,
        }


def reach(results: Results, measure: str) -> tuple[float, float]:
    """Between which a difference of two scores of a measure lies: none loses more than the largest
    score that any trial has for any question. 1 for most measures; some 0.1 for an IoU."""
    import numpy as np

    values = results.values(measure)
    most = float(np.nanmax(values, initial=0.0))
    return (-most, most) if most > 0 else (-1.0, 1.0)


def difference(
    results: Results, values: Values, rows: Rows, *, over: str, measure: str
) -> Difference:
    """The mean of paired differences.

    Args:
        values: (questions,) a's score less b's, of all questions asked.
        rows: which of them.
        over: how these are called.
        measure: what they are differences of.
    """
    here = values[rows]
    groups = results.groups(rows)
    won, lost = int((here > TIED).sum()), int((here < -TIED).sum())
    return Difference(
        over=over,
        interval=mean(results, values, rows, bounds=reach(results, measure)),
        p=randomisation_p(here, groups, seed=results.run.seed),
        groups=len(set(groups)),
        won=won,
        lost=lost,
        tied=len(rows) - won - lost,
    )


def mean(
    results: Results, values: Values, rows: Rows, *, bounds: tuple[float, float] = (0.0, 1.0)
) -> Interval:
    """The mean of (questions,) values over some questions, with its interval."""
    return means(results, values[:, None], rows, bounds=bounds)[0]


def means(
    results: Results, values: Values, rows: Rows, *, bounds: tuple[float, float] = (0.0, 1.0)
) -> list[Interval]:
    """Means of (questions, columns) values over some questions, each with its interval."""
    here = values[rows]
    low, high = mean_intervals(here, results.groups(rows), seed=results.run.seed, bounds=bounds)
    found = zip(here.mean(axis=0).tolist(), low.tolist(), high.tolist(), strict=True)
    return [Interval(mean, low, high, len(rows)) for mean, low, high in found]


def plain(interval: Interval) -> dict[str, Any]:
    """An interval in JSON; null for a bound that a single question doesn't give."""
    low, high = (end if math.isfinite(end) else None for end in (interval.low, interval.high))
    return {"mean": interval.mean, "low": low, "high": high, "n": interval.n}


def bounds(low: float, high: float, *, form: str = "+.3f") -> str:
    """` [low, high]`, as a difference's unless `form` says else; empty where a single question
    gives none."""
    return "" if math.isnan(low) else f" [{low:{form}}, {high:{form}}]"


def decisive(results: Results) -> str:
    """The measure that is chosen by; the first where none is, or a cost decides."""
    return results.run.decisive


def by_importance(results: Results) -> list[str]:
    """The measures, the one that is chosen by first."""
    first = decisive(results)
    return [first, *(name for name in results.run.measures if name != first)]


def measured(results: Results, name: str | None) -> str:
    """A measure by name; the decisive one where None.

    Raises:
        SpecError: it wasn't measured; names the nearest.
    """
    if name is None:
        return decisive(results)
    if name not in results.run.measures:
        raise SpecError(
            f"{name!r} was not measured{nearest(name, results.run.measures)}.",
            mend=f"use one of {', '.join(results.run.measures)}, or add it to `measure:`.",
        )
    return name


def ranked_on(results: Results) -> str:
    """The questions that trials are ranked on: `dev` where a choice is made there, else `all`."""
    return "dev" if results.run.choose and len(results.rows("dev")) else "all"


def reported_on(results: Results) -> str:
    """The questions that a choice didn't see: `test` where there are any, else as ranked."""
    if results.run.choose and len(results.rows("test")):
        return "test"
    return ranked_on(results)


def rows_of(results: Results, split: str) -> Rows:
    """Answerable questions of `dev`, `test` or `all`."""
    return results.rows(None if split == "all" else split)


def scored(trial: TrialRun) -> TrialRun:
    """The trial, which must have finished.

    Raises:
        SpecError: it has no scores.
    """
    if trial.status != "FINISHED":
        raise SpecError(
            f"trial {trial.id} has no scores: it is {trial.status}.",
            mend="name a trial that finished; `results.leaderboard()` lists them.",
        )
    return trial
