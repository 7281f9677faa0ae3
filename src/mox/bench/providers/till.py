"""What is paid: held before a round is asked, priced answer by answer, written into the ledger.

A round is begun only if the most that all of its requests may cost is left of the budget, so no
call is ever made that could exceed it. Requests that warm up a connection cost money too: they are
booked as if each had answered as long as it may.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING

from mox.bench.providers.client import Cell
from mox.bench.providers.record import Record
from mox.bench.providers.targets import simulated
from mox.bench.providers.workloads import Workload, output
from mox.types.providers import Call, Usage

if TYPE_CHECKING:
    from mox.bench.providers.conditions import Condition
    from mox.bench.providers.file import Benchmark
    from mox.providers.ledger import Ledger
    from mox.providers.prices import Prices, Terms

SLACK = 1.1
"""Providers count somewhat more input than the messages' texts have, and each in its own tokens."""
FRAME = 50
"""Tokens of what stands around the messages, at the most."""


@dataclass
class Till:
    """The money of one benchmark.

    Args:
        run: its name in the ledger: a budget is for all that was ever spent under it.
    """

    benchmark: Benchmark
    prices: Prices
    ledger: Ledger
    run: str
    _bookings: dict[int, str] = field(default_factory=dict)
    """Of the round under way, by number."""

    def __post_init__(self) -> None:
        from mox.providers.budget import Budget, RunBook

        usd = self.benchmark.budget.usd
        budget = None if usd is None else Budget.of(usd)
        self._book = RunBook(self.ledger, self.prices, run=self.run, budget=budget)

    def worst(self, condition: Condition) -> Decimal | None:
        """The most that a round may cost, in USD; None where it has no price.

        Raises:
            PriceError: not known; says what to write.
        """
        spec, total = condition.provider.spec, Decimal(0)
        for number, count in ((0, condition.requests), (-1, condition.warm_up)):
            most = self.prices.worst(
                _terms(spec.kind, spec.model),
                input_tokens=counted(condition.workload),
                max_output_tokens=output(condition.workload, number),
            ).total
            if most is None:
                return None
            total += count * most
        return total

    def simulated(self, condition: Condition) -> bool:
        """Whether nobody is paid: a simulated provider, or another kind whose price says that
        its model is one."""
        spec = condition.provider.spec
        most = self.prices.worst(_terms(spec.kind, spec.model), input_tokens=0, max_output_tokens=0)
        return simulated(spec) or most.simulated

    def begin(self, condition: Condition) -> None:
        """Hold what a round may cost at most.

        Raises:
            BudgetError: more than is left. Nothing may be asked; `let_go` frees what is held.
        """
        numbers = [*range(-condition.warm_up, 0), *range(condition.requests)]
        call, tokens = _call(condition), counted(condition.workload)
        for number in numbers:
            self._bookings[number] = self._book.before(
                call,
                input_tokens=tokens,
                max_output_tokens=output(condition.workload, number),
            )

    def paid(self, condition: Condition, record: Record) -> None:
        """Write what an answer cost, as it comes: a kill must not make it free. What warmed up
        has answered before."""
        tokens = condition.workload.input_tokens
        for number in [number for number in self._bookings if number < 0]:
            used = Usage(tokens, output_tokens=output(condition.workload, number))
            self._book.after(self._bookings.pop(number), used)
        booking = self._bookings.pop(record.number, None)
        if booking is not None:
            said = record.usage if record.usage != Usage() else None
            self._book.after(booking, said, error=record.error)

    def let_go(self) -> None:
        """Settle what is held for requests that were not made."""
        left, self._bookings = self._bookings, {}
        for booking in left.values():
            self._book.after(booking, None, error="cancelled")

    def spent(self) -> dict[str, Decimal]:
        """`real` and `simulated` USD that the ledger has of this benchmark, all runs of it."""
        return {
            "real": self._book.standing(simulated=False).spent,
            "simulated": self._book.standing(simulated=True).spent,
        }


@dataclass(frozen=True)
class Judge:
    """Puts the price and the quality into a record, as its answer comes."""

    prices: Prices
    kinds: Mapping[str, str]
    """Provider's name → the kind of its Spec."""

    def __call__(self, cell: Cell, record: Record, text: str) -> Record:
        workload = cell.prompts
        usd = None
        if record.usage != Usage() or record.error is None:
            terms = _terms(self.kinds[record.provider], record.model)
            total = self.prices.cost(terms, record.usage).total
            usd = None if total is None else str(total)
        quality = None
        if record.error is None:
            quality = workload.quality(record.number, text)  # type: ignore[attr-defined]
        return replace(record, usd=usd, quality=quality)


def counted(workload: Workload) -> int:
    """No fewer input tokens than a provider will count for a prompt."""
    return round(SLACK * workload.input_tokens) + FRAME


def _call(condition: Condition) -> Call:
    spec = condition.provider.spec
    return Call(
        provider=spec.kind,
        account=condition.provider.name,
        model=spec.model,
        purpose="bench",
        simulated=simulated(spec),
    )


def _terms(kind: str, model: str) -> Terms:
    from mox.providers.prices import Terms

    return Terms(kind, model, dt.datetime.now(dt.UTC))
