"""What notebooks, batches and the command line call: plan, run, load, promote."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mox.bench import auto, record
from mox.errors import MirrorWarning, MoxError, SpecError
from mox.pipeline import describe
from mox.pipeline import plan as plans
from mox.pipeline.dollars import check_paid
from mox.pipeline.estimate import learn
from mox.pipeline.execute import execute
from mox.pipeline.prepare import prepare
from mox.pipeline.progress import watcher
from mox.pipeline.running import announced
from mox.pipeline.store import Store
from mox.results import Results, going
from mox.results import run as runs
from mox.results.collect.gc import Swept, sweep
from mox.services.running import located
from mox.settings import settings

if TYPE_CHECKING:
    from mox.release.ask import Answer
    from mox.release.promotion import Promotion
    from mox.results.lineage.explain import Explained
    from mox.results.load.stores import Stores
    from mox.services.running import Server
    from mox.tracking.marker import Mirrored

ExperimentLike = str | Path | Mapping[str, Any]


class Plan(plans.Plan):
    """What a run would do: shown as a table of stages. Nothing has run yet."""

    def __repr__(self) -> str:
        return describe.text(self, settings().workers)

    def _repr_html_(self) -> str:
        from mox.results.show.plan_card import plan_card

        return plan_card(self)


def plan(experiment: ExperimentLike, *, set: Mapping[str, Any] | None = None) -> Plan:  # noqa: A002
    """Read an experiment and fold its trials into a plan; runs nothing.

    Args:
        experiment: a YAML file, or the same as a mapping.
        set: dotted path → value: `{"questions.limit": 50}`. Unknown names are refused.

    Raises:
        MoxError: what is written cannot be meant, the corpus is not what it says, or what is paid
            for has no key, no known price or no budget.
    """
    made = _planned(experiment, set)
    check_paid(made)
    return made


def _planned(experiment: ExperimentLike, set: Mapping[str, Any] | None = None) -> Plan:  # noqa: A002
    here = located(settings())
    store = Store(here.root)
    made = prepare(auto.load(experiment, set, store, here), store, here)
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
    if isinstance(experiment, plans.Plan) and set:
        raise SpecError("a plan's settings are fixed.", mend="give `set` to `mox.plan`.")
    made = experiment if isinstance(experiment, plans.Plan) else plan(experiment, set=set)
    here = located(settings())
    todo = made.lacks()
    mirroring = None
    if not offline:
        from mox.tracking.mirroring import Mirroring

        mirroring = Mirroring(made, here, begin=todo)
    try:
        with announced(made, record=going.provisional(made) if todo else None):
            outcome = execute(made, here, watcher(quiet=quiet))
            record = runs.record(made, outcome)
            runs.save(made.store, record)
        learn(made, outcome.ran)
    except BaseException:
        if mirroring is not None:
            mirroring.abandon()
        raise
    results = Results(record, made.store)
    if mirroring is not None:
        mirroring.finish(results)
    return results


def bench_stores(
    experiment: ExperimentLike,
    *,
    clients: Sequence[int] | None = None,
    seconds: float | None = None,
    rounds: int | None = None,
    set: Mapping[str, Any] | None = None,  # noqa: A002
    offline: bool = False,
    quiet: bool = False,
) -> Stores:
    """Put an experiment's indexes under load, and compare them at equal recall.

    Args:
        experiment: a file or a mapping. Without an axis `load` it gets the ladder of 1, 4 and 16
            clients.
        clients: how many at a time, in place of what the axis says; `seconds` and `rounds` alike.
        set: see `plan`.
        offline: see `run`, and `quiet`.

    Raises:
        MoxError: the experiment is refused.
    """
    from mox.results.load.stores import ladder, stores

    here = settings()
    read = auto.load(experiment, set, Store(here.root), here)
    asked = ladder(read.settings["axes"], clients, seconds, rounds)
    made = plan(experiment, set={**(set or {}), **asked})
    return stores(run(made, offline=offline, quiet=quiet))


def load(run: str | Path) -> Results:
    """Results of a run, by its id, or the latest state of an experiment's file.

    Of a run that is still going on, or that was cut off, it is what is stored by now:
    `results.run.stopped` says which.

    Raises:
        MoxError: no such run, or nothing of the experiment has run yet.
    """
    here = settings()
    store = Store(here.root)
    name = str(run)
    if Path(run).suffix in (".yaml", ".yml") or Path(run).is_file():
        name = _planned(run).run_id  # what was run is read without a key
    return Results(going.unfinished(store, name) or runs.read(store, name), store)


def explain(trial: str, question: str | None = None, *, run: str | Path | None = None) -> Explained:
    """A trial's numbers followed back to its questions, hits, artifacts, settings and versions.

    Args:
        trial: its id, or the first letters of it.
        question: one question's id, or the first letters of it.
        run: a run's id or an experiment's file; all runs of the store, newest first, where None.

    Raises:
        MoxError: no such trial, question or run.
    """
    from mox.release.standing import naming
    from mox.results.lineage.search import newest_with
    from mox.tracking.links import pages

    store = Store(settings().root)
    results = load(run) if run is not None else Results(newest_with(store, trial), store)
    found = results.explain(trial, question)
    return found.with_links(
        mlflow=pages(results, found.trial.id), releases=naming(store, results.run, found.trial)
    )


def promote(
    run: str | Path | Results,
    *,
    trial: str | None = None,
    alias: str = "candidate",
    out: Path | None = None,
    offline: bool = False,
) -> Promotion:
    """Write the chosen trial as a release, and register it as an MLflow model version.

    Args:
        run: results, a run's id, or an experiment's file.
        trial: another trial than the chosen one.
        alias: the alias that points at it then.
        out: the file to write; in the state folder where None.
        offline: register nothing.

    Raises:
        MoxError: nothing is chosen, the corpus or what the trial stands on has changed, or MLflow
            is away.
    """
    from mox.release import bundle, registry, standing
    from mox.release.promotion import Promotion
    from mox.tracking import server

    registry.check_alias(alias)
    results = run if isinstance(run, Results) else load(run)
    if offline:
        release = bundle.promote(results, trial=trial, out=out)
        standing.note(results.store, release)
        return Promotion(release, None)
    uri = server.tracking_uri(settings().root)

    def parent() -> Mirrored:
        server.reachable(uri)
        return registry.parent_run(results, uri)

    release = bundle.promote(results, trial=trial, out=out, mlflow=parent)
    standing.note(results.store, release)
    return Promotion(release, registry.register(results, release, uri, alias=alias))


def ask(
    release: str | Path,
    question: str,
    *,
    k: int = 5,
    embedder: Mapping[str, Any] | None = None,
    usd: float | None = None,
) -> Answer:
    """A release's ranked passages for a question, its corpus and checksum verified.

    Args:
        embedder: how an embedder behind an API is asked on this machine, where not as the release
            says: `{"key_env": "MY_KEY"}`, `account`, `limits`, …; never a key, and nothing that
            changes vectors.
        usd: the most that this call may spend. Without it a question is paid for, and never a
            whole corpus whose vectors the store lacks: that is refused with what it would cost.

    Raises:
        MoxError: the release or its corpus was changed, money isn't allowed, or a stage failed.
    """
    from mox.release.ask import open_release

    here = located(settings())
    store = Store(here.root)
    with open_release(Path(release), store, here, embedder=embedder, usd=usd) as opened:
        return opened.ask(question, k=k)


def gc(*, dry_run: bool = False, forget: Sequence[str] = (), force: bool = False) -> Swept:
    """Remove artifacts and collections that no run, release or running sweep reaches.

    Args:
        dry_run: only say what would be removed, and why the rest is kept.
        forget: runs whose records are removed first, by id or the first letters of one.
        force: also where a release names the run; what the release itself needs is kept.

    Raises:
        MoxError: no such run, a release stands on it, or the system doesn't let it be removed.
    """
    from mox.release.standing import standing

    here = located(settings())
    store = Store(here.root)
    releases = [*standing(store), *record.standing(store)]
    return sweep(store, here, dry=dry_run, releases=releases, forget=forget, force=force)


def up(
    service: str, *, port: int | None = None, progress: Callable[[str], None] | None = None
) -> Server:
    """Have a real server run on this machine, on this state folder's data; returns once it answers.

    What stands in its place by default (Milvus Lite; each process's own books and answers) isn't
    used from then on, until `down`.

    Args:
        service: `milvus` or `redis`.
        port: the one that it shall answer on; its last one, or a free one, where None.
        progress: told what is done, line by line; printed on standard error where None.

    Raises:
        MoxError: it isn't installed, a port is taken, or it doesn't start.
    """
    from mox.services import updown

    return updown.up(service, settings().root, port=port, say=progress or _progress)


def down(service: str | None = None) -> list[Server]:
    """End a server that `up` started, or all of them; their data stays.

    Returns:
        Those that were recorded.

    Raises:
        MoxError: no such service, or it is another user's.
    """
    from mox.services import updown

    names = [service] if service else list(updown.SERVICES)
    ended = (updown.down(name, settings().root) for name in names)
    return [server for server in ended if server is not None]


def _progress(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def sync() -> list[str]:
    """Mirror every run, growth and benchmark that MLflow hasn't got yet; returns their ids.

    Raises:
        EngineError: MLflow is away.
    """
    from mox.bench.providers.ask import pages
    from mox.tracking import mirror, server

    here = settings()
    uri = server.tracking_uri(here.root)
    server.reachable(uri)
    store = Store(here.root)
    growths = [found.content for found in record.every(store)]
    return mirror.sync(store, uri, growths, pages(store))


__all__ = [
    "MirrorWarning",
    "MoxError",
    "Plan",
    "ask",
    "bench_stores",
    "down",
    "explain",
    "gc",
    "load",
    "plan",
    "promote",
    "run",
    "sync",
    "up",
]
