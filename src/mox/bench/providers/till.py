"""What is paid: held as it is asked, priced answer by answer, written into the ledger.

A round is begun only if the most that all of its requests may cost is left of the budget, so no
call is ever made that could exceed it: through a pool too, where only what was refused, and cost
nothing, is asked again. One process at a time measures a benchmark, so nobody else spends of it.

Of a round as much is held as may be under way, and so charged where this process dies: one request
of each caller, or all whose time may have come, `AHEAD_S` from now included.

Requests that warm up a connection cost money too: they are booked as if each had answered as long
as it may. What broke off is booked by the rule of `mox.providers.charging`; what was never sent
leaves no line.
"""

from __future__ import annotations

import datetime as dt
import math
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from mox.bench.providers.client import Cell
from mox.bench.providers.record import Record
from mox.bench.providers.targets import simulated
from mox.bench.providers.workloads import Workload, output
from mox.errors import BudgetError, PriceError
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
AHEAD_S = 5.0
"""What an open load brings within so long is held already: this process may be kept from holding
more for that long, while others ask."""


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
    _warming: list[str] = field(default_factory=list)
    """Bookings of the requests that warm up."""
    _held: list[str] = field(default_factory=list)
    """… and of those that may be under way. One is as good as another: all may cost as much."""
    _came: int = 0
    """Requests of the round that are over."""
    _under: Condition | None = None
    """Of the round under way; None before any of it may be asked."""
    _began_s: float = 0.0
    """`time.monotonic` when it might be asked."""

    def __post_init__(self) -> None:
        from mox.providers.budget import RunBook

        # Without a budget: what is held is of a round whose whole was found to be left.
        self._book = RunBook(self.ledger, self.prices, run=self.run)

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
        """See that what a round may cost at most is left, and hold what may soon be under way.

        Raises:
            BudgetError: more than is left. Nothing may be asked; `let_go` frees what is held.
        """
        self._under = None
        self._check(condition)
        for number in range(-condition.warm_up, 0):
            self._warming.append(self._hold(condition, number))
        self._came, self._began_s = 0, time.monotonic()
        self._under = condition
        self.ahead()

    def ahead(self) -> None:
        """Hold what may be under way until the next call: it is made every half second, and with
        each answer."""
        if self._under is not None:
            for _ in range(self._sent(AHEAD_S) - len(self._held)):
                self._held.append(self._hold(self._under, 0))

    def paid(self, condition: Condition, record: Record) -> None:
        """Write what an answer cost, as it comes: a kill must not make it free. What warmed up
        has answered before."""
        self._warmed(condition)
        booking = self._held.pop() if self._held else self._hold(condition, record.number)
        if record.sent_ns is None:
            self._book.release(booking)
        else:
            said = record.usage if record.usage != Usage() else None
            self._book.after(booking, said, error=record.error, billable=billable(record))
        self._came += 1
        self.ahead()

    def let_go(self, *, ended: bool = False, unsent: bool = False) -> None:
        """Hold nothing any more for a round.

        Args:
            ended: whether it came to its end, so that what is left was never sent. Of one that
                was cut off (Ctrl-C, a client process that died) so many are taken to be under way
                as may have been.
            unsent: whether it failed before anything was sent, to warm up included.
        """
        begun = self._under is not None and not unsent
        if ended and self._under is not None:
            self._warmed(self._under)
        sent = 0 if ended or unsent else self._sent(0.0)
        left = [(booking, begun and not ended) for booking in self._warming]
        left += [(booking, at < sent) for at, booking in enumerate(self._held)]
        self._warming, self._held, self._under = [], [], None
        for booking, perhaps_sent in left:
            if perhaps_sent:
                self._book.after(booking, None, error="cancelled")
            else:
                self._book.release(booking)

    def _check(self, condition: Condition) -> None:
        """Refuse a round that may cost more than is left."""
        usd, most = self.benchmark.budget.usd, self.worst(condition)
        if usd is None or not most:
            return
        found = self._book.standing(simulated=self.simulated(condition))
        gone, budget = found.spent + found.held, Decimal(str(usd))
        if gone + most > budget:
            raise BudgetError(
                f"the budget of {budget:f} USD would be exceeded: {gone:f} are spent, and a round"
                f" of {condition.name} may cost up to {most:f}. It was not begun.",
                mend="raise the budget and run again: what was done is kept.",
            )

    def _hold(self, condition: Condition, number: int) -> str:
        """Hold the most that a request may cost; returns the booking's name."""
        return self._book.before(
            _call(condition),
            input_tokens=counted(condition.workload),
            max_output_tokens=output(condition.workload, number),
        )

    def _warmed(self, condition: Condition) -> None:
        """Write what warmed up, as if it had answered as long as it may."""
        warmed, self._warming = self._warming, []
        for booking in warmed:
            used = Usage(
                condition.workload.input_tokens, output_tokens=output(condition.workload, -1)
            )
            self._book.after(booking, used)

    def _sent(self, ahead_s: float) -> int:
        """How many of the round under way may be, so many seconds from now: one of each caller, or
        all whose time may have come and who haven't ended."""
        if self._under is None:
            return 0
        load, left = self._under.load, self._under.requests - self._came
        if load.kind == "closed":
            return min(left, round(load.value))
        passed_s = time.monotonic() - self._began_s + ahead_s
        if self._under.seconds is not None:  # then it sends no more, though it waits for answers
            passed_s = min(passed_s, self._under.seconds * self._under.time_scale)
        due = load.value / self._under.time_scale * passed_s
        if load.kind == "poisson":
            due += 4 * math.sqrt(due)  # four standard deviations more
        return min(left, max(0, math.floor(due) + 1 - self._came))

    def judge(self) -> Judge:
        """Who prices this benchmark's records."""
        return Judge(self.prices, {one.name: one.spec.kind for one in self.benchmark.providers})

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
        if record.usage != Usage() or not billable(record):
            # Where its usage contradicts itself it is paid all the same.
            with suppress(PriceError):
                return self.prices.cost(terms, record.usage)
        return self.prices.worst(
            terms,
            input_tokens=counted(workload),
            max_output_tokens=output(workload, record.number),
        )


def billable(record: Record) -> bool:
    """Whether a request may be billed though nobody counted."""
    if record.sent_ns is None:
        return False
    begun = True if record.chunks else record.billable
    return record.error is not None and may_be_billed(record.error, begun)


def counted(workload: Workload) -> int:
    """No fewer input tokens than a provider will count for a prompt."""
    return round(SLACK * workload.most_input_tokens) + FRAME


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
