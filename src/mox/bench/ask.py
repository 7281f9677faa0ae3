"""What the command line and notebooks call: grow, and decide from what was grown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mox.bench import growth as growing
from mox.bench.auto import concrete, written
from mox.bench.bound import Bound
from mox.bench.decide import Decision
from mox.bench.decide import decide as pick
from mox.bench.known import answering, growths_like, now, points_of
from mox.bench.ladder import check_sizes, ladder
from mox.bench.measured import is_grown
from mox.bench.mixture import TOLERANCE
from mox.bench.record import Growth
from mox.bench.vectors import embed_all, read_corpora, subject
from mox.experiment import Experiment
from mox.experiment.experiment import parse
from mox.loadgen import host
from mox.pipeline.progress import Silent, watcher
from mox.pipeline.store import Store
from mox.services.running import located
from mox.settings import settings
from mox.tracking import growth as mirror
from mox.tracking import server
from mox.tracking.mirroring import kept


@dataclass(frozen=True)
class Wanted:
    """What is asked of a growth; see `Asked` and `Bound`."""

    largest: int = 100_000
    """Vectors of the last size of the usual ladder."""
    sizes: tuple[int, ...] = ()
    """Sizes instead of the usual ladder."""
    minutes: float | None = None
    p95_ms: float | None = None
    recall: float = 0.95
    clients: tuple[int, ...] = ()
    """Instead of the experiment's own loads."""
    seconds: float | None = None
    rounds: int | None = None
    corpora: tuple[Mapping[str, Any], ...] = ()
    tolerance: float = TOLERANCE

    @property
    def load(self) -> Mapping[str, Any]:
        """What of loads is set here."""
        given = {"clients": self.clients, "seconds": self.seconds, "rounds": self.rounds}
        return {name: value for name, value in given.items() if value}

    def bound(self, experiment: Experiment) -> Bound:
        """For the largest number of clients, of the loads that are grown.

        Raises:
            SpecError: no curve can be held to it.
        """
        loads = [trial.load for trial in experiment.trials if trial.load is not None]
        written = [load.clients for load in loads if is_grown(load)]
        # Floats, so that 50 from a notebook and 50.0 from the command line are one bound.
        p95_ms = None if self.p95_ms is None else float(self.p95_ms)
        return Bound(float(self.recall), max(self.clients or written, default=1), p95_ms)


def growth(
    experiment: str | Path | Mapping[str, Any],
    wanted: Wanted | None = None,
    *,
    set: Mapping[str, Any] | None = None,  # noqa: A002  as `mox.plan` has it
    offline: bool = False,
    quiet: bool = False,
) -> Growth:
    """Measure an experiment's indexes at growing sizes; what is stored isn't measured again.

    Args:
        offline: don't mirror it to MLflow; `mox sync` does it later.

    Raises:
        MoxError: it can't be grown, an engine is away, no mixture is like its vectors, or MLflow
            is away and `offline` isn't set.
    """
    asked = wanted or Wanted()
    here = located(settings())
    made = parse(concrete(written(experiment, set)))
    uri = None if offline else server.tracking_uri(here.root)
    if uri is not None:
        server.reachable(uri)
    store = Store(here.root)
    found = growing.grow(
        made,
        growing.Asked(
            check_sizes(asked.sizes) if asked.sizes else ladder(asked.largest),
            asked.minutes,
            asked.bound(made),
            asked.corpora,
            asked.load,
            asked.tolerance,
        ),
        store,
        here,
        watcher(quiet=quiet),
    )
    if uri is not None:
        with kept():
            mirror.finish(store, found.content, uri, folder=made.source.base)
    return found


def decide(
    experiment: str | Path | Mapping[str, Any],
    wanted: Wanted | None = None,
    *,
    rows: int | None = None,
    set: Mapping[str, Any] | None = None,  # noqa: A002
) -> Decision:
    """Which store the measured curves pick for an experiment's size, or for `rows` vectors.

    Where a configuration has curves of several engines, that which answers now speaks for it,
    else the one measured last. Each prediction names its engine.

    Raises:
        MissingError: no curves of this host, this embedding or this load.
        SpecError: neither store keeps the bound.
    """
    asked = wanted or Wanted()
    here = located(settings())
    store = Store(here.root)
    made = parse(concrete(written(experiment, set)))
    trial = subject(made)
    if rows is None:
        read = read_corpora(made, asked.corpora)
        rows = sum(embed_all(made, read, store, here, Silent()).rows(store).values())
    embed = trial.embed.model_dump(mode="json") if trial.embed else {}
    growths = growths_like(store, host=host(), embed=embed, k=trial.search.k)
    return pick(answering(points_of(growths), now(here)), rows, asked.bound(made))
