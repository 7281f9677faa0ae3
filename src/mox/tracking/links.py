"""Links into MLflow's pages: the sweep and its trials, since its landing page shows neither."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode, urlparse

from mox.settings import redact
from mox.tracking.keys import metric_key
from mox.tracking.server import QUIET, tracking_uri
from mox.tracking.tables import decided_on

if TYPE_CHECKING:
    from mox.results import Results

PORT = 5055
"""Where `ui_command` serves; 5000 is taken on macOS."""


SERVING = (
    "MLFLOW_DISABLE_TELEMETRY",
    "MLFLOW_MODEL_CATALOG_URI",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION",
)
"""What of `QUIET` a server needs."""


@dataclass(frozen=True)
class Place:
    """Pages of one sweep, as paths from the server's root."""

    experiment_id: str
    parent_id: str
    trials: str
    """Its trials in one flat table, sorted by what is chosen by."""

    @property
    def parent(self) -> str:
        """The sweep's own page: description, parameters, artifacts."""
        return f"/#/experiments/{self.experiment_id}/runs/{self.parent_id}"

    def artifact(self, path: str) -> str:
        """The page that shows one of its artifacts."""
        return f"{self.parent}/artifacts/{path}"


def place(results: Results, experiment_id: str, parent_id: str) -> Place:
    """The pages of a mirrored sweep."""
    query = {
        "workflowType": "machine_learning",  # else MLflow opens a page about traces
        "searchFilter": trials_filter(results),
        "orderByKey": f"metrics.`{decisive_key(results)}`",
        "orderByAsc": "false",
    }
    said = urlencode(query, quote_via=quote)
    return Place(experiment_id, parent_id, f"/#/experiments/{experiment_id}/runs?{said}")


def trials_filter(results: Results) -> str:
    """The search that shows a sweep's trials without their parent."""
    return f"tags.mox.kind = 'trial' and tags.mox.run_id = '{results.run.id}'"


def decisive_key(results: Results) -> str:
    """The metric that trials are ranked by."""
    run = results.run
    measure = run.choose["maximise"] if run.choose else run.measures[0]
    split = decided_on(results)
    return metric_key(measure, split=None if split == "all" else split)


def ui_command(uri: str) -> str | None:
    """The command that shows a store in a browser; None where a server shows itself.

    A URI with a password stays in its variable.
    """
    if urlparse(uri).scheme in ("http", "https"):
        return None
    quiet = " ".join(f"{name}={QUIET[name]}" for name in SERVING)
    beside = Path(sys.executable).with_name("mlflow")
    program = shlex.quote(str(beside)) if beside.is_file() else "mlflow"
    shown = shlex.quote(uri) if redact(uri) == uri else '"$MLFLOW_TRACKING_URI"'
    return f"{quiet} {program} ui --backend-store-uri {shown} --workers 1 --port {PORT}"


def base(uri: str) -> str:
    """Where the pages are: the server itself, or what `ui_command` starts."""
    if ui_command(uri) is None:
        return redact(uri).rstrip("/")
    return f"http://127.0.0.1:{PORT}"


def next_links(results: Results) -> list[tuple[str, str]]:
    """(what, line) for a terminal: how to see a run in MLflow. Doesn't import MLflow."""
    from mox.tracking.marker import mirrored

    uri = tracking_uri(results.store.root)
    found = mirrored(results.store, results.run, uri)
    if found is None:
        return [("to MLflow", "mox sync")]
    there = place(results, found.experiment_id, found.parent_id)
    command = ui_command(uri)
    lines = [("MLflow", command)] if command else []
    lines += [("its report", base(uri) + there.parent), ("its trials", base(uri) + there.trials)]
    return lines
