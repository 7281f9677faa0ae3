"""What is paid: held before a round is asked, priced answer by answer, written into the ledger.

A round is begun only if the most that all of its requests may cost is left of the budget, so no
call is ever made that could exceed it: through a pool too, where only what was refused, and cost
nothing, is asked again. Requests that warm up a connection cost money too: they are booked as if
each had answered as long as it may. What broke off is booked by the rule of
`mox.providers.charging`; what was never sent leaves no line.
"""

from __future__ import annotations

import datetime as dt
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from mox.bench.providers.client import Cell
from mox.bench.providers.record import Record
from mox.bench.providers.targets import simulated
from mox.bench.providers.workloads import Workload, output
from mox.providers.charging import may_be_billed
from mox.types.providers import Call, Usage

if TYPE_CHECKING:
    from mox.bench.providers.conditions import Condition
    from mox.bench.providers.file import Benchmark
    from mox.providers.ledger import Ledger
    from mox.providers.prices import Prices, Terms
    from mox.providers.rates import Price

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
    _under: Condition | None = None
    """Of the round under way; None before any of it may be asked."""
    _began_s: float = 0.0
    """`time.monotonic` when it might be asked."""

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
        self._under = None
        numbers = [*range(-condition.warm_up, 0), *range(condition.requests)]
        call, tokens = _call(condition), counted(condition.workload)
        for number in numbers:
            self._bookings[number] = self._book.before(
                call,
                input_tokens=tokens,
                max_output_tokens=output(condition.workload, number),
            )
        self._under, self._began_s = condition, time.monotonic()

    def paid(self, condition: Condition, record: Record) -> None:
        """Write what an answer cost, as it comes: a kill must not make it free. What warmed up
        has answered before."""
        self._warmed(condition)
        booking = self._bookings.pop(record.number, None)
        if booking is None:
            return
        if record.sent_ns is None:
            self._book.release(booking)
            return
        said = record.usage if record.usage != Usage() else None
        self._book.after(booking, said, error=record.error, billable=billable(record))

    def let_go(self, *, ended: bool = False) -> None:
        """Hold nothing any more for a round.

        Args:
            ended: whether it came to its end, so that what is left was never sent. Of one that
                was cut off (Ctrl-C, a client process that died) so many are taken to be under way
                as may have been.
        """
        if ended and self._under is not None:
            self._warmed(self._under)
        left, self._bookings = self._bookings, {}
        sent = set() if ended else self._sent(left)
        for number, booking in left.items():
            if number in sent:
                self._book.after(booking, None, error="cancelled")
            else:
                self._book.release(booking)

    def _warmed(self, condition: Condition) -> None:
        """Write what warmed up, as if it had answered as long as it may."""
        tokens = condition.workload.input_tokens
        for number in [number for number in self._bookings if number < 0]:
            used = Usage(tokens, output_tokens=output(condition.workload, number))
            self._book.after(self._bookings.pop(number), used)

    def _sent(self, left: Mapping[int, str]) -> set[int]:
        """Of the numbers that are left of a round that was cut off, those that may be under way:
        one of each caller, or all whose time may have come."""
        if self._under is None:
            return set()
        warm, rest = {one for one in left if one < 0}, sorted(one for one in left if one >= 0)
        load = self._under.load
        if load.kind == "closed":
            return warm | set(rest[: round(load.value)])
        due = load.value / self._under.time_scale * (time.monotonic() - self._began_s)
        if load.kind == "poisson":
            due += 4 * math.sqrt(due)  # four standard deviations more
        return warm | {number for number in rest if number <= due}

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
        workload: Any = cell.prompts
        total = self._price(workload, record).total
        usd = None if total is None else f"{total:f}"
        quality = None
        if record.error is None:
            quality = workload.quality(record.number, text)
        return replace(record, usd=usd, quality=quality)

    def _price(self, workload: Workload, record: Record) -> Price:
        terms = _terms(self.kinds[record.provider], record.model)
        if record.usage == Usage() and billable(record):
            return self.prices.worst(
                terms,
                input_tokens=counted(workload),
                max_output_tokens=output(workload, record.number),
            )
        return self.prices.cost(terms, record.usage)


def billable(record: Record) -> bool:
    """Whether a request may be billed though nobody counted."""
    if record.sent_ns is None:
        return False
    begun = True if record.chunks else None
    return record.error is not None and may_be_billed(record.error, begun)


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
