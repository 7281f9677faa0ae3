"""The leaderboard as a table: rows that a frame, a terminal and a CSV share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mox.pipeline.dollars import money
from mox.results.run import simulated
from mox.results.worth import figure, invalid, loaded, short

if TYPE_CHECKING:
    import pandas as pd

    from mox.results.results import Results
    from mox.results.run import TrialRun


def rows(results: Results, split: str | None = None) -> list[dict[str, Any]]:
    """Finished trials, best first: rank, trial, what varies, means with intervals, costs, marks,
    and the paired difference to the baseline where choosing is done, p corrected by Holm too.

    Args:
        split: `dev` or `test`; all questions where None.
    """
    choice = results.choice
    against = {one.trial: one for one in results.versus}
    found = []
    for rank, trial in enumerate(results.ranked(), start=1):
        params = results.params(trial)
        summary = results.summary[trial.id].get(split or "all", {})
        row: dict[str, Any] = {"rank": rank, "trial": trial.id}
        row |= {name: params.get(name) for name in results.run.varying}
        for measure, interval in summary.items():
            row |= {
                measure: interval.mean,
                f"{measure} low": interval.low,
                f"{measure} high": interval.high,
            }
        row |= {name: value for name, value in results.costs[trial.id].items() if name != "unread"}
        row["unread"] = results.costs[trial.id]["unread"]
        if trial.id in against:
            versus = against[trial.id].document()
            row |= {f"vs baseline {name}": value for name, value in versus.items()}
        if results.simulated:
            row["simulated"] = simulated(trial)
        row["chosen"] = choice is not None and trial.id == choice.trial
        row["baseline"] = trial.id == results.run.baseline
        row["qualifies"] = choice is not None and trial.id in choice.candidates
        row["frontier"] = trial.id in results.frontier().trials
        row["indistinguishable"] = choice is not None and trial.id in choice.indistinguishable
        found.append(row)
    return found


def frame(results: Results, split: str | None = None) -> pd.DataFrame:
    """The rows as a pandas frame, indexed by trial."""
    import pandas as pd

    table = pd.DataFrame(rows(results, split))
    if not len(table):
        return table
    for name in results.run.varying:
        # A setting that a trial hasn't got is missing, and makes no float of the others.
        table[name] = table[name].convert_dtypes()
    return table.set_index("trial")


SPEEDS = {"qps": "QPS", "p95_ms": "p95 ms"}
"""What tables show of a load test → how it is headed; `results.load()` has the rest."""


def speeds(results: Results) -> dict[str, str]:
    """The columns of `SPEEDS` where some trial was put under load, and dollars where some
    embedder is paid; none else."""
    found = SPEEDS if results.under_load else {}
    return {**found, "embed_usd": "embed $"} if results.paid else found


def speed(results: Results, trial: TrialRun, name: str) -> str:
    """A trial's speed in a cell, with what its reader has to know: INVALID, or Lite's own; or its
    dollars."""
    if name == "embed_usd":
        return money(results.costs[trial.id][name])
    facts = loaded(results, trial)
    if facts is None:
        return "–"
    if invalid(facts):
        return "INVALID"
    found = figure(results, trial, name)
    said = "–" if found is None else short(found.value)
    return f"{said} Lite" if facts["lite"] else said


def best_by(results: Results) -> str:
    """What the best trial is called: it is the best on dev, or by the cost that is the goal."""
    choice = results.choice
    return f"best by {choice.goal}" if choice and choice.goal else "best on dev"


def marks(results: Results, trial: TrialRun) -> str:
    """What a trial is, in a word or two: `simulated`, `chosen`, `baseline`, `best on dev`,
    `out by …`."""
    choice = results.choice
    words = ["simulated"] if simulated(trial) else []
    if choice and trial.id == choice.trial:
        words.append("chosen")
    if trial.id == results.run.baseline:
        words.append("baseline")
    if choice and trial.id == choice.best:
        words.append(best_by(results))
    elif choice and trial.id in choice.indistinguishable:
        words.append("tied" if choice.goal else "not told apart")
    if out := results.sifted.out(trial.id):
        words.append(f"out by {' and '.join(one.name for one in out)}")
    return ", ".join(words)
