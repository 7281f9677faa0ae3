"""A run mirrored to MLflow: begun while stages run, finished when they have ended.

Everything is looked up before it is written, so a mirror that was cut off anywhere is
completed by the next, and nothing stands there twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from mox.errors import SpecError, StoreError
from mox.pipeline.store import Store
from mox.results import Results, Run
from mox.results.going import CUT_OFF, GOING
from mox.results.run import every
from mox.tracking import growth, links, marker, parent, providers, server, trials, view
from mox.tracking.keys import PARAM, TAG, fitted
from mox.tracking.marker import Mirrored, is_mirrored, mirrored
from mox.tracking.writing import Runs, made_with, taken_back

Status = Literal["FINISHED", "FAILED", "KILLED"]

__all__ = ["Mirror", "begin", "end", "finish", "is_mirrored", "mirrored", "sync"]


@dataclass(frozen=True)
class Mirror:
    """A sweep's parent run, open for writing."""

    uri: str
    experiment_id: str
    parent_id: str


def begin(store: Store, run_id: str, name: str, uri: str, *, folder: Path | None = None) -> Mirror:
    """Create a sweep's parent run, or take up the one that an earlier attempt left.

    May be called in a thread of its own while stages run: it imports MLflow, and makes the
    schema and the experiment where they are missing.

    Args:
        name: the experiment's name.
        folder: the working tree whose commit is noted; None where it isn't run from one now.

    Raises:
        EngineError: the server is lost.
        SpecError: the experiment was deleted there.
    """
    mirror = _begun(store, run_id, name, uri, made_with(folder), int(1000 * time.time()))
    import altair  # noqa: F401  `finish` draws with it; imported here, beside the stages

    return mirror


def _begun(
    store: Store, run_id: str, name: str, uri: str, made: Mapping[str, str], at_ms: int
) -> Mirror:
    """A sweep's parent run, RUNNING: a new one that began then, or the one there is."""
    experiment_id = server.prepare(uri, name, store.root)
    with server.speaking(uri), server.first(uri, store.root):
        runs = _runs(store, run_id, uri, experiment_id)
        found = next(iter(runs.search("sweep")), None)
        if found is None:
            found = runs.create(f"sweep {run_id[:8]}", {"mox.kind": "sweep", **made}, at_ms)
        elif found.info.status != "RUNNING":
            runs.client.update_run(found.info.run_id, status="RUNNING")
    return Mirror(uri, experiment_id, str(found.info.run_id))


def finish(results: Results, uri: str, mirror: Mirror | None = None) -> Mirrored | None:
    """Write what MLflow lacks of a run, end its runs there, and note that it is mirrored.

    Args:
        mirror: what `begin` returned; None where the run isn't of now: its parent then begins and
            ends when the run did, as its record has it.

    Returns:
        Where it stands; None where it was mirrored already, and then nothing is written.

    Raises:
        EngineError: the server is lost. What was written stays; the results are in the store.
    """
    run, store = results.run, results.store
    end_ms = None
    if mirror is None:
        if is_mirrored(store, run, uri):
            return None
        began_ms = trials.milliseconds(run.started)
        end_ms = began_ms + int(1000 * run.seconds)
        mirror = _begun(store, run.id, run.name, uri, made_with(None), began_ms)
    with server.speaking(uri), store.lock(f"mirror-{run.id}"):
        runs = _runs(store, run.id, uri, mirror.experiment_id)
        written = trials.write(runs, mirror.parent_id, results, trials.wanted(results))
        _write_parent(runs, mirror.parent_id, results)
        if run.stopped != GOING:
            runs.client.set_terminated(mirror.parent_id, ended(run), end_time=end_ms)
    found = Mirrored(marker.content(run), mirror.experiment_id, mirror.parent_id, written)
    marker.mark(store, run.id, uri, found)
    return found


def end(mirror: Mirror, status: Status) -> None:
    """End a parent run that gets no results: what should have made them failed or was stopped.

    Raises:
        EngineError: the server is lost.
    """
    with server.speaking(mirror.uri):
        server.client(mirror.uri).set_terminated(mirror.parent_id, status)


def sync(
    store: Store,
    uri: str,
    growths: Sequence[Mapping[str, Any]] = (),
    benches: Sequence[tuple[Mapping[str, Any], str]] = (),
) -> list[str]:
    """Mirror every run of a store that isn't mirrored yet, every growth and every benchmark.

    Args:
        growths: their documents.
        benches: documents of benchmarks of providers, with their tables as a page.

    Returns:
        The ids of what was mirrored.

    Raises:
        EngineError: the server is away.
        StoreError: some can't be: their artifacts are gone, or their experiment was deleted in
            MLflow. The others are mirrored.
    """
    jobs: dict[str, Callable[[], Mirrored | None]] = {
        run.id: partial(finish, Results(run, store), uri) for run in every(store)
    }
    jobs |= {one["growth"]: partial(growth.finish, store, one, uri) for one in growths}
    jobs |= {
        one["benchmark"]: partial(providers.finish, store, one, uri, page=page)
        for one, page in benches
    }
    written, lost = [], {}
    for name, job in jobs.items():
        try:
            if job() is not None:
                written.append(name)
        except (StoreError, SpecError) as error:
            lost[name] = error.message
    if lost:
        said = "; ".join(f"{name}: {message}" for name, message in lost.items())
        raise StoreError(
            f"of {len(lost) + len(written)} runs to mirror {len(lost)} cannot be ({said}).",
            mend="run those experiments again, which redoes what is gone; or restore theirs.",
        )
    return written


def ended(run: Run) -> Status:
    """The status of a sweep's parent: KILLED by Ctrl-C or a kill, FAILED where every trial that was
    begun is; a budget that stopped it is a proper end."""
    if run.stopped in ("interrupted", CUT_OFF):
        return "KILLED"
    begun = [trial.status for trial in run.trials if trial.status != "SKIPPED"]
    return "FAILED" if begun and set(begun) == {"FAILED"} else "FINISHED"


def _write_parent(runs: Runs, parent_id: str, results: Results) -> None:
    there = links.Place(runs.experiment_id, parent_id, results.run.id)
    found = runs.client.get_run(parent_id)
    report = results.report()
    runs.upload(found, parent.files(results, report, there))
    params, _ = fitted(parent.params(results), PARAM)
    tags, _ = fitted(parent.tags(results), TAG)
    tags["mlflow.note.content"] = parent.note(results, report, there)
    metrics = parent.metrics(results)
    metrics |= taken_back(trials.ours(results, found.data.metrics), metrics)
    runs.log(found, params=params, metrics=metrics, tags=tags)
    runs.client.log_inputs(parent_id, datasets=[parent.dataset(results)])
    view.save(runs.client, results, runs.experiment_id)


def _runs(store: Store, run_id: str, uri: str, experiment_id: str) -> Runs:
    common = {"mox.run_id": run_id, "mox.store": store.id}
    return Runs(server.client(uri), uri, experiment_id, common)
