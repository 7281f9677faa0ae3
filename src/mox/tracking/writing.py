"""Writing to MLflow: runs found by their tags, created once, and only what differs."""

from __future__ import annotations

import getpass
import math
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mox.results.git import commit
from mox.secrets import hide, scrub
from mox.settings import DISTRIBUTION

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run as MlflowRun

    from mox.results.show.figures import Figure

PARAMS, METRICS, TAGS = 100, 1000, 100
"""Most entries of one batch, from mlflow/utils/validation.py."""
PAGE = 1000


@dataclass(frozen=True)
class Runs:
    """The runs of one sweep or growth in one experiment of one server.

    `common`: tags that all of them carry, by which they are found again.
    """

    client: MlflowClient
    uri: str
    experiment_id: str
    common: Mapping[str, str]

    def search(self, kind: str) -> list[MlflowRun]:
        """Its runs with the tag `mox.kind`, oldest first; deleted ones don't count.

        What a colleague's store mirrored of the same isn't ours.
        """
        wanted = {"mox.kind": kind, **self.common}
        text = " and ".join(f"tags.`{name}` = '{value}'" for name, value in wanted.items())
        found: list[MlflowRun] = []
        token: str | None = None
        while True:
            page = self.client.search_runs(
                [self.experiment_id], text, max_results=PAGE, page_token=token
            )
            found += page
            token = page.token
            if not token:
                return sorted(found, key=lambda run: int(run.info.start_time))

    def create(self, name: str, tags: Mapping[str, str], start_ms: int) -> MlflowRun:
        """A new run, RUNNING, without those tags that are empty."""
        return self.client.create_run(
            self.experiment_id,
            start_time=start_ms,
            run_name=name,
            tags={
                "mlflow.user": user(),
                "mlflow.source.type": "LOCAL",
                **self.common,
                **{name: value for name, value in tags.items() if value},
            },
        )

    def upload(self, run: MlflowRun, files: Mapping[str, str | bytes]) -> None:
        """Write a run's artifacts, by path; texts without secrets, bytes as they are."""
        # The client's own call reads the run anew for each file, a fifth of a trial's cost.
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        if not files:
            return
        repository = get_artifact_repository(run.info.artifact_uri, tracking_uri=self.uri)
        with tempfile.TemporaryDirectory(prefix="mox-") as folder:
            for name, content in files.items():
                path = Path(folder) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                raw = scrub(content).encode() if isinstance(content, str) else content
                path.write_bytes(raw)
            repository.log_artifacts(folder)  # type: ignore[no-untyped-call]

    def log(
        self,
        run: MlflowRun,
        *,
        params: Mapping[str, str],
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
    ) -> None:
        """Log what a run hasn't got, in one batch (more only where MLflow's limits want it).

        Empty tags are removed. A param that is there already stays, since MLflow's are
        write-once: trials and sweeps are named by the hash of their settings, so at most its
        spelling could differ.
        """
        from mlflow.entities import Metric, Param, RunTag

        at = int(1000 * time.time())
        has = run.data
        new: list[list[Any]] = [
            [Metric(k, v, at, 0) for k, v in metrics.items() if _differs(has.metrics.get(k), v)],
            [Param(k, v) for k, v in params.items() if k not in has.params],
            [RunTag(k, v) for k, v in tags.items() if v and has.tags.get(k) != v],
        ]
        for name in (name for name, value in tags.items() if not value and name in has.tags):
            self.client.delete_tag(run.info.run_id, name)
        # 800 and 100 and 100 stay under the 1,000 entries that a batch may have in all.
        sizes = (METRICS - PARAMS - TAGS, PARAMS, TAGS)
        while any(new):
            now = [part[:size] for part, size in zip(new, sizes, strict=True)]
            new = [part[size:] for part, size in zip(new, sizes, strict=True)]
            self.client.log_batch(run.info.run_id, metrics=now[0], params=now[1], tags=now[2])

    def log_steps(
        self, run: MlflowRun, series: Mapping[str, Mapping[int, float]], *, own: Iterable[str]
    ) -> None:
        """Log values by metric and step, those that a run hasn't got; NaN where it has a value and
        is to have none.

        A value that has changed is logged beside the old one, since MLflow removes none; its
        pages show the later.

        Args:
            own: the run's metrics that an earlier `series` may have told, those of `series` too.
        """
        from mlflow.entities import Metric

        at = int(1000 * time.time())
        new = []
        for key in dict.fromkeys([*series, *own]):
            has: dict[int, float] = {}
            if key in run.data.metrics:
                every = self.client.get_metric_history(run.info.run_id, key)
                ordered = sorted(every, key=lambda metric: int(metric.timestamp))
                has = {metric.step: metric.value for metric in ordered}
            values = {**dict.fromkeys(has, math.nan), **series.get(key, {})}
            new += [
                Metric(key, v, at, step) for step, v in values.items() if _differs(has.get(step), v)
            ]
        for start in range(0, len(new), METRICS):
            self.client.log_batch(run.info.run_id, metrics=new[start : start + METRICS])


def taken_back(has: Iterable[str], metrics: Mapping[str, float]) -> dict[str, float]:
    """What a run was told and doesn't hold any more, as NaN: MLflow removes no metric.

    Args:
        has: names of metrics that the run has.
        metrics: those that it is to have.
    """
    return {name: math.nan for name in has if name not in metrics}


def told(has: Iterable[str], what: Iterable[str]) -> list[str]:
    """Those metrics of a run that are one of `what` by step, of whichever configuration."""
    begun = tuple(f"{name}/" for name in what)
    return [name for name in has if name.startswith(begun)]


def _differs(before: float | None, value: float) -> bool:
    if before is not None and math.isnan(before) and math.isnan(value):
        return False  # taken back already
    return before != value


def made_with(folder: Path | None) -> dict[str, str]:
    """Tags that say what something is made with, as far as that is known.

    Args:
        folder: the working tree whose commit is noted; None where it isn't made from one now.
    """
    tags = {"mox.version": metadata.version(DISTRIBUTION)}
    found = commit(folder) if folder else None
    if found is not None:
        tags["mlflow.source.git.commit"] = found.sha
        tags["mox.git_dirty"] = str(found.dirty).lower()
    return tags


def figure_page(figure: Figure) -> bytes:
    """A figure as a page that needs no network."""
    with tempfile.TemporaryDirectory(prefix="mox-") as folder:
        path = Path(folder) / "figure.html"
        figure.save(path)
        # Secrets word by word: `scrub` would take a script's `&key=` for a query's.
        return hide(path.read_text(encoding="utf-8")).encode()


def user() -> str:
    """Who runs this, as the system has it."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container's user may have no name
        return "unknown"
