"""What the command line and notebooks call: look what it would cost, and measure."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mox.bench.providers import kept
from mox.bench.providers.document import document
from mox.bench.providers.estimate import Estimate, estimate
from mox.bench.providers.file import Benchmark, load
from mox.bench.providers.found import ProviderBench
from mox.bench.providers.outcome import Measured
from mox.bench.providers.run import Run
from mox.bench.providers.targets import simulated
from mox.bench.providers.till import Till
from mox.bench.providers.watch import watching
from mox.bench.providers.workloads import Workload, workloads
from mox.errors import StoreError
from mox.loadgen import host
from mox.pipeline.store import Store
from mox.services import valkey
from mox.settings import settings
from mox.tracking import providers as mirror
from mox.tracking import server
from mox.tracking.mirroring import kept as mirror_kept

FileLike = str | Path | Mapping[str, Any]


def plan_providers(file: FileLike, *, set: Mapping[str, Any] | None = None) -> Estimate:  # noqa: A002
    """How many requests, how long, and what it may cost at most; asks nobody.

    Raises:
        MoxError: what is written cannot be meant, a key or a price is missing.
    """
    store = Store(settings().root)
    benchmark = load(file, set)
    with _opened(benchmark, store) as opened:
        return estimate(benchmark, opened.asked, opened.till)


def bench_providers(
    file: FileLike,
    *,
    set: Mapping[str, Any] | None = None,  # noqa: A002  as `mox.plan` has it
    again: bool = False,
    offline: bool = False,
    quiet: bool = False,
) -> ProviderBench:
    """Measure providers on latency, throughput, errors and cost.

    Rounds that are kept already aren't measured again; stopped at any place, by Ctrl-C or by its
    budget, the same call goes on. What is kept whole is returned as it was.

    Args:
        file: a YAML file, or the same as a mapping.
        set: dotted path → value: `{"loads.0.concurrency": [1]}`.
        again: measure anew; what was measured before is moved aside.
        offline: don't mirror to MLflow; `mox sync` does it later.
        quiet: show no progress.

    Raises:
        MoxError: what is written cannot be meant, a key or a price is missing, a simulator doesn't
            start, or MLflow is away and `offline` isn't set.
    """
    store = Store(settings().root)
    benchmark = load(file, set)
    uri = None if offline else server.tracking_uri(store.root)
    if uri is not None:
        server.reachable(uri)
    found = _measured(benchmark, store, again=again, quiet=quiet)
    if uri is not None:
        with mirror_kept():
            mirror.finish(
                store, found.content, uri, page=found.page(), folder=benchmark.source.base
            )
    return found


def pages(store: Store) -> list[tuple[Mapping[str, Any], str]]:
    """Every kept document with its tables as a page, for `mox sync`.

    Raises:
        StoreError: one can't be read.
    """
    return [(one, ProviderBench(one).page()) for one in kept.every(store)]


def _measured(benchmark: Benchmark, store: Store, *, again: bool, quiet: bool) -> ProviderBench:
    """What is kept whole, or what was measured now."""
    with _alone(store, benchmark.identity):
        if again:
            kept.aside(store, benchmark.identity)
        elif (whole := _kept(benchmark, store)) is not None:
            return ProviderBench(whole)
        with _opened(benchmark, store, begin=True) as opened:
            estimate(benchmark, opened.asked, opened.till)  # refuses what can't be paid
            if any(one.entry.limits or one.entry.accounts for one in benchmark.providers):
                valkey.check(settings())
            run = Run(
                benchmark,
                opened.asked,
                kept.folder(store, benchmark.identity),
                opened.till,
                watching(quiet=quiet),
                _until(benchmark),
                whole=kept.whole(store, benchmark.identity) is not None,
            )
            made = _document(benchmark, opened, run.measure())
        kept.save(kept.folder(store, benchmark.identity), made)
    return ProviderBench(made)


def _kept(benchmark: Benchmark, store: Store) -> Mapping[str, Any] | None:
    """The document that is kept whole, by today's prices; None where there is none."""
    from mox.providers.prices import Prices

    whole = kept.whole(store, benchmark.identity)
    if whole is None:
        return None
    today = Prices.load(benchmark.prices).version
    return whole if whole.get("prices", today) == today else None


@dataclass(frozen=True)
class _Opened:
    asked: tuple[Workload, ...]
    till: Till
    at: str


@contextmanager
def _opened(benchmark: Benchmark, store: Store, *, begin: bool = False) -> Iterator[_Opened]:
    """Its prompts and its money.

    Args:
        begin: note that it begins.
    """
    from mox.providers.ledger import Ledger
    from mox.providers.prices import Prices

    place = kept.folder(store, benchmark.identity)
    seed = benchmark.plain.seed
    nobody = all(simulated(one.spec) for one in benchmark.providers)
    said = kept.begun(place, seed=seed, simulated=nobody) if begin else kept.Begun("", str(seed))
    asked = tuple(
        one
        for part in benchmark.workloads
        for one in workloads(
            part, caches=benchmark.plain.cache, salt=said.salt, base=benchmark.source.base
        )
    )
    prices = Prices.load(benchmark.prices, unpriced=benchmark.plain.unpriced)
    ledger = Ledger(store.root)
    try:
        yield _Opened(asked, Till(benchmark, prices, ledger, _purse(benchmark, said)), said.at)
    finally:
        ledger.close()


def _purse(benchmark: Benchmark, begun: kept.Begun) -> str:
    """The ledger's name for a benchmark: one that is measured again has a budget of its own."""
    when = begun.at.replace("-", "").replace(":", "")
    return f"{kept.BEGINS}{benchmark.identity} {when} {begun.salt}".strip()


@contextmanager
def _alone(store: Store, id_: str) -> Iterator[None]:
    """Hold a benchmark: two of one at once would measure each other.

    Raises:
        StoreError: another process measures it now.
    """
    try:
        with store.lock(f"{kept.BEGINS}{id_}", wait_s=0):
            yield
    except TimeoutError:
        raise StoreError(
            "another process measures this benchmark now.", mend="wait until it has ended."
        ) from None


def _until(benchmark: Benchmark) -> float | None:
    minutes = benchmark.budget.minutes
    return None if minutes is None else time.monotonic() + 60 * minutes


def _document(benchmark: Benchmark, opened: _Opened, found: Measured) -> dict[str, Any]:
    spent = {name: float(usd) for name, usd in opened.till.spent().items()}
    about = {
        "benchmark": benchmark.identity,
        "name": benchmark.name,
        "at": opened.at,
        "host": host(),
        "slo": benchmark.slo.model_dump(mode="json") if benchmark.slo else None,
        "prices": opened.till.prices.version,
    }
    rest = {
        "seconds": round(found.seconds, 1),
        "stopped": found.stopped,
        "usd": spent,
        "left_out": dict(benchmark.left_out),
        "missing": found.missing,
        "notes": found.notes,
    }
    return document(about, found.rows, rest)
