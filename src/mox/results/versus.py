"""Trials against the baseline: paired differences, randomisation tests, Holm's correction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mox.evaluation.statistics import DRAWS_PER_TEST, holm, mean_intervals, randomisation_ps
from mox.results.paired import reach

if TYPE_CHECKING:
    from mox.results.results import Results


@dataclass(frozen=True)
class Versus:
    """One trial's score less the baseline's, paired by question.

    `low`, `high`: 95 % for this trial by itself. `p`: two-sided, of a paired randomisation test;
    `p_holm`: the same corrected for all the trials that were tested with it.
    """

    trial: str
    mean: float
    low: float
    high: float
    p: float
    p_holm: float

    @property
    def sure(self) -> bool:
        """Whether the difference is one: by the corrected test, and by an interval without 0. The
        test alone takes many small gains that hide rare large losses for a difference."""
        return self.p_holm <= 0.05 and (self.low > 0 or self.high < 0)

    def document(self) -> dict[str, Any]:
        """Without the trial's name."""
        return {name: getattr(self, name) for name in ("mean", "low", "high", "p", "p_holm")}


def versus(
    results: Results,
    split: str | None,
    trials: Sequence[str] | None = None,
    measure: str | None = None,
) -> list[Versus]:
    """Finished trials against the baseline, in the order of the file, the baseline left out.

    Args:
        split: the questions that are compared on; all where None.
        trials: ids; all where None. Holm's correction is for these.
        measure: the one that is chosen by, else the first.

    Returns:
        Nothing where the baseline did not finish, or the split has no questions.
    """
    run = results.run
    names = [trial.id for trial in results.finished]
    wanted = [at for at, name in enumerate(names) if trials is None or name in trials]
    wanted = [at for at in wanted if names[at] != run.baseline]
    rows = results.rows(split)
    if run.baseline not in names or not wanted or not len(rows):
        return []
    measure = measure or run.decisive
    values = results.values(measure)[rows]
    groups = results.groups(rows)
    differences = values[:, wanted] - values[:, [names.index(run.baseline)]]
    low, high = mean_intervals(differences, groups, seed=run.seed, bounds=reach(results, measure))
    plain = randomisation_ps(
        differences, groups, at_most=DRAWS_PER_TEST * len(wanted), seed=run.seed
    )
    corrected = holm(plain)
    return [
        Versus(
            names[at],
            float(differences[:, column].mean()),
            float(low[column]),
            float(high[column]),
            float(plain[column]),
            float(corrected[column]),
        )
        for column, at in enumerate(wanted)
    ]
