"""Before anything is asked: how many requests, how long, and what it may cost at most."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from mox.bench.providers.conditions import Condition, ladder, searches
from mox.bench.providers.targets import simulated
from mox.errors import BudgetError

if TYPE_CHECKING:
    from mox.bench.providers.file import Benchmark
    from mox.bench.providers.till import Till
    from mox.bench.providers.workloads import Workload

PROBES = 8
"""Loads that a search tries, usually: four doublings, and four halvings between."""
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
        PriceError: a price isn't known; says what to write.
        BudgetError: not even one round can be paid.
    """
    steps = [(one, benchmark.plain.rounds) for one in ladder(benchmark, asked)]
    steps += [(one, PROBES) for one, _ in searches(benchmark, asked)]
    found = tuple(
        _part(provider.name, [step for step in steps if step[0].provider is provider], till)
        for provider in benchmark.providers
    )
    _check(benchmark, [one for one, _ in steps], till)
    return Estimate(benchmark, found)


def _part(name: str, steps: Sequence[tuple[Condition, int]], till: Till) -> Part:
    one = steps[0][0]
    prices = [till.worst(step) for step, _ in steps]
    usd = None if None in prices else sum(
        (price * rounds for price, (_, rounds) in zip(prices, steps, strict=True) if price),
        Decimal(0),
    )  # fmt: skip
    return Part(
        provider=name,
        model=one.provider.spec.model,
        simulated=simulated(one.provider.spec),
        requests=sum(step.requests * rounds for step, rounds in steps),
        minutes=sum(rounds * _round_s(step) for step, rounds in steps) / 60,
        usd=usd,
    )


def _round_s(one: Condition) -> float:
    """How long a round lasts, in real seconds."""
    plain = one.benchmark.plain
    first_s, token_s = _speed(one)
    answer_s = first_s + token_s * one.workload.output_tokens
    if one.load.kind == "closed":
        lasts = one.requests * answer_s / min(one.load.value, one.requests)
    else:
        lasts = one.requests / one.load.value + answer_s
    if plain.seconds is not None:
        lasts = min(lasts, plain.seconds + answer_s)
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
    """Refuse a budget that doesn't buy a single round."""
    if benchmark.budget.usd is None:
        return
    rounds = {one.name: price for one in steps if (price := till.worst(one)) is not None}
    least = min(rounds.values(), default=Decimal(0))
    if least > Decimal(str(benchmark.budget.usd)):
        name = min(rounds, key=lambda key: rounds[key])
        raise BudgetError(
            f"a budget of ${benchmark.budget.usd:g} buys no round: the cheapest, {name}, may cost"
            f" ${least:.4f}.",
            mend="raise `budget.usd`, or lower `requests`.",
        )
