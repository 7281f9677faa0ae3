"""What came of a run, in sentences: the choice, its confirmation, what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mox.results.results import Results


def verdict(results: Results) -> list[str]:
    """The choice and what it stands on, the most important first; empty without `choose`."""
    choice = results.choice
    if choice is None:
        return []
    if choice.refused:
        return [f"Nothing is chosen: {choice.refused}"]
    said = [choice.reason]
    confirmed = (choice.test or {}).get(choice.measure)
    if confirmed:
        looks = "once" if choice.test_looks == 1 else f"by {choice.test_looks} runs"
        said.append(
            f"Confirmed on test: {choice.measure} {confirmed} (n = {confirmed.n}; this test side"
            f" has been looked at {looks})."
        )
    versus = choice.vs_baseline
    if versus and choice.trial != results.run.baseline:
        said.append(
            f"Against the baseline on {versus['on']}: {versus['mean']:+.3f}"
            f" [{versus['low']:+.3f}, {versus['high']:+.3f}], p = {versus['p']:.2g}."
        )
    return said


def failures(results: Results) -> dict[str, list[str]]:
    """Message → ids of the trials that failed with it."""
    said: dict[str, list[str]] = {}
    for trial in results.run.trials:
        if trial.status == "FAILED":
            said.setdefault(trial.error or "no message", []).append(trial.id)
    return said


def unfinished(results: Results) -> str:
    """Why trials were skipped and how to resume; empty where none was."""
    skipped = sum(trial.status == "SKIPPED" for trial in results.run.trials)
    if not skipped:
        return ""
    why = f" ({results.run.stopped})" if results.run.stopped else ""
    were = "trial was" if skipped == 1 else "trials were"
    return f"{skipped} {were} not run{why}; the same call again resumes."
