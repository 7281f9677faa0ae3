"""What an answer costs: by a file of overrides, and else by the tables of `genai-prices`.

All prices are USD and exact Decimals. What is not known is an error that says what to write into
the file, never 0.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from mox.errors import PriceError
from mox.providers.overrides import Overrides, check_near, read_overrides
from mox.providers.pricetable import table_tiers, table_version
from mox.providers.rates import Price, Rates, Terms, Tiers, cost, rates_for, worst
from mox.settings import expanded, settings, state_folder
from mox.types.providers import Usage

__all__ = ["Price", "Prices", "Terms", "price"]

FILE = Path("experiments") / "prices.yaml"


@dataclass(frozen=True)
class Prices:
    """Both tables, as they are now. Read once and handed on: a file that changes meanwhile changes
    nothing that is under way."""

    overrides: Overrides = field(default_factory=Overrides)
    unpriced: bool = False
    """Whether what has no price is let through, as a Price whose total is None."""

    @classmethod
    def load(cls, file: Path | None = None, *, unpriced: bool = False) -> Prices:
        """The tables with a file of overrides.

        Args:
            file: else what MOX_PRICES names, else the working tree's `experiments/prices.yaml`,
                where there is one.

        Raises:
            PriceError: a row is no price per 1M tokens; names the line.
            MissingError, SpecError: the file that was named isn't there, or is no YAML.
        """
        named = file or settings().prices
        if named is not None:
            return cls(read_overrides(expanded(named)), unpriced)
        found = state_folder(Path.cwd()).parent / FILE
        return cls(read_overrides(found) if found.is_file() else Overrides(), unpriced)

    @cached_property
    def version(self) -> str:
        """`genai-prices 0.2.3 + prices.yaml 0123456789ab`: stands in every price."""
        known = (self._table, self.overrides.version)
        return " + ".join(one for one in known if one is not None) or "no table"

    @cached_property
    def _table(self) -> str | None:
        return table_version()

    def price(
        self,
        provider: str,
        model: str,
        usage: Usage,
        *,
        when: dt.datetime,
        service_tier: str | None = None,
        batch: bool = False,
    ) -> Price:
        """What an answer cost.

        Args:
            provider: the kind of its Spec.
            model: as it was asked for.
            when: the moment of the request, with its time zone; prices change.
            service_tier: as the provider names it; the usual one where None.
            batch: asked by a batch interface.

        Raises:
            PriceError: not known for that model on these terms; the mend is what to write.
        """
        return self.cost(Terms(provider, model, when, service_tier, batch), usage)

    def cost(self, terms: Terms, usage: Usage) -> Price:
        """`price`, with all that it goes by but the usage in one."""
        found = self._look(terms)
        if found is None:
            return Price(table=self.version, priced=False)
        of = f"{terms.provider}/{terms.model}"
        made = cost(found.at(usage.input_tokens), usage, of=of)
        return replace(made, table=self.version, row=found.row, simulated=found.simulated)

    def worst(self, terms: Terms, *, input_tokens: int, max_output_tokens: int) -> Price:
        """The most that a request may cost: nothing is read from a cache, all of its input is
        written into one, and it uses all the output tokens that it may.

        Args:
            input_tokens: no fewer than the provider will count; 0 or more.
            max_output_tokens: 0 for embeddings.

        Raises:
            PriceError: as in `price`.
        """
        found = self._look(terms)
        if found is None:
            return Price(table=self.version, priced=False)
        made = worst(
            found.at(input_tokens),
            input_tokens=input_tokens,
            max_output_tokens=max_output_tokens,
            of=f"{terms.provider}/{terms.model}",
        )
        return replace(made, table=self.version, row=found.row, simulated=found.simulated)

    def _look(self, terms: Terms) -> _Found | None:
        """The row that counts; None where there is none and none is needed."""
        ours = self.overrides.row(terms)
        if ours is not None:
            row, line = ours
            if not row.sure and self._table is not None:
                usual = table_tiers(replace(terms, service_tier=None, batch=False))
                if usual is not None:
                    check_near(row, line, usual[1])
            tiers = row.on(terms)
            if tiers is not None:
                return _Found(line, tiers, row.simulated)
        elif (known := table_tiers(terms)) is not None:
            return _Found(*known)
        if self.unpriced:
            return None
        raise self._unknown(terms)

    def _unknown(self, terms: Terms) -> PriceError:
        said = ""
        line = "per: 1M, input: …, output: …"
        if terms.batch:
            said = " in a batch"
            line += ", batch: {input: …, output: …}"
        elif not terms.ordinary:
            said = f" in the service tier {terms.service_tier!r}"
            line += f", tiers: {{{json.dumps(terms.service_tier)}: {{input: …, output: …}}}}"
        if terms.provider == "simulated":
            line += ", simulated: true"
        return PriceError(
            f"no price is known of {terms.provider}/{terms.model}{said} ({self.version}).",
            mend=f"write into {self.overrides.file or FILE}, in USD per 1,000,000 tokens (0 where"
            f" nothing is paid):\nprices:\n  - {{provider: {terms.provider},"
            f" model: {json.dumps(terms.model)}, {line}}}",
        )


@dataclass(frozen=True, slots=True)
class _Found:
    """A row that was found."""

    row: str
    tiers: Tiers
    simulated: bool = False

    def at(self, input_tokens: int) -> Rates:
        return rates_for(self.tiers, input_tokens)


def price(
    provider: str,
    model: str,
    usage: Usage,
    *,
    when: dt.datetime,
    service_tier: str | None = None,
    batch: bool = False,
) -> Price:
    """What an answer cost, by the tables as they are now: `Prices.price`."""
    return Prices.load().price(
        provider, model, usage, when=when, service_tier=service_tier, batch=batch
    )
