"""A growth mirrored to MLflow: one run, found before it is written, completed where it was cut off.

A growth is known by its document alone, the one that `mox bench growth` keeps and prints.
"""

from __future__ import annotations

import calendar
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from mox.pipeline.store import Store
from mox.results.growth.report import report
from mox.secrets import scrubbed
from mox.spec import digest
from mox.tracking import curves, links, marker, server
from mox.tracking.keys import PARAM, TAG, fitted
from mox.tracking.marker import Mirrored
from mox.tracking.writing import Runs, made_with, taken_back, told

KIND = "growth"
LAYOUT = 2
"""Raised when the mirror of a growth looks different: growths are then mirrored anew."""


def identity(content: Mapping[str, Any]) -> str:
    """What one run of MLflow is of: a growth, up to these sizes, for this bound.

    With another bound or other sizes the verdict is another, and so is the run, whose params
    MLflow lets nobody change. What a growth left out and measures later is the same run.
    """
    return digest([content["growth"], content["sizes"], content["bound"]])[:12]


def mirrored(store: Store, content: Mapping[str, Any], uri: str) -> Mirrored | None:
    """Where a growth is mirrored, whole and as it is now; None where it isn't.

    Doesn't import MLflow.
    """
    return marker.known(store, _name(content), uri, _said(content))


def finish(
    store: Store, content: Mapping[str, Any], uri: str, *, folder: Path | None = None
) -> Mirrored | None:
    """Write what MLflow lacks of a growth, and note that it is mirrored.

    Args:
        folder: the working tree whose commit is noted; None where it isn't grown from one now.

    Returns:
        Where it stands; None where it was mirrored already, and then nothing is written.

    Raises:
        EngineError: the server is lost. What was written stays; the growth is in the store.
        SpecError: the experiment was deleted there.
    """
    if mirrored(store, content, uri) is not None:
        return None
    experiment_id = server.prepare(uri, content["experiment"], store.root)
    with server.speaking(uri), store.lock(f"mirror-{_name(content)}"):
        common = {"mox.run_id": identity(content), "mox.store": store.id}
        runs = Runs(server.client(uri), uri, experiment_id, common)
        run_id = _write(runs, scrubbed(content), folder)
    found = Mirrored(_said(content), experiment_id, run_id, {})
    marker.mark(store, _name(content), uri, found)
    return found


def next_links(store: Store, content: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(what, line) for a terminal: how to see a growth in MLflow. Doesn't import MLflow."""
    uri = server.tracking_uri(store.root)
    found = mirrored(store, content, uri)
    if found is None:
        return [("to MLflow", "mox sync")]
    there = _place(found.experiment_id, found.parent_id, content)
    pages = {"its verdict": there.parent, "its report": there.artifact(curves.PAGE)}
    return links.shown(uri, pages)


def ended(content: Mapping[str, Any]) -> Literal["FINISHED", "FAILED"]:
    """The status of its run: FAILED where all that was begun failed; a time that was up is a
    proper end."""
    failed = any(one["failed"] for one in content["left_out"])
    return "FAILED" if failed and not content["points"] else "FINISHED"


def _write(runs: Runs, content: Mapping[str, Any], folder: Path | None) -> str:
    """All of it, into the run that there is or a new one.

    Args:
        content: without secrets.
    """
    at = 1000 * calendar.timegm(time.strptime(content["at"], "%Y-%m-%dT%H:%M:%SZ"))
    found = next(iter(runs.search(KIND)), None)
    if found is None:
        tags = {"mox.kind": KIND, **made_with(folder)}
        found = runs.create(curves.name(content), tags, at)
    run_id = str(found.info.run_id)
    place = _place(runs.experiment_id, run_id, content)
    said = report(content)
    runs.upload(found, curves.files(content, said, place))
    params, _ = fitted(curves.params(content), PARAM)
    tags, _ = fitted(curves.tags(content), TAG)
    tags["mlflow.note.content"] = curves.note(said, place)
    metrics = curves.metrics(content)
    crossing = (name for name in found.data.metrics if name.startswith(curves.STOPS))
    metrics |= taken_back(crossing, metrics)
    runs.log(found, params=params, metrics=metrics, tags=tags)
    runs.log_steps(found, curves.series(content), own=told(found.data.metrics, curves.WHAT))
    runs.client.set_terminated(run_id, ended(content), end_time=at)
    return run_id


def _place(experiment_id: str, run_id: str, content: Mapping[str, Any]) -> links.Place:
    return links.Place(experiment_id, run_id, identity(content))


def _name(content: Mapping[str, Any]) -> str:
    return f"growth-{identity(content)}"


def _said(content: Mapping[str, Any]) -> str:
    """Digest of what is mirrored: all but the moment, which is another each time."""
    kept = {name: value for name, value in content.items() if name != "at"}
    return digest({"layout": LAYOUT, "growth": kept})
