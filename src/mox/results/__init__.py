"""What runs found: records, comparison, choice, and how they are shown."""

from mox.results.choose import Choice
from mox.results.reading import Interval
from mox.results.results import Results
from mox.results.run import Run, TrialRun

__all__ = ["Choice", "Interval", "Results", "Run", "TrialRun"]
