"""Before anything is asked: how many requests, how long, and what it may cost at most."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

from mox.bench.providers.conditions import Condition, at, ladder, searches
from mox.bench.providers.quantiles import Share
from mox.bench.providers.slo import Search
from mox.bench.providers.targets import simulated
from mox.errors import BudgetError, PriceError

if TYPE_CHECKING:
    from mox.bench.providers.file import Benchmark
    from mox.bench.providers.sections import Search as SearchPart
    from mox.bench.providers.till import Till
    from mox.bench.providers.workloads import Workload

PROBES = 8
"""Rounds that a search takes, usually: four doublings, and four halvings between."""
NONE = Share(0, 0)
"""Of requests that were not made."""
FIRST_S, TOKEN_S = 1.0, 0.02
"""Guessed of a provider that isn't simulated: to its first token, and a token."""
BETWEEN_S = 0.3
"""Between two rounds."""


@dataclass(frozen=True)
class Part:
    """Of one provider."""

    provider: str
    model: str
    simulated: bool
    requests: int
    """At the most, warm-up left out."""
    minutes: float
    """Real ones."""
    usd: Decimal | None
    """At the most; None where it has no price."""


@dataclass(frozen=True, repr=False)
class Estimate:
    """What a benchmark would do. Nothing was asked."""

    benchmark: Benchmark
    parts: tuple[Part, ...]

    @property
    def minutes(self) -> float:
        return sum(part.minutes for part in self.parts)

    def usd(self, *, simulated: bool) -> Decimal | None:
        """At the most, of the real or of the simulated providers; None where one has no price."""
        found = [part.usd for part in self.parts if part.simulated == simulated]
        return None if None in found else sum((one for one in found if one), Decimal(0))

    def document(self) -> dict[str, Any]:
        """The JSON of `mox bench providers --dry-run --json`."""
        real = self.usd(simulated=False)
        return {
            "schema": 1,
            "dry_run": True,
            "name": self.benchmark.name,
            "benchmark": self.benchmark.identity,
            "minutes": round(self.minutes, 2),
            "usd_at_most": None if real is None else float(real),
            "left_out": dict(self.benchmark.left_out),
            "providers": [
                {
                    "provider": part.provider,
                    "model": part.model,
                    "simulated": part.simulated,
                    "requests": part.requests,
                    "minutes": round(part.minutes, 2),
                    "usd_at_most": None if part.usd is None else float(part.usd),
                }
                for part in self.parts
            ],
        }

    def __repr__(self) -> str:
        return self.text()

    def text(self) -> str:
        """The same for a reader."""
        lines = [f"{self.benchmark.name}: at most"]
        for part in self.parts:
            cost = "no price" if part.usd is None else f"${part.usd:.2f}"
            cost += " (simulated: nobody is paid)" if part.simulated else ""
            lines.append(
                f"  {part.provider:<16} {part.requests:>6} requests, about"
                f" {part.minutes:.1f} min, {cost}"
            )
        lines += [f"  {name}: left out. {why}" for name, why in self.benchmark.left_out.items()]
        real = self.usd(simulated=False)
        paid = "not known" if real is None else f"${real:.2f}"
        lines.append(f"  together about {self.minutes:.1f} min; to be paid at most: {paid}")
        return "\n".join(lines)


def estimate(benchmark: Benchmark, asked: Sequence[Workload], till: Till) -> Estimate:
    """What a benchmark would do.

    Raises:
        PriceError: a price isn't known, or there is none and a budget; says what to write.
        BudgetError: not even one round can be paid.
    """
    rounds = benchmark.plain.rounds
    steps = [_Step(one, rounds, (one,), (one,)) for one in ladder(benchmark, asked)]
    steps += [_search(one, part, till) for one, part in searches(benchmark, asked)]
    _check(benchmark, [step.one for step in steps], till)
    found = tuple(
        _part(provider.name, [step for step in steps if step.one.provider is provider], till)
        for provider in benchmark.providers
    )
    return Estimate(benchmark, found)


@dataclass(frozen=True)
class _Step:
    """A condition of the file, or a search."""

    one: Condition
    usual: int
    """Rounds that it takes, most likely."""
    dearest: tuple[Condition, ...]
    """The loads that it tries, each for all rounds of the file, where that costs most."""
    longest: tuple[Condition, ...]
    """… and where it takes most requests."""


def _part(name: str, steps: Sequence[_Step], till: Till) -> Part:
    one = steps[0].one
    rounds = one.benchmark.plain.rounds
    prices = [till.worst(load) for step in steps for load in step.dearest]
    known = [price for price in prices if price is not None]
    return Part(
        provider=name,
        model=one.provider.spec.model,
        simulated=till.simulated(one),
        requests=rounds * sum(load.requests for step in steps for load in step.longest),
        minutes=sum(step.usual * _round_s(step.one) for step in steps) / 60,
        usd=rounds * sum(known, Decimal(0)) if len(known) == len(prices) else None,
    )


def _search(one: Condition, part: SearchPart, till: Till) -> _Step:
    """What a search may take, whatever loads keep its bounds."""

    def price(value: float) -> Decimal:
        return till.worst(at(one, value)) or Decimal(0)

    def requests(value: float) -> Decimal:
        return Decimal(at(one, value).requests)

    dearest, longest = (
        tuple(at(one, value) for value in _way(part, cache(weight))[1])
        for weight in (price, requests)
    )
    return _Step(one, PROBES, dearest, longest)


def _way(
    part: SearchPart,
    weight: Callable[[float], Decimal],
    kept: float | None = None,
    broken: float | None = None,
) -> tuple[Decimal, tuple[float, ...]]:
    """The loads that are still to come by the way that weighs most, and its weight; after the
    highest that was kept and the lowest that was broken: a search goes by no others."""
    search = Search(part.start, part.most, part.within, part.arrival == "closed")
    for value in (kept, broken):
        if value is not None:
            search.tell(value, NONE, kept=value == kept, answers_per_s=None)
    asked = search.ask()
    if asked is None:
        return Decimal(0), ()
    further = max(_way(part, weight, asked, broken), _way(part, weight, kept, asked))
    return weight(asked) + further[0], (asked, *further[1])


def _round_s(one: Condition) -> float:
    """How long a round lasts, in real seconds."""
    first_s, token_s = _speed(one)
    answer_s = first_s + token_s * one.workload.output_tokens
    if one.load.kind == "closed":
        lasts = one.requests * answer_s / min(one.load.value, one.requests)
    else:
        lasts = one.requests / one.load.value + answer_s
    if one.seconds is not None:
        lasts = min(lasts, one.seconds + answer_s)
    return lasts * one.time_scale + BETWEEN_S


def _speed(one: Condition) -> tuple[float, float]:
    """To the first token, and a token: a simulated model's own, else a guess."""
    if simulated(one.provider.spec):
        from mox.simulation.models import MODELS

        known = MODELS.get(one.provider.spec.model)
        if known is not None:
            return known.profile.network_s + known.profile.first_s, known.profile.token_s
    return FIRST_S, TOKEN_S


def _check(benchmark: Benchmark, steps: Iterable[Condition], till: Till) -> None:
    """Refuse a budget that doesn't buy a single round, or can't hold what has no price."""
    if benchmark.budget.usd is None:
        return
    rounds = {}
    for one in steps:
        price = till.worst(one)
        if price is None:
            spec = one.provider.spec
            raise PriceError(
                f"{one.provider.name}: {spec.kind}/{spec.model} has no price, and a budget can't"
                " hold what has none.",
                mend="write its price into the file that `prices` names, or leave `budget.usd`"
                " out.",
            )
        rounds[one.name] = price
    least = min(rounds.values(), default=Decimal(0))
    if least > Decimal(str(benchmark.budget.usd)):
        name = min(rounds, key=lambda key: rounds[key])
        raise BudgetError(
            f"a budget of ${benchmark.budget.usd:g} buys no round: the cheapest, {name}, may cost"
            f" ${least:.4f}.",
            mend="raise `budget.usd`, or lower `requests`.",
        )
