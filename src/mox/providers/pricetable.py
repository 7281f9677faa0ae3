"""Rows of `genai-prices`, as they came with the package: it is never let onto the network.

What it doesn't know it answers with something else, silently: the usual price where a batch or a
service tier was asked for that the row lacks, and 0 for tokens of a model that is priced by the
hour. Here all of these are unknown prices.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

from mox.providers.rates import Rates, Terms, Tiers
from mox.registry import missing_package, versions

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ModelInfo, ModelPrice

PACKAGE = "genai-prices"
OWN = frozenset({"compatible", "simulated"})
"""Kinds whose prices nobody publishes: whoever runs that URL makes them."""


def table_version() -> str | None:
    """`genai-prices 0.2.3`; None where it isn't installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"{PACKAGE} {version(PACKAGE)}"
    except PackageNotFoundError:
        return None


def table_tiers(terms: Terms) -> tuple[str, Tiers] | None:
    """The name of a model's row and its rates; None where the table has none for these terms.

    Raises:
        MissingError: genai-prices isn't installed.
    """
    found = None if terms.provider in OWN else _model(terms.provider, terms.model)
    if found is None:
        return None
    asked: dict[str, str] = {}
    if terms.batch:
        asked["processing"] = "batch"
    if not terms.ordinary:
        asked["service_tier"] = str(terms.service_tier)
    if len(asked) > 1 or not _has(found, asked, terms.when):
        return None
    tiers = _tiers(found.get_prices(terms.when, asked or None))
    if all(rates.input is None and rates.output is None for _, rates in tiers):
        return None  # priced by the hour, by the image, or not at all
    return f"{PACKAGE}: {terms.provider}/{found.id}", tiers


@cache
def _snapshot() -> DataSnapshot:
    """The package's own data: not what somebody may have loaded over it from the network."""
    try:
        from genai_prices.data import providers
        from genai_prices.data_snapshot import DataSnapshot
    except ModuleNotFoundError as error:
        if error.name != "genai_prices":
            raise
        raise missing_package(PACKAGE, extra="providers") from None
    versions(PACKAGE)
    return DataSnapshot(providers=providers, from_auto_update=False)


def _model(provider: str, model: str) -> ModelInfo | None:
    """A model by a provider's own rows: never those of another one that also sells it."""
    for known in _snapshot().providers:
        if known.id == provider:
            return known.find_model(model)
    return None


def _has(model: ModelInfo, asked: dict[str, str], when: datetime) -> bool:
    """Whether a row prices what is asked then."""
    return not asked or any(
        variant.when == asked and (variant.constraint is None or variant.constraint.active(when))
        for variant in model.price_variants or ()
    )


def _tiers(prices: ModelPrice) -> Tiers:
    keys = {
        "input": prices.input_mtok,
        "output": prices.output_mtok,
        "cached": prices.cache_read_mtok,
        # Of five minutes; no request asks for longer (mox.providers.wire).
        "cache_write": prices.cache_write_mtok,
        "reasoning": prices.output_reasoning_mtok,
    }
    starts = {tier.start for value in keys.values() for tier in getattr(value, "tiers", ())}
    steps = [(0, None), *((start, start) for start in sorted(starts))]
    return tuple(
        (above, Rates(**{key: _rate(value, start) for key, value in keys.items()}))
        for above, start in steps
    )


def _rate(value: Any, start: int | None) -> Decimal | None:
    """A rate past a threshold; that of the smallest requests for None."""
    if value is None or isinstance(value, Decimal):
        return value
    rate: Decimal = value.base
    for tier in value.tiers:
        if start is not None and tier.start <= start:
            rate = tier.price
    return rate
