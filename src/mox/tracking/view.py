"""MLflow's saved view of a sweep: its trials with columns, order and charts, at one click.

MLflow keeps views as experiment tags in a form that it doesn't document; this one was read from
its own pages, version 3.17.2.
"""

from __future__ import annotations

import base64
import json
import time
import zlib
from typing import TYPE_CHECKING, Any

from mox.results.leaderboard import speeds
from mox.results.paired import by_importance, decisive, ranked_on
from mox.tracking.keys import legal_key, metric_key, shortened

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from mox.results import Results

PREFIX = "mlflow.sharedViewState.mox-"
KEPT = 40
"""Sweeps of an experiment whose views are kept, latest first."""
MOST = 20000
"""Most characters of an experiment's tag."""
COLUMNS = 12
"""Most parameters that are columns; the rest is a click away."""
NAME_PX, PARAM_PX = 380, 110
METRIC_PX, LETTER_PX = 40, 7
"""A metric's column holds its name: this much, and for each letter so much more."""


def path(experiment_id: str, run_id: str) -> str:
    """The page of a sweep's trials, from the server's root."""
    return (
        f"/#/experiments/{experiment_id}/runs?workflowType=machine_learning"
        f"&viewStateShareKey=mox-{run_id}"
    )


def save(client: MlflowClient, results: Results, experiment_id: str) -> None:
    """Keep a sweep's view in its experiment; of more than `KEPT` the oldest are dropped."""
    tags = client.get_experiment(experiment_id).tags
    name = f"{PREFIX}{results.run.id}"
    client.set_experiment_tag(experiment_id, name, _value(results))
    others = sorted(
        (tag for tag in tags if tag.startswith(PREFIX) and tag != name),
        key=lambda tag: json.loads(tags[tag])["updatedAt"],
    )
    for tag in others[: len(others) - (KEPT - 1)] if len(others) >= KEPT else []:
        client.delete_experiment_tag(experiment_id, tag)


def _value(results: Results) -> str:
    now = int(1000 * time.time())
    for columns in (COLUMNS, 0):
        state = zlib.compress(json.dumps(_state(results, columns)).encode(), 9)
        value = json.dumps(
            {
                "name": shortened(f"{results.run.name} · sweep {results.run.id[:8]}", 80),
                "createdAt": now,
                "updatedAt": now,
                "state": "deflate;" + base64.b64encode(state).decode(),
            }
        )
        if len(value) <= MOST:
            break
    return value


def _state(results: Results, columns: int) -> dict[str, Any]:
    decisive = decisive_key(results)
    params = [legal_key(name) for name in results.run.varying][:columns]
    metrics = [decisive, f"{decisive}_low", f"{decisive}_high"]
    metrics += [_key(results, measure) for measure in by_importance(results)[1:]]
    metrics = [*metrics, "index_mb", "chunks", *speeds(results)]
    widths = {"attributes.`Run Name`": NAME_PX}
    widths |= {f"metrics.`{name}`": METRIC_PX + LETTER_PX * len(name) for name in metrics}
    widths |= {f"params.`{name}`": PARAM_PX for name in params}
    return {
        "searchFilter": f"tags.mox.kind = 'trial' and tags.mox.run_id = '{results.run.id}'",
        "orderByKey": f"metrics.`{decisive}`",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": [name for name in widths if not name.startswith("attributes")]
        + ["tags.`mox.marks`", "tags.`mox.frontier`"],
        "columnOrder": [*widths, "tags.`mox.marks`", "tags.`mox.frontier`"],
        "columnWidths": widths,
        "runsHiddenMode": "SHOWALL",
        "viewMaximized": False,
        "runListHidden": False,
        "isAccordionReordered": False,
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
        "groupBy": None,
        "groupsExpanded": {},
        "globalLineChartConfig": {
            "xAxisKey": "step",
            "lineSmoothness": 0,
            "selectedXAxisMetricKey": "",
        },
        **_charts(_shared(results, params), decisive),
    }


def decisive_key(results: Results) -> str:
    """The metric that trials are ranked by."""
    return _key(results, decisive(results))


def _key(results: Results, measure: str) -> str:
    """A measure over the questions that trials are ranked on: beside dev no test figures."""
    split = ranked_on(results)
    return metric_key(measure, split=None if split == "all" else split)


def _shared(results: Results, params: list[str]) -> list[str]:
    """Those that all trials have: MLflow hides a chart of parameters that one lacks."""
    every = [{legal_key(name) for name in results.params(trial)} for trial in results.finished]
    return [name for name in params if all(name in names for names in every)]


def _charts(params: list[str], decisive: str) -> dict[str, Any]:
    """Quality against size, and what settings lead where."""
    section = "mox-charts"
    charts: list[dict[str, Any]] = [
        {
            "type": "SCATTER",
            "xaxis": {"key": "index_mb", "type": "METRIC"},
            "yaxis": {"key": decisive, "type": "METRIC"},
        },
        {
            "type": "PARALLEL",
            "selectedParams": params,
            "selectedMetrics": [decisive],
            "showAllRuns": True,
        },
    ]
    common = {"deleted": False, "isGenerated": False, "metricSectionId": section}
    return {
        "compareRunSections": [
            {
                "uuid": section,
                "name": "Quality and cost",
                "display": True,
                "isReordered": False,
                "columns": 2,
            }
        ],
        "compareRunCharts": [
            {"uuid": f"{section}-{at}", "runsCountToCompare": 100, **common, **chart}
            for at, chart in enumerate(charts)
        ],
    }
