"""What stands in a file of providers: workloads, loads, bounds. Defaults, with their reasons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from mox.bench.providers.quantiles import requests_to_show
from mox.bench.providers.rows import Bounds
from mox.experiment.choosing import Section


def _listed(value: Any) -> Any:
    """One value as a list of it; `4` is as good as `[4]`."""
    return [value] if isinstance(value, int | float | str | Mapping) else value


def _onoff(value: Any) -> Any:
    """YAML 1.2's `on` is text; Python's True means the same."""
    return {True: "on", False: "off"}.get(value, value) if isinstance(value, bool) else value


Cache = Annotated[Literal["off", "on"], BeforeValidator(_onoff)]
Caches = Annotated[tuple[Cache, ...], BeforeValidator(_listed)]
Count = Annotated[int, Field(ge=1, le=4096)]
Rate = Annotated[float, Field(gt=0, le=10_000, allow_inf_nan=False)]


class Closed(Section):
    """So many callers; each asks again when it has its answer."""

    kind: Literal["closed"] = "closed"
    concurrency: Annotated[tuple[Count, ...], BeforeValidator(_listed)] = Field(
        (1, 4, 16), min_length=1
    )
    """A ladder: 1 shows the latency without a queue, each step after it four times the load."""

    @property
    def values(self) -> tuple[float, ...]:
        return tuple(float(value) for value in self.concurrency)


class _Open(Section):
    rate: Annotated[tuple[Rate, ...], BeforeValidator(_listed)] = Field(min_length=1)
    """Requests a second, in the provider's time. No default: what is much for one account is
    nothing for another."""

    @property
    def values(self) -> tuple[float, ...]:
        return self.rate


class Constant(_Open):
    """Requests at even distances, whatever the answers do."""

    kind: Literal["constant"] = "constant"


class Poisson(_Open):
    """Requests at random moments, as those of many users come."""

    kind: Literal["poisson"] = "poisson"


class Search(Section):
    """The highest load that keeps the bounds (`slo`): doubled, then bisected."""

    kind: Literal["slo"] = "slo"
    arrival: Literal["poisson", "constant", "closed"] = "poisson"
    """How requests arrive; of `closed`, the number of callers is searched."""
    start: Rate = 1.0
    """The first load that is tried; halved down to a sixteenth where it is too much."""
    most: Rate = 256.0
    """No load beyond it is tried: a search must not become an attack on somebody's account."""
    within: float = Field(0.1, gt=0, lt=1)
    """The search ends when what is kept and what isn't lie so near each other."""

    @model_validator(mode="after")
    def _ordered(self) -> Search:
        if self.most < self.start:
            raise ValueError(f"most = {self.most:g} lies below start = {self.start:g}")
        return self


class Slo(Section):
    """What a good answer keeps, in the provider's time.

    In time counts from the intended start. Of loads only that is asked: no load mends quality.
    """

    ttft_ms: float | None = Field(None, gt=0)
    """To the first event with text or reasoning in it."""
    e2e_ms: float | None = Field(None, gt=0)
    """To the end."""
    itl_ms: float | None = Field(None, gt=0)
    """Between tokens, on average over an answer."""
    attain: float = Field(0.95, gt=0, lt=1)
    """Share of all requests, failed ones included, that must keep the bounds: 95 %, as most
    agreements of service have it."""
    quality: float | None = Field(None, ge=0, le=1)
    """Where a workload can judge an answer (`rag`): the least share of the gold evidence's words
    that it repeats. It counts for the price of a good answer."""

    @model_validator(mode="after")
    def _asks_for_something(self) -> Slo:
        if not self.timed and self.quality is None:
            raise ValueError("name one of ttft_ms, e2e_ms, itl_ms and quality")
        return self

    @property
    def timed(self) -> bool:
        """Whether it says how long an answer may take."""
        return (self.ttft_ms, self.e2e_ms, self.itl_ms) != (None, None, None)

    @property
    def bounds(self) -> Bounds:
        return Bounds(self.ttft_ms, self.e2e_ms, self.itl_ms, self.quality)

    @property
    def fewest(self) -> int:
        """Requests under which nothing can show that so many keep the bounds."""
        return requests_to_show(self.attain)


class Budget(Section):
    """Where a benchmark stops by itself, before what would exceed it; what it measured is kept."""

    usd: float | None = Field(None, allow_inf_nan=False)
    """Real and simulated dollars are counted apart, each against this."""
    minutes: float | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _buys_something(self) -> Budget:
        if self.usd is not None and self.usd <= 0:
            raise ValueError(f"a budget of {self.usd:g} buys no request; leave it out to set none")
        return self


SIZES: Mapping[str, tuple[int, int]] = {
    "short": (100, 300),
    "standard": (1000, 1000),
    "long": (10_000, 1500),
}
"""Tokens in and out, as Artificial Analysis measures them."""
SHARED = 0.8
"""Of a prompt's tokens, those that all requests share where the cache is on."""


class Sized(Section):
    """Words at random, of an exact number of tokens (o200k), and a task that asks for so many."""

    kind: Literal["short", "standard", "long"]

    @property
    def name(self) -> str:
        return self.kind

    @property
    def tokens(self) -> tuple[int, int]:
        """In and out."""
        return SIZES[self.kind]


class Own(Section):
    """The same of your own size."""

    kind: Literal["tokens"] = "tokens"
    input: int = Field(ge=1, le=1_000_000)
    """The task itself has some 40."""
    output: int = Field(ge=1, le=100_000)

    @property
    def name(self) -> str:
        return f"{self.input}→{self.output}"

    @property
    def tokens(self) -> tuple[int, int]:
        """In and out."""
        return self.input, self.output


class Rag(Section):
    """Questions of a corpus with the passages that BM25 finds for them."""

    kind: Literal["rag"] = "rag"
    corpus: dict[str, Any]
    """As in an experiment: `{kind: card, name: python-reference}`."""
    questions: int = Field(40, ge=1)
    """The first so many that have an answer; asked in turn."""
    k: int = Field(5, ge=1, le=100)
    """Passages of each."""
    size: int = Field(200, ge=20, le=8000)
    """Tokens of a passage at the most."""
    output: int = Field(200, ge=1)
    """Tokens of an answer at the most. OpenAI's limits charge them beforehand."""

    @property
    def name(self) -> str:
        return "rag"
