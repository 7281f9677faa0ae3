"""What an account may use, and how its provider counts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mox.errors import PoolError
from mox.types.providers import Resource

PER_MIN: dict[Resource, str] = {
    "requests": "requests_per_min",
    "tokens": "tokens_per_min",
    "input": "input_per_min",
    "output": "output_per_min",
}
"""Each resource's field, in the order in which accounts keep them."""


class Limits(BaseModel):
    """The limits of an account, as its provider's page states them. They are a ceiling: headers
    that say less are followed, headers that say more are not."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    requests_per_min: float | None = Field(None, gt=0)
    tokens_per_min: float | None = Field(None, gt=0)
    """Input and output together, as OpenAI counts."""
    input_per_min: float | None = Field(None, gt=0)
    """Input apart from output, as Anthropic counts."""
    output_per_min: float | None = Field(None, gt=0)
    accounting: Literal["openai", "anthropic"] | None = None
    """`openai`: the largest possible output is charged when a request comes in, and stays so.
    `anthropic`: input is charged when it comes in, output as it is made. By itself: `anthropic`
    where input or output has a limit of its own."""
    burst_s: float = Field(1.0, gt=0, le=60)
    """How much the provider is taken to allow at once, in seconds of its rate. The pool uses half
    of it: the rest takes up what arrives late. Below 75 requests a minute a second's worth leaves
    no room for that, so they go up to `late_s` further apart: 83 % of the limit are used at 60 a
    minute, 86 % at 50, 94 % at 20. Where the provider allows 2 s at once, say so, and have all."""
    late_s: float = Field(0.2, ge=0, le=60)
    """How much later than another a request may arrive. Where the provider's whole bucket is one
    request, and holds back no such time, requests go so much further apart. Measured: with sends
    that are late by 20 ms in the mean, 0.15 s still meet a 429 in 2,000 requests."""
    safety: float = Field(0.995, gt=0, le=1)
    """Share of the stated rate that is used."""
    ramp_per_min: float | None = Field(None, gt=0)
    """How fast the load may grow, as a share a minute (0.5: half as much again each minute), for
    providers that limit acceleration; any speed where not set."""
    unlimited: bool = False
    """The provider has no limits: a server of one's own. Said on purpose, never assumed."""
    models: str | None = Field(None, min_length=1)
    """Which models use them up together, by a name of your own for their class (`gpt-5`, say); the
    one model alone where not set."""

    @model_validator(mode="after")
    def _meant(self) -> Self:
        stated = [name for name in PER_MIN.values() if getattr(self, name) is not None]
        if self.unlimited and stated:
            raise ValueError(f"unlimited, and {stated[0]} is stated: say one or the other")
        if not self.unlimited and not stated:
            raise ValueError(
                "no limit is stated: take requests_per_min and tokens_per_min (or input_per_min"
                " and output_per_min) from the provider's page, or write unlimited: true for a"
                " server of your own"
            )
        if self.tokens_per_min is not None and (self.input_per_min or self.output_per_min):
            raise ValueError(
                "tokens_per_min counts input and output together: state it, or input_per_min and"
                " output_per_min, not both"
            )
        if self.counts == "openai" and (self.input_per_min or self.output_per_min):
            raise ValueError(
                "the accounting `openai` has one limit of tokens: state tokens_per_min"
            )
        return self

    @property
    def counts(self) -> Literal["openai", "anthropic"]:
        """The accounting, deduced where it isn't stated."""
        apart = self.input_per_min is not None or self.output_per_min is not None
        return self.accounting or ("anthropic" if apart else "openai")

    @cached_property
    def resources(self) -> tuple[Resource, ...]:
        """What is limited, in a fixed order."""
        return tuple(name for name, field in PER_MIN.items() if getattr(self, field) is not None)

    @cached_property
    def output(self) -> int | None:
        """The place of output among the resources, where it has a limit of its own."""
        return self.resources.index("output") if "output" in self.resources else None

    @cached_property
    def rates(self) -> tuple[float, ...]:
        """Of each resource, what is used a second."""
        return tuple(
            self._paced(rate) if name == "requests" else rate
            for name in self.resources
            for rate in [getattr(self, PER_MIN[name]) / 60 * self.safety]
        )

    def _paced(self, rate: float) -> float:
        """A rate of requests, slower where the provider's bucket takes up no lateness."""
        apart = 1 / rate
        return 1 / (apart + max(0.0, self.late_s - max(0.0, self.burst_s - apart)))

    @cached_property
    def caps(self) -> tuple[float, ...]:
        """Of each resource, the most that is used at once: half the burst, and a unit at least."""
        return tuple(max(rate * self.burst_s / 2, 1.0) for rate in self.rates)


@dataclass(frozen=True, slots=True)
class Account:
    """What one set of limits is stated for: an organisation or project × a class of models.

    Several keys of one project share its limits, and are one account.
    """

    name: str
    """The same in every process that shares it."""
    limits: Limits
    provider: str = ""
    """Whose failures (529, 5xx) are told together: a service; the account's own where empty."""
    kind: str = ""
    """Of the provider's Spec, by which the ledger knows its prices; `provider` where empty."""
    owner: str = ""
    """What the ledger calls it; its name where empty."""

    @property
    def called(self) -> str:
        """Its name for people and the ledger."""
        return self.owner or self.name

    @property
    def fails_with(self) -> str:
        return self.provider or self.name


def stated_otherwise(account: Account) -> PoolError:
    """Of an account whose book is kept for limits of other resources: counters of requests are
    none of tokens."""
    here = " and ".join(account.limits.resources) or "nothing"
    return PoolError(
        f"somebody else who uses the pool states other limits of {account.called}; here they are"
        f" of {here}.",
        mend="state limits of the same resources everywhere, give one account a `name:` of its own,"
        " or end what uses the others (what was killed counts for 10 s).",
        why="limits",
    )
