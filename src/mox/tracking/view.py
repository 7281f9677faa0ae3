"""MLflow's saved view of a sweep: columns, order, filter and charts, at one click.

MLflow keeps views as experiment tags in a form that it doesn't document, read from its own
pages at 3.17.2. Where another version doesn't know it, the plain links still work.
"""

from __future__ import annotations

import base64
import json
import time
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mox.tracking.keys import legal_key, metric_key
from mox.tracking.links import decisive_key, trials_filter

if TYPE_CHECKING:
    from mox.results import Results

KEY = "moxleaderboard"
"""One view an experiment (MLflow keeps 50 at most): that of its latest sweep."""
TAG = f"mlflow.sharedViewState.{KEY}"
MOST = 20000
"""Most characters of an experiment's tag."""
COLUMNS = 12


def path(experiment_id: str) -> str:
    """The page of the saved view, from the server's root."""
    return f"/#/experiments/{experiment_id}/runs?viewStateShareKey={KEY}"


def saved_view(results: Results) -> str | None:
    """The tag's value; None where it wouldn't fit."""
    state = zlib.compress(json.dumps(_state(results)).encode(), 9)
    now = int(1000 * time.time())
    value = json.dumps(
        {
            "name": f"Mox: {results.run.name}"[:80],
            "createdAt": now,
            "updatedAt": now,
            "state": "deflate;" + base64.b64encode(state).decode(),
        }
    )
    return value if len(value) <= MOST else None


def _state(results: Results) -> dict[str, Any]:
    run = results.run
    decisive = decisive_key(results)
    params = [legal_key(name) for name in run.varying][:COLUMNS]
    metrics = [decisive, f"{decisive}_low", f"{decisive}_high"]
    metrics += [metric_key(name) for name in run.measures if metric_key(name) not in metrics]
    metrics = [*metrics, "index_mb", "chunks"]
    section = f"mox-{KEY}"
    return {
        "searchFilter": trials_filter(results),
        "orderByKey": f"metrics.`{decisive}`",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": [
            *(f"params.`{name}`" for name in params),
            *(f"metrics.`{name}`" for name in metrics),
            "tags.`mox.marks`",
        ],
        "columnOrder": [],
        "columnWidths": {},
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
        "compareRunSections": [
            {"uuid": section, "name": "Quality and cost", "display": True, "isReordered": False}
        ],
        "compareRunCharts": [
            _chart(section, 0, "SCATTER", **_axes("index_mb", decisive)),
            _chart(section, 1, "PARALLEL", selectedParams=params, selectedMetrics=[decisive],
                   showAllRuns=True),
        ],
    }  # fmt: skip


def _axes(x: str, y: str) -> Mapping[str, Any]:
    return {"xaxis": {"key": x, "type": "METRIC"}, "yaxis": {"key": y, "type": "METRIC"}}


def _chart(section: str, at: int, kind: str, **settings: Any) -> dict[str, Any]:
    return {
        "uuid": f"{section}-{at}",
        "type": kind,
        "deleted": False,
        "isGenerated": False,
        "metricSectionId": section,
        "runsCountToCompare": 100,
        **settings,
    }
