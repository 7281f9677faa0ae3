"""What a choice by speed has to say where its trials were not measured together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mox.experiment.loads import TIMED

if TYPE_CHECKING:
    from mox.results.results import Results
    from mox.results.run import TrialRun


def jobs_of(results: Results, trials: Sequence[TrialRun]) -> list[str]:
    """What each trial's load was measured in. Rounds took turns within a job only, so that speeds
    of different ones are not told apart; where it isn't known, a trial is a job by itself."""
    return [str((results.load_facts(trial) or {}).get("job") or trial.id) for trial in trials]


def apart(results: Results, rule: Mapping[str, Any]) -> str:
    """A sentence where a choice weighs speeds of several jobs; empty where it doesn't."""
    prefer = rule.get("prefer") or {}
    named = [results.run.goal, prefer.get("minimise"), prefer.get("maximise")]
    name = next((one for one in named if one in TIMED), None)
    jobs = set(jobs_of(results, [one for one in results.finished if results.load_facts(one)]))
    if name is None or len(jobs) < 2:
        return ""
    return (
        f"{name} is of {len(jobs)} jobs whose rounds did not take turns: what befell the machine"
        " meanwhile is in it, and in no spread."
    )
