"""What notebooks, batches and the command line call: plan, run, load, promote."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mox.errors import MoxError
from mox.experiment import load as load_experiment
from mox.pipeline import describe
from mox.pipeline import plan as plans
from mox.pipeline.estimate import learn
from mox.pipeline.execute import Outcome, execute
from mox.pipeline.prepare import prepare
from mox.pipeline.progress import watcher
from mox.pipeline.store import Store
from mox.results import Results
from mox.results import run as runs
from mox.results.gc import Swept, sweep
from mox.settings import Settings, settings

ExperimentLike = str | Path | Mapping[str, Any]


class Plan(plans.Plan):
    """What a run would do: shown as a table of stages. Nothing has run yet."""

    def __repr__(self) -> str:
        return describe.text(self, settings().workers)

    def _repr_html_(self) -> str:
        from mox.results.html import plan_card

        return plan_card(self)


def plan(experiment: ExperimentLike, *, set: Mapping[str, Any] | None = None) -> Plan:  # noqa: A002
    """Read an experiment and fold its trials into a plan; runs nothing.

    Args:
        experiment: a YAML file, or the same as a mapping.
        set: dotted path → value: `{"questions.limit": 50}`. Unknown names are refused.

    Raises:
        MoxError: what is written cannot be meant, or the corpus is not what it says.
    """
    here = settings()
    made = prepare(load_experiment(experiment, set), Store(here.root), here)
    return Plan(**{name: getattr(made, name) for name in plans.Plan.__dataclass_fields__})


def run(
    experiment: ExperimentLike | plans.Plan,
    *,
    set: Mapping[str, Any] | None = None,  # noqa: A002
    offline: bool = False,
    quiet: bool = False,
) -> Results:
    """Run what a plan lacks, keep it, mirror it to MLflow, and return the results.

    Works from a script, a notebook and inside a running event loop. Ctrl-C keeps what was
    finished; the same call resumes.

    Args:
        experiment: a file, a mapping, or a plan.
        set: see `plan`; not together with a plan.
        offline: don't mirror to MLflow; `mox sync` does it later.
        quiet: show no progress.

    Raises:
        MoxError: the experiment is refused, or MLflow is away and `offline` isn't set.
    """
    made = experiment if isinstance(experiment, plans.Plan) else plan(experiment, set=set)
    here = settings()
    mirror = None if offline else _Mirroring(made, here)
    outcome = execute(made, here, watcher(quiet=quiet))
    return _keep(made, outcome, mirror)


def _keep(made: plans.Plan, outcome: Outcome, mirror: _Mirroring | None) -> Results:
    record = runs.record(made, outcome)
    runs.save(made.store, record)
    learn(made, outcome.ran)
    results = Results(record, made.store)
    if mirror is not None:
        mirror.finish(results)
    return results


class _Mirroring:
    """MLflow's side of one run: reachable before it starts, written when it has ended."""

    def __init__(self, made: plans.Plan, here: Settings) -> None:
        from mox.tracking import server

        self._uri = server.tracking_uri(here.root)
        server.reachable(self._uri)

    def finish(self, results: Results) -> None:
        from mox.tracking import mirror

        mirror.finish(results, self._uri)


def load(run: str | Path) -> Results:
    """Results of an earlier run, by its id, or the latest state of an experiment's file.

    Raises:
        MoxError: no such run, or nothing of the experiment has run yet.
    """
    here = settings()
    store = Store(here.root)
    if Path(run).suffix in (".yaml", ".yml") or Path(run).is_file():
        return Results(runs.read(store, plan(run).run_id), store)
    return Results(runs.read(store, str(run)), store)


def gc(*, dry_run: bool = False) -> Swept:
    """Remove artifacts and collections that no run of this store reaches.

    Args:
        dry_run: only say what would be removed.
    """
    here = settings()
    return sweep(Store(here.root), here, dry=dry_run)


def sync() -> list[str]:
    """Mirror every run that MLflow hasn't got yet; returns their ids.

    Raises:
        EngineError: MLflow is away.
    """
    from mox.tracking import mirror, server

    here = settings()
    uri = server.tracking_uri(here.root)
    server.reachable(uri)
    return mirror.sync(Store(here.root), uri)


__all__ = ["MoxError", "Plan", "gc", "load", "plan", "run", "sync"]
