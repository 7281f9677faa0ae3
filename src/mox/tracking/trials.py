"""Child runs: one per trial, its parameters flat, its measures with bounds, its costs."""

from __future__ import annotations

import calendar
import json
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mox.experiment import AGREEMENT, COSTS
from mox.results.leaderboard import marks
from mox.results.run import simulated
from mox.secrets import scrub, scrubbed
from mox.spec import digest
from mox.tracking import tables
from mox.tracking.keys import (
    OVERFLOW,
    PARAM,
    RUN_NAME,
    SPLITS,
    TAG,
    fitted,
    legal_key,
    metric_key,
    shortened,
    text_of,
)
from mox.tracking.writing import Runs, taken_back

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun

    from mox.results import Results, TrialRun

EVERY = 200
"""Up to this many trials each has a child run; above it, those that a reader would look for."""

QUESTIONS = "questions.json"
DIGITS = 4
FIGURES = (*COSTS, "unread", "short_answers")
"""What `numbers` tells besides measures and the agreement with exact search."""
ENDS = {"FINISHED": "FINISHED", "FAILED": "FAILED", "SKIPPED": "KILLED"}
"""How a trial ended → the status of its run; what was never begun has one only of an earlier state
of its sweep."""


@dataclass(frozen=True)
class Content:
    """All that a child run says of its trial. A tag that is empty is none."""

    name: str
    status: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    files: Mapping[str, str]


def wanted(results: Results) -> list[TrialRun]:
    """The trials that get a child run; what was never begun gets none.

    Above `EVERY`: the chosen one, the candidates, the baseline, the best of each axis value,
    and one of each failure.
    """
    begun = [trial for trial in results.run.trials if trial.status != "SKIPPED"]
    if len(begun) <= EVERY:
        return begun
    choice = results.choice
    names = {results.run.baseline}
    if choice is not None:
        names |= {*choice.candidates, *(name for name in (choice.trial, choice.best) if name)}
    seen: set[tuple[str, str]] = set()
    for trial in results.ranked():
        values = {(name, text_of(value)) for name, value in results.params(trial).items()}
        if values - seen:
            names.add(trial.id)
        seen |= values
    said: set[str | None] = set()
    for trial in begun:
        if trial.status == "FAILED" and trial.error not in said:
            names.add(trial.id)
            said.add(trial.error)
    return [trial for trial in begun if trial.id in names]


def write(
    runs: Runs, parent_id: str, results: Results, trials: Sequence[TrialRun]
) -> dict[str, str]:
    """Write what is missing or differs; nothing is written twice.

    A run that an earlier state of the sweep left is brought up to date, wanted now or not.

    Returns:
        Trial id → its run.
    """
    there = {found.data.tags["mox.trial"]: found for found in runs.search("trial")}
    written = {}
    began = milliseconds(results.run.started)
    names = {*there, *(trial.id for trial in trials)}
    for trial in (trial for trial in results.run.trials if trial.id in names):
        said = content(results, trial, parent_id)
        mark = digest([said.name, said.status, said.params, said.metrics, said.tags])
        found = there.get(trial.id)
        if found is None or not _is_complete(found, mark):
            took = int(1000 * seconds(results, trial))
            if found is not None:
                lost = taken_back(ours(results, found.data.metrics), said.metrics)
                said = replace(said, metrics={**said.metrics, **lost})
            found = _write(runs, found, said, mark, (began, began + took))
        written[trial.id] = str(found.info.run_id)
    return written


def _is_complete(found: MlflowRun, mark: str) -> bool:
    return found.info.status != "RUNNING" and found.data.tags.get("mox.digest") == mark


def _write(
    runs: Runs, found: MlflowRun | None, said: Content, mark: str, times: tuple[int, int]
) -> MlflowRun:
    """The files first and the status last: what a kill leaves is RUNNING, and written again."""
    tags = {**said.tags, "mox.digest": mark}
    if found is None:
        found = runs.create(said.name, tags, times[0])
    runs.upload(found, said.files)
    runs.log(found, params=said.params, metrics=said.metrics, tags=tags)
    runs.client.set_terminated(found.info.run_id, said.status, end_time=times[1])
    return found


def content(results: Results, trial: TrialRun, parent_id: str) -> Content:
    """What a trial's run says; of one that isn't FINISHED no scores."""
    finished = trial.status == "FINISHED"
    params, long = fitted(_params(results, trial), PARAM)
    tags = {
        "mlflow.parentRunId": parent_id,
        "mox.kind": "trial",
        "mox.trial": trial.id,
        "mox.score": trial.roles["score"].key,
        "mox.marks": marks(results, trial),
        "mox.error": scrub(trial.error or ""),
        "mox.frontier": "",
        "mox.index_mb_is": "",
        tables.LOGGED: "",
    }
    if simulated(trial):
        tags["mox.simulated"] = "true"
    files = {}
    if finished:
        tags["mox.frontier"] = str(trial.id in results.frontier().trials).lower()
        tags["mox.index_mb_is"] = str(results.costs[trial.id]["index_mb_is"])
        tags[tables.LOGGED] = tables.logged(QUESTIONS)
        files[QUESTIONS] = tables.questions(results, trial)
    tags, long_tags = fitted(tags, TAG)
    if long or long_tags:
        files[OVERFLOW] = json.dumps({**long, **long_tags}, ensure_ascii=False, indent=1)
    name = shortened(scrub(results.label(trial)), RUN_NAME)
    metrics = numbers(results, trial) if finished else {}
    return Content(name, ENDS[trial.status], params, metrics, tags, files)


def _params(results: Results, trial: TrialRun) -> dict[str, str]:
    return {
        legal_key(name): text_of(scrubbed(value)) for name, value in results.params(trial).items()
    }


def numbers(results: Results, trial: TrialRun) -> dict[str, float]:
    """Measures with their bounds over all questions, on dev and on test; and what it costs."""
    found: dict[str, Any] = {}
    for split, measures in results.summary[trial.id].items():
        side = None if split == "all" else split
        for measure, interval in measures.items():
            found[metric_key(measure, split=side)] = interval.mean
            found[metric_key(measure, split=side, bound="low")] = interval.low
            found[metric_key(measure, split=side, bound="high")] = interval.high
    found |= {metric_key(name): value for name, value in results.costs[trial.id].items()}
    return {
        name: _short(value)
        for name, value in found.items()
        if isinstance(value, int | float) and math.isfinite(value)
    }


def ours(results: Results, has: Iterable[str]) -> list[str]:
    """Those metrics of a run that `numbers` may have told, of a trial that failed since too; what
    a reader logged there is theirs."""
    sides, bounds = (None, *SPLITS), (None, "low", "high")
    told = {
        metric_key(measure, split=side, bound=bound)
        for measure in results.run.measures
        for side in sides
        for bound in bounds
    }
    return [
        name
        for name in has
        if name in told or name in FIGURES or name.startswith(f"{AGREEMENT}_at_")
    ]


def _short(value: float) -> float:
    """A number to four digits after the point, or four that count: MLflow's tables print all the
    digits that they are given. The exact one stands in the store and in `results.json`."""
    return round(float(value), DIGITS) if abs(value) >= 1 else float(f"{value:.{DIGITS}g}")


def seconds(results: Results, trial: TrialRun) -> float:
    """What a trial's own stages took, shared ones included: its price if it stood alone."""
    took = 0.0
    for ref in set(trial.roles.values()):
        if results.store.has(*ref):
            took += results.store.sidecar(*ref).get("seconds", 0.0)
    return took


def milliseconds(text: str) -> int:
    """Milliseconds since 1970 of a run's `started`, which is UTC."""
    return 1000 * calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))
