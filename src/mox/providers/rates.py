"""What tokens cost: rates in USD per 1,000,000 tokens, and an answer's price by them."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext

from mox.errors import PriceError
from mox.types.providers import Request, Usage

ZERO = Decimal(0)
_MILLION = -6
"""A rate is of a million tokens: its decimal point moves, and nothing is rounded."""
_DIGITS = 60
"""Decimal's own 28 would round what years of calls cost by rates with many places."""


AROUND = 16
"""Tokens around a message, at most: its role and its bounds."""
ADDED = 1_000
"""Tokens that a provider adds for tools or a schema, at most (Anthropic some 350 to 700)."""
ORDINARY = frozenset({None, "default", "standard", "auto", "standard_only"})
"""Service tiers that cost the usual price: the names of answers (OpenAI's, Anthropic's), and those
of requests that ask for no other one."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What is bought, and on which terms."""

    provider: str
    """The kind of its Spec."""
    model: str
    """As it was asked for."""
    when: dt.datetime
    """The moment of the request, with its time zone; prices change."""
    service_tier: str | None = None
    """As the provider names it; the usual one where None."""
    batch: bool = False
    """Asked by a batch interface."""

    @property
    def ordinary(self) -> bool:
        """Whether its service tier is the usual one."""
        return self.service_tier in ORDINARY


@dataclass(frozen=True, slots=True)
class Rates:
    """USD per 1,000,000 tokens of each kind; None where that kind has no rate of its own."""

    input: Decimal | None = None
    output: Decimal | None = None
    cached: Decimal | None = None
    """Input read from a cache; at the price of other input where None."""
    cache_write: Decimal | None = None
    """Input written into a cache; at the price of other input where None."""
    reasoning: Decimal | None = None
    """At the price of other output where None."""


Tiers = tuple[tuple[int, Rates], ...]
"""(more input tokens than this, what all tokens of the request then cost), ascending from 0."""


@dataclass(frozen=True, slots=True)
class Price:
    """What one answer costs in USD, in parts that add up; exact, nothing is rounded."""

    input: Decimal = ZERO
    """Of the input that was neither read from a cache nor written into one."""
    cached: Decimal = ZERO
    cache_write: Decimal = ZERO
    output: Decimal = ZERO
    """Of the output without its reasoning."""
    reasoning: Decimal = ZERO
    table: str = ""
    """The tables that it was looked up in, by version."""
    row: str = ""
    """The one row that it comes from."""
    simulated: bool = False
    """The price of a simulated model: nobody is paid."""
    priced: bool = True

    @property
    def total(self) -> Decimal | None:
        """The sum of its parts; None where no price is known, and that was allowed."""
        if not self.priced:
            return None
        return added([self.input, self.cached, self.cache_write, self.output, self.reasoning])


def added(amounts: Iterable[Decimal]) -> Decimal:
    """The exact sum of some money."""
    with localcontext() as context:
        context.prec = _DIGITS
        return sum(amounts, ZERO)


def rates_for(tiers: Tiers, input_tokens: int) -> Rates:
    """The rates of a request by the size of its input: past a threshold all tokens cost more."""
    found = tiers[0][1]
    for above, rates in tiers[1:]:
        if input_tokens > above:
            found = rates
    return found


def cost(rates: Rates, usage: Usage, *, of: str) -> Price:
    """Parts of a price; what it says of tables is left empty.

    Args:
        of: the model, for messages.

    Raises:
        PriceError: tokens of a kind that has no rate, or a usage that contradicts itself.
    """
    plain = usage.input_tokens - usage.cached_tokens - usage.cache_write_tokens
    spoken = usage.output_tokens - usage.reasoning_tokens
    if min(plain, spoken, usage.cached_tokens, usage.cache_write_tokens) < 0 or (
        usage.reasoning_tokens < 0
    ):
        raise PriceError(
            f"{of}: its usage can't be right ({usage.input_tokens} input tokens,"
            f" {usage.cached_tokens} of them cached and {usage.cache_write_tokens} written;"
            f" {usage.output_tokens} output tokens, {usage.reasoning_tokens} of them reasoning).",
            mend="what is cached and written is part of the input, and reasoning of the output:"
            " mend what read this from the provider's answer.",
        )
    return Price(
        input=_part(plain, [rates.input], of=of, what="input"),
        cached=_part(usage.cached_tokens, [rates.cached, rates.input], of=of, what="input"),
        cache_write=_part(
            usage.cache_write_tokens, [rates.cache_write, rates.input], of=of, what="input"
        ),
        output=_part(spoken, [rates.output], of=of, what="output"),
        reasoning=_part(
            usage.reasoning_tokens, [rates.reasoning, rates.output], of=of, what="output"
        ),
    )


def worst(rates: Rates, *, input_tokens: int, max_output_tokens: int, of: str) -> Price:
    """The most that a request may cost: all of its input at the dearest rate that input has
    (written into a cache, say), and as many output tokens as it allows."""
    dearest = Rates(
        input=_dearest(rates.input, rates.cached, rates.cache_write),
        output=_dearest(rates.output, rates.reasoning),
    )
    return cost(dearest, Usage(input_tokens=input_tokens, output_tokens=max_output_tokens), of=of)


def most_tokens(request: Request) -> int:
    """No fewer input tokens than any provider will count, for what a call may cost at most.

    A token of a byte-level vocabulary is at least one byte of the text. What stands around the
    messages, and what providers add of their own where an answer is to be JSON, comes on top.
    """
    texts = sum(len(message.text.encode("utf-8", "replace")) for message in request.messages)
    around = AROUND * (len(request.messages) + 1)
    if request.json_schema is None and not request.extra:
        return texts + around
    further = json.dumps([request.json_schema, request.extra], default=str)
    return texts + around + len(further) + ADDED


def _dearest(first: Decimal | None, *others: Decimal | None) -> Decimal | None:
    return None if first is None else max([first, *(one for one in others if one is not None)])


def _part(tokens: int, rates: Sequence[Decimal | None], *, of: str, what: str) -> Decimal:
    if tokens == 0:
        return ZERO
    rate = next((rate for rate in rates if rate is not None), None)
    if rate is None:
        raise PriceError(
            f"{of}: {tokens} {what} tokens, and its row has no price of {what} tokens.",
            mend=f"write a row with `{what}:` for it into the file of overrides.",
        )
    with localcontext() as context:
        context.prec = _DIGITS
        return (rate * tokens).scaleb(_MILLION)
