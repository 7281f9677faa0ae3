"""Links into MLflow's pages: the sweep and its trials, since its landing page shows neither."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlparse

from mox.settings import redact
from mox.tracking import view
from mox.tracking.server import QUIET, tracking_uri

if TYPE_CHECKING:
    from mox.results import Results

PORT = 5055
"""Where `ui_command` serves; 5000 is taken on macOS."""
PAGE = "report.html"
"""A sweep's report among its artifacts."""
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
    run_id: str

    @property
    def parent(self) -> str:
        """The sweep's own page: description, parameters, artifacts."""
        return f"/#/experiments/{self.experiment_id}/runs/{self.parent_id}"

    @property
    def trials(self) -> str:
        """Its trials in one flat table, sorted by what is chosen by."""
        return view.path(self.experiment_id, self.run_id)

    def artifact(self, path: str) -> str:
        """The page that shows one of its artifacts."""
        return f"{self.parent}/artifacts/{path}"


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


def pages(results: Results, trial: str) -> dict[str, str | None] | None:
    """The pages of a run and of one trial in MLflow; None where it isn't mirrored as it is now.

    Doesn't import MLflow.
    """
    from mox.tracking.marker import mirrored

    uri = tracking_uri(results.store.root)
    found = mirrored(results.store, results.run, uri)
    if found is None:
        return None
    there, own = (
        Place(found.experiment_id, found.parent_id, results.run.id),
        found.trials.get(trial),
    )
    page = Place(found.experiment_id, own, results.run.id).parent if own else None
    return {
        "run_id": found.parent_id,
        "run": base(uri) + there.parent,
        "trial_run_id": own,
        "trial": base(uri) + page if page else None,
        "command": ui_command(uri),
    }


def next_links(results: Results) -> list[tuple[str, str]]:
    """(what, line) for a terminal: how to see a run in MLflow. Doesn't import MLflow."""
    from mox.tracking.marker import mirrored

    uri = tracking_uri(results.store.root)
    found = mirrored(results.store, results.run, uri)
    if found is None:
        return [("to MLflow", "mox sync")]
    there = Place(found.experiment_id, found.parent_id, results.run.id)
    pages = {
        "its verdict": there.parent,
        "its trials": there.trials,
        "its report": there.artifact(PAGE),
    }
    return shown(uri, pages)


def shown(uri: str, paths: Mapping[str, str]) -> list[tuple[str, str]]:
    """(what, line) of the command that shows MLflow, where it takes one, and of pages in it.

    Args:
        paths: what → its path from the server's root.
    """
    command = ui_command(uri)
    lines = [("MLflow", command)] if command else []
    return lines + [(name, base(uri) + path) for name, path in paths.items()]
