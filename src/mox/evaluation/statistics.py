"""Intervals, simultaneous bounds and paired tests: all that choosing and reporting stand on."""

from mox.evaluation.attained import attained
from mox.evaluation.comparison import Bounds, simultaneous
from mox.evaluation.groups import GroupSums, as_many, design_effect, group_sums
from mox.evaluation.intervals import interval_methods, mean_intervals
from mox.evaluation.optimism import optimism
from mox.evaluation.power import (
    questions_needed,
    questions_to_separate,
    smallest_difference,
    smallest_margin,
)
from mox.evaluation.randomisation import (
    DRAWS_PER_TEST,
    holm,
    may_be_best,
    randomisation_p,
    randomisation_ps,
)
from mox.evaluation.resampling import FEW, scope

__all__ = [
    "DRAWS_PER_TEST",
    "FEW",
    "Bounds",
    "GroupSums",
    "as_many",
    "attained",
    "design_effect",
    "group_sums",
    "holm",
    "interval_methods",
    "may_be_best",
    "mean_intervals",
    "optimism",
    "questions_needed",
    "questions_to_separate",
    "randomisation_p",
    "randomisation_ps",
    "scope",
    "simultaneous",
    "smallest_difference",
    "smallest_margin",
]
