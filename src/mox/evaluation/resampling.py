"""What is resampled: groups of questions, and under 20 of them their questions too.

Questions of one topic or document are not independent, so the group is the unit. A handful of
groups tells nothing of groups to come, though: under `FEW` of them groups are resampled first and
then the questions within each, and what is said holds *for these documents only* (`scope`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mox.evaluation.groups import Groups, GroupSums, group_index, group_sums

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Reals = NDArray[np.float64]

FEW = 20
"""Under so many groups, questions are resampled within them."""


@dataclass(frozen=True)
class Sample:
    """Values by unit of resampling: a group, or a question where there are few groups.

    `table`: sums and counts by unit. `nested`: (units,) the group of each unit where the units
    are questions, else None.
    """

    table: GroupSums
    nested: NDArray[np.intp] | None = None

    def __len__(self) -> int:
        return len(self.table)

    def weights(self, rng: np.random.Generator, draws: int) -> Reals:
        """(draws, units) weights: Dirichlet's for groups; else how often two stages drew each.

        Of a group that was drawn c times its n questions are drawn c · n times, with replacement.
        """
        units = len(self)
        if self.nested is None:
            return rng.standard_exponential((draws, units))
        sizes = np.bincount(self.nested)
        drawn = rng.multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), size=draws)
        weights = np.empty((draws, units))
        for group, size in enumerate(sizes):
            inside = self.nested == group
            weights[:, inside] = rng.multinomial(drawn[:, group] * size, np.full(size, 1 / size))
        return weights


def sample(values: Reals, groups: Groups) -> Sample:
    """The units of (questions, trials) values; unanswerable questions are left out.

    Raises:
        DataError: as `group_sums`.
    """
    table = group_sums(values, groups)
    if len(table) >= FEW:
        return Sample(table)
    kept, index = group_index(values, groups)
    return Sample(GroupSums(values[kept], np.ones(len(index))), nested=index)


def scope(groups: int) -> str:
    """What a report must say of so many groups; empty where they are enough."""
    if groups >= FEW:
        return ""
    what = "one group" if groups == 1 else f"{groups} groups"
    return (
        f"The questions are of {what} (topics or documents), under {FEW}: intervals, bounds"
        " and tests hold for these documents only."
    )
