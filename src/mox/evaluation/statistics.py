"""Intervals, simultaneous bounds and paired tests: all that choosing and reporting stand on."""

from mox.evaluation.comparison import (
    holm,
    questions_needed,
    randomisation_p,
    randomisation_ps,
    simultaneous_interval,
    simultaneous_lower,
    smallest_margin,
)
from mox.evaluation.groups import GroupSums, group_sums
from mox.evaluation.intervals import bootstrap_means, interval_methods

__all__ = [
    "GroupSums",
    "bootstrap_means",
    "group_sums",
    "holm",
    "interval_methods",
    "questions_needed",
    "randomisation_p",
    "randomisation_ps",
    "simultaneous_interval",
    "simultaneous_lower",
    "smallest_margin",
]
