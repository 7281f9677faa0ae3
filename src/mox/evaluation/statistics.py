"""Intervals, simultaneous bounds and paired tests: all that choosing and reporting stand on."""

from mox.evaluation.comparison import simultaneous_interval, simultaneous_lower
from mox.evaluation.groups import GroupSums, group_sums
from mox.evaluation.intervals import bootstrap_means, interval_methods
from mox.evaluation.optimism import optimism
from mox.evaluation.power import (
    questions_needed,
    questions_to_separate,
    smallest_difference,
    smallest_margin,
)
from mox.evaluation.randomisation import holm, randomisation_p, randomisation_ps
from mox.evaluation.resampling import FEW, scope

__all__ = [
    "FEW",
    "GroupSums",
    "bootstrap_means",
    "group_sums",
    "holm",
    "interval_methods",
    "optimism",
    "questions_needed",
    "questions_to_separate",
    "randomisation_p",
    "randomisation_ps",
    "scope",
    "simultaneous_interval",
    "simultaneous_lower",
    "smallest_difference",
    "smallest_margin",
]
