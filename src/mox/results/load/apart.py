"""What a choice by speed has to say where its trials were not measured together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mox.experiment.constraints import Constraint
from mox.experiment.loads import TIMED

if TYPE_CHECKING:
    from mox.results.results import Results
    from mox.results.run import TrialRun


def jobs_of(results: Results, trials: Sequence[TrialRun]) -> list[str]:
    """What each trial's load was measured in. Rounds took turns within a job only, so that speeds
    of different ones are not told apart; where it isn't known, a trial is a job by itself."""
    return [str((results.load_facts(trial) or {}).get("job") or trial.id) for trial in trials]


def apart(results: Results, rule: Mapping[str, Any]) -> str:
    """A sentence where a choice weighs speeds of several jobs, or bounds them; empty where it
    does neither."""
    prefer = rule.get("prefer") or {}
    bounded = [Constraint.parse(text).name for text in rule.get("subject_to", ())]
    named = [results.run.goal, prefer.get("minimise"), prefer.get("maximise"), *bounded]
    speeds = [name for name in dict.fromkeys(named) if name in TIMED]
    jobs = set(jobs_of(results, [one for one in results.finished if results.load_facts(one)]))
    if not speeds or len(jobs) < 2:
        return ""
    said = f"{', '.join(speeds)} {'is' if len(speeds) == 1 else 'are'} of {len(jobs)} jobs"
    return (
        f"{said} whose rounds did not take turns: what befell the machine meanwhile is in it, and"
        " in no spread."
    )
