"""The simulated models: what each is good at, how fast it is, and what it would cost."""

from __future__ import annotations

from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field

from mox.simulation.profiles import CAREFUL, SWIFT, Profile
from mox.simulation.quality import Quality


class Price(BaseModel):
    """Invented US dollars per million tokens: `experiments/prices.yaml` has the same ones."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    input: Decimal = Field(ge=0)
    cached: Decimal = Field(ge=0)
    """Input that a cache had."""
    cache_write: Decimal = Field(ge=0)
    """Input that was written to a cache on demand."""
    output: Decimal = Field(ge=0)
    """Reasoning included."""


class Reasoning(BaseModel):
    """How long a model thinks before it answers: lognormal, in tokens."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    median_tokens: int = Field(gt=0)
    sigma: float = Field(default=0.5, ge=0, le=2)


class Model(BaseModel):
    """One simulated language model."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: str = Field(min_length=1)
    profile: Profile
    quality: Quality = Quality()
    reasoning: Reasoning | None = None
    """None: it answers at once."""
    median_tokens: int = Field(default=250, gt=0)
    """Of an answer to a prompt without a context, where the profile doesn't fill the limit."""
    sigma: float = Field(default=0.4, ge=0, le=2)
    """Deviation of the logarithm of that length."""
    price: Price


class EmbeddingModel(BaseModel):
    """One simulated embedding model: wordllama's vectors under an invented name and price."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: str = Field(min_length=1)
    dims: int = Field(default=256, ge=1, le=256)
    """Where the request names none."""
    latency_s: float = Field(default=0.05, ge=0)
    """Of a request, at time scale 1."""
    per_token_s: float = Field(default=0.000002, ge=0)
    """Added by each input token."""
    price_input: Decimal = Field(ge=0)
    """US dollars per million tokens, invented."""


_CAREFUL_PRICE = Price(
    input=Decimal("2.00"),
    cached=Decimal("0.20"),
    cache_write=Decimal("2.50"),
    output=Decimal("10.00"),
)
MODELS = {
    model.name: model
    for model in (
        Model(
            name="sim-swift",
            profile=SWIFT,
            quality=Quality(
                drop=0.15, invent=0.10, miss_citation=0.10, miss_abstention=0.20, judge_noise=0.08
            ),
            price=Price(
                input=Decimal("0.15"),
                cached=Decimal("0.015"),
                cache_write=Decimal("0.1875"),
                output=Decimal("0.60"),
            ),
        ),
        Model(
            name="sim-careful",
            profile=CAREFUL,
            quality=Quality(
                drop=0.03, invent=0.02, miss_citation=0.02, miss_abstention=0.05, judge_noise=0.02
            ),
            price=_CAREFUL_PRICE,
        ),
        Model(
            name="sim-thinking",
            profile=CAREFUL.model_copy(update={"name": "thinking"}),
            quality=Quality(
                drop=0.01, invent=0.01, miss_citation=0.01, miss_abstention=0.02, judge_noise=0.01
            ),
            reasoning=Reasoning(median_tokens=180, sigma=0.6),
            price=_CAREFUL_PRICE,
        ),
    )
}
"""By name: what `mox simulate` serves where a configuration names no others."""
EMBEDDING_MODELS = {
    model.name: model
    for model in (
        EmbeddingModel(name="sim-embed-small", dims=128, price_input=Decimal("0.02")),
        EmbeddingModel(
            name="sim-embed-large", dims=256, latency_s=0.12, price_input=Decimal("0.13")
        ),
    )
}
