"""`mox.growth`: a growth with all that may be asked of it as arguments, for notebooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mox.bench import ask
from mox.bench.record import Growth


def growth(
    experiment: str | Path | Mapping[str, Any],
    *,
    largest: int = 100_000,
    sizes: Sequence[int] = (),
    minutes: float | None = None,
    p95_ms: float | None = None,
    recall: float = 0.95,
    clients: Sequence[int] = (),
    seconds: float | None = None,
    rounds: int | None = None,
    corpora: Sequence[Mapping[str, Any]] = (),
    set: Mapping[str, Any] | None = None,  # noqa: A002  as `mox.plan` has it
    offline: bool = False,
    quiet: bool = False,
) -> Growth:
    """Measure an experiment's indexes at growing sizes, and mirror that to MLflow.

    What is stored isn't measured again; stopped at any place, the same call goes on.

    Args:
        experiment: a YAML file, or the same as a mapping.
        largest: vectors of the last size of the usual ladder.
        sizes: sizes in the place of the usual ladder.
        minutes: nothing is begun that takes longer, and what is left out is listed.
        p95_ms: the latency that you can bear; as fast as can be where None.
        recall: the share of the exact neighbours that you need.
        clients: how many ask at once, instead of the experiment's loads; the bound is for the
            most of them.
        seconds: of each round; `rounds`: interleaved repeats.
        corpora: further ones, that only add documents.
        set: see `mox.plan`.
        offline: don't mirror to MLflow; `mox sync` does it later.
        quiet: show no progress.

    Raises:
        MoxError: it can't be grown, an engine is away, no mixture is like its vectors, or MLflow
            is away and `offline` isn't set.
    """
    wanted = ask.Wanted(
        largest=largest,
        sizes=tuple(sizes),
        minutes=minutes,
        p95_ms=p95_ms,
        recall=recall,
        clients=tuple(clients),
        seconds=seconds,
        rounds=rounds,
        corpora=tuple(corpora),
    )
    return ask.growth(experiment, wanted, set=set, offline=offline, quiet=quiet)
