"""A run's money: what a call may cost is held before it is sent, and what it cost is written."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation

from mox.errors import PriceError, SpecError
from mox.providers.charging import UNCERTAIN, may_be_billed
from mox.providers.ledger import Ledger, Purse, Standing
from mox.providers.prices import Price, Prices, Terms
from mox.types.providers import Call, ErrorKind, Usage


@dataclass(frozen=True, slots=True)
class Budget:
    """What a run may spend, in USD; 0 refuses every call that costs something.

    Simulated money is counted by itself against the same figure.
    """

    usd: Decimal

    def __post_init__(self) -> None:
        if not self.usd.is_finite() or self.usd < 0:
            raise SpecError(
                f"a budget of {self.usd} USD can't be meant.",
                mend="give 0 or more; leave the budget out where there is none.",
            )

    @classmethod
    def of(cls, usd: float | str | Decimal) -> Budget:
        """A budget as it was written: 0.1 is a tenth.

        Raises:
            SpecError: no number, or a negative one.
        """
        try:
            return cls(Decimal(str(usd)))
        except InvalidOperation:
            raise SpecError(
                f"a budget of {usd!r} is no number.", mend="write USD, such as 1.50."
            ) from None


class RunBook:
    """The Book of one run (`mox.types.providers.Book`). Its processes share it by the run's name.

    Args:
        ledger: where the calls are written.
        prices: the tables, as they were when the run began.
        run: the run's name; a budget is for all that is called under it. "" for none.
        sweep: what the run belongs to.
        budget: no end to what may be spent where None.
    """

    def __init__(
        self,
        ledger: Ledger,
        prices: Prices,
        *,
        run: str = "",
        sweep: str | None = None,
        budget: Budget | None = None,
    ) -> None:
        if budget is not None and not run:
            raise SpecError("a budget without a run.", mend="name the run that may spend it.")
        self.budget = budget
        self._ledger = ledger
        self._prices = prices
        self._run = run
        self._sweep = sweep
        self._open: dict[str, Terms] = {}

    def before(self, call: Call, *, input_tokens: int, max_output_tokens: int) -> str:
        """Set the most that a call may cost aside; returns the booking's name.

        Args:
            input_tokens: no fewer than the provider will count.

        Raises:
            BudgetError: more than is left. Nothing is set aside, and nothing may be sent.
            PriceError: what it costs is not known.
            StoreError: the ledger can't be written.
        """
        now = dt.datetime.now(dt.UTC)
        terms = Terms(call.provider, call.model, now, call.service_tier)
        most = self._prices.worst(
            terms, input_tokens=input_tokens, max_output_tokens=max_output_tokens
        )
        if self.budget is not None and most.total is None:
            raise PriceError(
                f"{call.provider}/{call.model} has no price, and a budget can't hold what has"
                " none.",
                mend="write its price into the file of overrides, or leave the budget out.",
            )
        purse = self._purse(call.simulated or most.simulated)
        limit = None if self.budget is None else self.budget.usd
        call = replace(call, simulated=purse.simulated)
        booking = self._ledger.hold(call, purse, most, limit=limit)
        self._open[booking] = terms
        return booking

    def after(
        self,
        booking: str,
        usage: Usage | None,
        *,
        error: ErrorKind | None = None,
        billable: bool | None = None,
    ) -> None:
        """What came of it: priced by its usage; the most that was held where nobody counted and it
        may be billed; else 0 (`mox.providers.charging`).

        Args:
            billable: whether it may be billed though nobody counted; None where `error` tells.

        Raises:
            StoreError: no such booking, or the ledger can't be written.
        """
        terms = self._open.pop(booking, None)
        price: Price | None = None
        note = None
        if usage is None:
            if may_be_billed(error, billable):
                note = UNCERTAIN
            else:
                price = Price()
        elif terms is not None:
            try:
                price = self._prices.cost(terms, usage)
            except PriceError as said:  # it is paid all the same: what was held is written
                note = said.message
        self._ledger.settle(booking, usage, price, error=error, note=note)

    def release(self, booking: str) -> None:
        """Hold nothing any more for a call that was never made: it leaves no line."""
        self._open.pop(booking, None)
        self._ledger.release(booking)

    def standing(self, *, simulated: bool = False) -> Standing:
        """What the run has spent and holds by now, over all of its processes."""
        return self._ledger.standing(self._purse(simulated))

    def _purse(self, simulated: bool) -> Purse:
        return Purse(self._run, self._sweep, simulated)
