"""Tables as MLflow shows them: `{"columns": […], "data": […]}`, and as CSV."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mox.results.leaderboard import marks, rows, speeds
from mox.results.paired import by_importance, ranked_on
from mox.secrets import scrub

if TYPE_CHECKING:
    from mox.results import Results, TrialRun

SPLITS = ("dev", "test")
DIGITS = 4
"""Digits after the point in tables that are read, not computed with."""

LOGGED = "mlflow.loggedArtifacts"
"""The tag by which MLflow knows which artifacts are tables."""


def leaderboard(results: Results) -> list[dict[str, Any]]:
    """A row per trial of the run, all of them: finished ones best first, then the others.

    Means with bounds over all questions, on dev and on test.
    """
    by_split = {split: {row["trial"]: row for row in rows(results, split)} for split in SPLITS}
    names = [
        column
        for measure in results.run.measures
        for column in (measure, f"{measure} low", f"{measure} high")
    ]
    found = []
    for row in rows(results):
        for split in SPLITS:
            there = by_split[split][row["trial"]]
            row |= {f"{split} {name}": there[name] for name in names if name in there}
        found.append({**row, "status": "FINISHED", "error": None})
    for trial in results.run.trials:
        if trial.status != "FINISHED":
            params = results.params(trial)
            varying = {name: params.get(name) for name in results.run.varying}
            error = None if trial.error is None else scrub(trial.error)
            found.append({"trial": trial.id, **varying, "status": trial.status, "error": error})
    return found


def readable(results: Results) -> list[dict[str, Any]]:
    """The leaderboard in fewer, rounded columns: what a browser shows at once.

    No column's name has a dot, since MLflow's page reads one as a path into nested values.
    """
    run = results.run
    split = ranked_on(results)
    first, *rest = by_importance(results)
    where = f"{split} " if split in SPLITS else ""
    shown = [f"{where}{first}{end}" for end in ("", " low", " high")]
    others = [f"{where}{measure}" for measure in rest]
    table = []
    for row in leaderboard(results):
        agreement = next((v for k, v in row.items() if k.startswith("recall_of_exact")), None)
        table.append(
            {
                "rank": row.get("rank"),
                **{name: _rounded(row.get(name)) for name in shown},
                **{name.replace(".", " "): row.get(name) for name in run.varying},
                **{name: _rounded(row.get(name)) for name in others},
                "index MB": _rounded(row.get("index_mb")),
                "chunks": row.get("chunks"),
                "of exact": _rounded(agreement),
                **{head: _rounded(row.get(name)) for name, head in speeds(results).items()},
                "frontier": row.get("frontier"),
                "note": row["error"] or marks(results, results.trial(row["trial"])),
                "status": row["status"],
                "trial": row["trial"],
            }
        )
    return table


def questions(results: Results, trial: TrialRun) -> str:
    """One trial's scores per question, as a table's JSON. Every question asked is in it."""
    arrays = results.scores(trial).arrays
    names = list(results.run.measures)
    columns = ["question", "split", "kind", *names, "group", "text"]
    scores = zip(*(arrays[name].tolist() for name in names), strict=True)
    data = [
        [q.id, q.split, q.kind, *(None if math.isnan(v) else v for v in values), q.group, q.text]
        for q, values in zip(results.questions_asked, scores, strict=True)
    ]
    return json.dumps({"columns": columns, "data": data}, ensure_ascii=False)


def as_table(table: Sequence[Mapping[str, Any]]) -> str:
    """Rows as a table's JSON."""
    columns = _columns(table)
    data = [[_finite(row.get(name)) for name in columns] for row in table]
    return json.dumps({"columns": columns, "data": data}, ensure_ascii=False)


def as_csv(table: Sequence[Mapping[str, Any]]) -> str:
    """Rows as CSV; what a row hasn't got is empty."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, _columns(table), lineterminator="\n")
    writer.writeheader()
    for row in table:
        writer.writerow({name: _finite(value) for name, value in row.items()})
    return buffer.getvalue()


def logged(*paths: str) -> str:
    """The value of the tag `LOGGED` for these tables."""
    return json.dumps([{"path": path, "type": "table"} for path in paths])


def _columns(table: Iterable[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for row in table for name in row))


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _rounded(value: Any) -> Any:
    return round(value, DIGITS) if isinstance(value, float) and math.isfinite(value) else value
