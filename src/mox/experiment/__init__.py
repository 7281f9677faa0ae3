"""What a user writes: read, checked against every back end's settings, expanded into trials."""

from mox.experiment.experiment import COSTS, Budget, Choose, Experiment, Prefer, load
from mox.experiment.trials import AXES, Search, Trial

__all__ = ["AXES", "COSTS", "Budget", "Choose", "Experiment", "Prefer", "Search", "Trial", "load"]
