"""What a trial is worth beside the others: its costs by name, and which trials are its kin."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mox.results.results import Results
    from mox.results.run import TrialRun


def worth(results: Results, trial: TrialRun, name: str) -> float | None:
    """A cost or a dev mean of a trial, by name; None where it isn't known."""
    if name in results.run.measures:
        return results.summary[trial.id]["dev"][name].mean
    value = results.costs[trial.id].get(name)
    return None if value is None else float(value)


def family(trial: TrialRun) -> str:
    """Trials that search the same chunks by the same vectors and texts, and so share most hits:
    what befalls one of them on questions to come mostly befalls the others."""
    roles = trial.roles
    parts = ["chunk", "embed", "lexical"]
    if "exact" not in roles:
        parts.append("build")  # an engine's own texts: other words, other hits
    return " ".join(roles[role].key for role in parts if role in roles)
