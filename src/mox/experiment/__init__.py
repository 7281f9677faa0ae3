"""What a user writes: read, checked against every back end's settings, expanded into trials."""

from mox.experiment.choosing import Choose, Prefer
from mox.experiment.constraints import AGREEMENT, COSTS, Constraint
from mox.experiment.experiment import Budget, Experiment, load
from mox.experiment.trials import AXES, Search, Trial

__all__ = [
    "AGREEMENT",
    "AXES",
    "COSTS",
    "Budget",
    "Choose",
    "Constraint",
    "Experiment",
    "Prefer",
    "Search",
    "Trial",
    "load",
]
