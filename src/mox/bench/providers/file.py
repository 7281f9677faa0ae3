"""The file of `mox bench providers`: who is asked, what, how fast, and what is too slow.

```yaml
name: providers
providers:
  - {kind: simulated, model: sim-swift}
  - {kind: openai, model: gpt-6-mini, optional: true}     # measured only where its key is set
workloads: [short, {kind: rag, corpus: {kind: card, name: python-reference}}]
cache: [off]
loads:
  - {kind: closed, concurrency: [1, 4, 16]}
  - {kind: poisson, rate: [2]}
  - {kind: slo, start: 1}
slo: {ttft_ms: 1500, e2e_ms: 20000}
```
Loads and bounds are in the provider's own time: a simulated one may play it faster (`time_scale`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from mox.bench.providers.entries import Named, entries, listed, validated
from mox.bench.providers.plain import Plain
from mox.bench.providers.reach import reachable
from mox.bench.providers.sections import (
    Budget,
    Closed,
    Constant,
    Own,
    Poisson,
    Rag,
    Search,
    Sized,
    Slo,
)
from mox.bench.providers.slo import EACH
from mox.errors import SpecError
from mox.experiment.checks import mapping, only
from mox.registry import nearest
from mox.source import Source, override, read
from mox.spec import digest


@dataclass(frozen=True)
class Benchmark:
    """A file as read and checked; nobody has been asked anything."""

    name: str
    providers: tuple[Named, ...]
    left_out: Mapping[str, str]
    """Optional providers → why they aren't measured."""
    workloads: tuple[Sized | Own | Rag, ...]
    loads: tuple[Closed | Constant | Poisson | Search, ...]
    plain: Plain
    slo: Slo | None
    budget: Budget
    prices: Path | None
    """Overrides of prices."""
    source: Source

    @cached_property
    def identity(self) -> str:
        """Equal for files that measure the same: what was measured for one is the other's. Prices
        are no part of it: what is kept is priced anew by another table.

        Raises:
            MoxError: a corpus can't be read.
        """
        plain = self.plain.model_dump(mode="json", exclude=RUNTIME)
        return digest(
            {
                "providers": [
                    {"name": one.name, **one.spec.model_dump(mode="json"), "key_file": None,
                     "limits": one.entry.limits, "accounts": _placeless(one.entry.accounts)}
                    for one in self.providers
                ],
                "workloads": [_content(one, self.source.base) for one in self.workloads],
                "loads": [one.model_dump(mode="json") for one in self.loads],
                "slo": self.slo.model_dump(mode="json") if self.slo else None,
                **plain,
            }
        )[:12]  # fmt: skip


RUNTIME = {"name", "instrument_s"}
"""What changes no figure of the provider's."""


def _content(one: Sized | Own | Rag, base: Path) -> dict[str, Any]:
    """A workload; of a corpus its content, wherever it lies."""
    said = one.model_dump(mode="json")
    if isinstance(one, Rag):
        from mox.corpus import corpora
        from mox.corpus.check import open_checked

        spec = corpora.parse(one.corpus)
        corpus = open_checked(spec, base)
        said["corpus"] = [corpus.fingerprint, corpus.questions_fingerprint]
    return said


def _placeless(accounts: tuple[dict[str, Any], ...] | None) -> list[dict[str, Any]] | None:
    """Accounts without where their keys lie: that is another place on another machine."""
    if accounts is None:
        return None
    return [{key: one[key] for key in one if key != "key_file"} for one in accounts]


KEYS = (
    "name", "providers", "workloads", "cache", "loads", "requests", "seconds", "rounds", "warm_up",
    "slo", "time_scale", "timeout_s", "instrument_s", "prices", "unpriced", "budget", "seed",
)  # fmt: skip
SIZED: Mapping[str, type[Sized | Own | Rag]] = {
    "short": Sized,
    "standard": Sized,
    "long": Sized,
    "tokens": Own,
    "rag": Rag,
}
LOADS: Mapping[str, type[Closed | Constant | Poisson | Search]] = {
    "closed": Closed,
    "constant": Constant,
    "poisson": Poisson,
    "slo": Search,
}


def load(
    file: str | Path | Mapping[str, Any], changes: Mapping[str, Any] | None = None
) -> Benchmark:
    """Read and check a file of providers.

    Args:
        file: a YAML file, or the same as a mapping.
        changes: dotted path → value: `{"loads.0.concurrency": [1]}`; unknown names are refused.

    Raises:
        MoxError: what is written cannot be meant, or a key that is needed isn't there; names file,
            line and the nearest valid name.
    """
    if isinstance(file, Mapping):
        source = Source(file)
    else:
        source = read(Path(file), what="a file of providers")
    return parse(override(source, changes or {}))


def parse(source: Source) -> Benchmark:
    """Check settings. See `load`."""
    settings = source.settings
    only(source, (), settings, KEYS)
    for key in ("providers", "workloads", "loads"):
        if not settings.get(key):
            raise source.error(
                (key,), SpecError(f"`{key}` is missing or empty.", mend=f"add `{key}:`, a list.")
            )
    plain = validated(
        source, (), Plain, {name: settings[name] for name in Plain.model_fields if name in settings}
    )
    every = tuple(entries(source))
    _unlike(source, "providers", [one.name for one in every])
    providers, left_out = reachable(source, every)
    workloads = tuple(_parts(source, "workloads", SIZED))
    _unlike(source, "workloads", [one.name for one in workloads])
    loads = tuple(_parts(source, "loads", LOADS))
    slo = None
    if settings.get("slo") is not None:
        slo = validated(source, ("slo",), Slo, mapping(source, ("slo",), settings["slo"]))
    budget = settings.get("budget")  # 0 is no way to say that there is none
    budget = {} if budget is None else budget
    found = Benchmark(
        name=plain.name or (source.file.stem if source.file else "providers"),
        providers=providers,
        left_out=left_out,
        workloads=workloads,
        loads=loads,
        plain=plain,
        slo=slo,
        budget=validated(source, ("budget",), Budget, mapping(source, ("budget",), budget)),
        prices=_prices(source),
        source=source,
    )
    _check_callers(found)
    _check_search(found)
    return found


S = TypeVar("S", bound=BaseModel)


def _parts(source: Source, key: str, shapes: Mapping[str, type[S]]) -> Iterator[S]:
    """The items of a list, each of the shape that its `kind` names."""
    for at, raw in enumerate(listed(source, key)):
        path = (key, at)
        value = mapping(source, path, {"kind": raw} if isinstance(raw, str) else raw)
        kind = value.get("kind")
        if not isinstance(kind, str) or kind not in shapes:
            said = f"unknown kind {kind!r}{nearest(str(kind), shapes)}" if kind else "no `kind`"
            raise source.error(
                (*path, "kind"),
                SpecError(f"{key}.{at}: {said}.", mend=f"use one of {', '.join(shapes)}."),
            )
        yield validated(source, path, shapes[kind], value)


def _unlike(source: Source, key: str, names: list[str]) -> None:
    """Refuse two of one name: their rows could not be told apart."""
    for at, name in enumerate(names):
        if name in names[:at]:
            raise source.error(
                (key, at),
                SpecError(
                    f"{key}: two are called {name!r}.",
                    mend="give one of them a `name:`." if key == "providers" else "remove one.",
                ),
            )


def _prices(source: Source) -> Path | None:
    value = source.settings.get("prices")
    if value is None:
        return None
    path = source.base / str(value)
    if not path.is_file():
        raise source.error(
            ("prices",),
            SpecError(f"prices: {path} is no file.", mend="name a YAML of prices, or remove it."),
        )
    return path


def _check_callers(found: Benchmark) -> None:
    """Refuse more callers than requests: the rest would never ask, and the row would count them."""
    for at, one in enumerate(found.loads):
        if isinstance(one, Closed) and max(one.concurrency) > found.plain.requests:
            most = max(one.concurrency)
            raise found.source.error(
                ("loads", at),
                SpecError(
                    f"of {most} callers at most {found.plain.requests} would ask: a round has no"
                    " more requests.",
                    mend=f"raise `requests` to {EACH * most} (a few of each caller), or ask for"
                    " fewer callers.",
                ),
            )


def _check_search(found: Benchmark) -> None:
    """Refuse a search that could not find anything, whatever the provider does."""
    for at, one in enumerate(found.loads):
        if not isinstance(one, Search):
            continue
        path = ("loads", at)
        if found.slo is None or not found.slo.timed:
            raise found.source.error(
                path,
                SpecError(
                    "a search for the highest load needs a bound in time.",
                    mend="add `slo: {ttft_ms: 1500}`.",
                ),
            )
        most = found.plain.requests * found.plain.rounds
        if most < found.slo.fewest:
            raise found.source.error(
                path,
                SpecError(
                    f"{most} requests ({found.plain.requests} × {found.plain.rounds} rounds) can"
                    f" never show that {found.slo.attain:.0%} keep the bounds.",
                    mend=f"{found.slo.fewest} and more can: raise `requests`.",
                ),
            )
