"""How much of exact search each trial's index finds, over all questions: no label is looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mox.evaluation.statistics import attained
from mox.results.run import approximates
from mox.results.worth import family

if TYPE_CHECKING:
    from mox.results.results import Results


@dataclass(frozen=True)
class Agreement:
    """A mean share of exact search's hits that an index found, and its bounds, which hold for all
    trials at once with 95 %: `lower` one-sided, `low` and `high` two-sided."""

    mean: float
    lower: float
    low: float
    high: float


def agreements(results: Results) -> Mapping[str, Agreement]:
    """Trial id → its agreement; trials without an index of vectors are left out."""
    import numpy as np

    trials = [trial for trial in results.finished if approximates(trial)]
    if not trials:
        return {}
    shares = np.stack([results.agreement(trial) for trial in trials], axis=1)
    groups = [question.group for question in results.questions_asked]
    kin = [family(trial) for trial in trials]
    found = attained(shares, groups, families=kin, seed=results.run.seed)
    columns = (shares.mean(axis=0), found.lower, found.low, found.high)
    return {
        trial.id: Agreement(*(float(column[at]) for column in columns))
        for at, trial in enumerate(trials)
    }
