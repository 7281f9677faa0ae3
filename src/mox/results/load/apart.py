"""What a choice by speed has to say where its trials were not measured together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mox.experiment.loads import TIMED

if TYPE_CHECKING:
    from mox.results.results import Results


def apart(results: Results, rule: Mapping[str, Any]) -> str:
    """A sentence where a choice weighs speeds of several jobs; empty where it doesn't."""
    prefer = rule.get("prefer") or {}
    named = [results.run.goal, prefer.get("minimise"), prefer.get("maximise")]
    name = next((one for one in named if one in TIMED), None)
    facts = {trial.id: results.load_facts(trial) for trial in results.finished}
    jobs = {found.get("job") or trial for trial, found in facts.items() if found}
    if name is None or len(jobs) < 2:
        return ""
    return (
        f"{name} is of {len(jobs)} jobs whose rounds did not take turns: what befell the machine"
        " meanwhile is in it, and in no spread."
    )
