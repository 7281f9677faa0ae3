"""The file of prices that go before the package's: `experiments/prices.yaml`.

prices:
  - provider: openai          # a kind of provider, or several
    model: gpt-6-sol
    per: 1M                   # tokens; there is no other unit
    input: 2.00               # USD
    cached: 0.20
    output: 10.00
    batch: {input: 1.00, output: 5.00}
    tiers: {flex: {input: 1.00, output: 5.00}}
    above: {tokens: 272000, input: 4.00, output: 15.00}
    since: 2026-10-12
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from mox.errors import MoxError, PriceError
from mox.providers.rates import Rates, Terms, Tiers
from mox.registry import validate
from mox.source import Source, read

UNITS = {"token": 10**6, "1": 10**6, "1k": 10**3, "1000": 10**3, "1000000": 1, "1m": 1}
"""What else people write for a unit, and what turns its price into that of a million tokens."""
LOWEST = {"input": "0.003", "cache_write": "0.003", "cached": "0.001", "output": "0.01"}
"""The cheapest rows of genai-prices 0.2.3. Prices per 1,000 tokens or per token lie below."""
HIGHEST = {"input": 150, "cache_write": 150, "cached": 150, "output": 600}
"""The dearest ones (o1-pro). Most prices in cents lie above."""
FAR = 50
"""So many times dearer or cheaper than the package's row is another unit: cents are 100 times."""
KINDS = ("input", "cached", "cache_write", "output", "reasoning")


def _usd(value: object) -> object:
    """A number as it was written: 0.1 is a tenth."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return "no price"  # refused as text that is no number
    try:
        return Decimal(str(value))
    except InvalidOperation:
        raise ValueError("a price is a bare number of USD, such as 0.15") from None


Usd = Annotated[Decimal, BeforeValidator(_usd), Field(ge=0, allow_inf_nan=False)]


class _Part(BaseModel):
    """Prices in USD per 1,000,000 tokens."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    input: Usd | None = None
    output: Usd | None = None
    cached: Usd | None = None
    """Input read from a cache."""
    cache_write: Usd | None = None
    reasoning: Usd | None = None

    def rates(self, below: Rates | None = None) -> Rates:
        """Its rates; what it doesn't name as `below` has it."""
        return Rates(
            **{
                kind: getattr(below, kind, None) if value is None else value
                for kind in KINDS
                for value in [getattr(self, kind)]
            }
        )


class _Above(_Part):
    tokens: int = Field(gt=0)
    """All tokens of a request with more input tokens than this cost so much."""


class _Terms(_Part):
    above: _Above | None = None

    def rising(self) -> Tiers:
        base = self.rates()
        if self.above is None:
            return ((0, base),)
        return ((0, base), (self.above.tokens, self.above.rates(base)))


class PriceRow(_Terms):
    """One model's prices."""

    provider: str | tuple[str, ...]
    model: str = Field(min_length=1)
    per: Literal["1M"]
    """The unit of all prices of the row: 1M tokens."""
    batch: _Terms | None = None
    tiers: Mapping[str, _Terms] = Field(default_factory=dict)
    """Prices of service tiers by name, such as `flex`."""
    since: dt.date | None = None
    """The first day (UTC) of these prices; of several rows the last one that has begun counts."""
    simulated: bool = False
    """Nobody is paid: the model is a simulated one."""
    sure: bool = False
    """Believe these figures, however far they lie from all others."""
    source: str = ""
    """Where the prices were read."""

    @model_validator(mode="after")
    def _whole(self) -> PriceRow:
        if self.input is None and self.output is None:
            raise ValueError("no `input` and no `output` (write 0 for what costs nothing)")
        if ("simulated" in self.providers) and not self.simulated:
            raise ValueError("a simulated provider's row says `simulated: true`")
        return self

    @property
    def providers(self) -> tuple[str, ...]:
        return (self.provider,) if isinstance(self.provider, str) else self.provider

    def on(self, terms: Terms) -> Tiers | None:
        """Its rates on some terms; None where it has none."""
        if terms.batch:
            return self.batch.rising() if self.batch is not None and terms.ordinary else None
        if terms.ordinary:
            return self.rising()
        found = self.tiers.get(str(terms.service_tier))
        return None if found is None else found.rising()


@dataclass(frozen=True)
class Overrides:
    """A file's rows."""

    rows: tuple[PriceRow, ...] = ()
    lines: tuple[str, ...] = ()
    """Where each row stands."""
    file: Path | None = None
    sha256: str = ""

    @property
    def version(self) -> str | None:
        """`prices.yaml 0123456789ab`: its name and the beginning of its SHA-256."""
        return None if self.file is None else f"{self.file.name} {self.sha256[:12]}"

    def row(self, terms: Terms) -> tuple[PriceRow, str] | None:
        """The row that counts, and where it stands."""
        day = terms.when.astimezone(dt.UTC).date()
        found = [
            (row.since or dt.date.min, row, line)
            for row, line in zip(self.rows, self.lines, strict=True)
            if row.model == terms.model
            and terms.provider in row.providers
            and (row.since is None or row.since <= day)
        ]
        return max(found, key=lambda one: one[0])[1:] if found else None


def read_overrides(file: Path) -> Overrides:
    """A file of overrides.

    Raises:
        PriceError: a price in another unit than USD per 1M tokens, one that no model costs, a row
            that is no row, or two rows for the same; names the line.
        MissingError, SpecError: no such file, or no YAML.
    """
    source = read(file, what="a file of prices", start="prices:")
    listed = source.settings.get("prices")
    other = sorted({*source.settings} - {"prices"})
    if not isinstance(listed, list) or other:
        raise PriceError(
            f"{file}: a file of prices is a list under `prices:`"
            + (f", and nothing else ({', '.join(other)})." if other else "."),
            mend="write `prices:` and under it a row for each model.",
        )
    rows = []
    seen: dict[tuple[str, str, dt.date | None], str] = {}
    lines = tuple(_where(source, at) for at in range(len(listed)))
    for settings, line in zip(listed, lines, strict=True):
        row = _row(settings, line)
        for provider in row.providers:
            name = (provider, row.model, row.since)
            if name in seen:
                raise PriceError(
                    f"{line}: {provider}/{row.model} has a price already ({seen[name]}).",
                    mend="remove one of the two, or give the newer one `since:`.",
                )
            seen[name] = line
        rows.append(row)
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    return Overrides(tuple(rows), lines, file, sha256)


def _where(source: Source, at: int) -> str:
    name = source.file.name if source.file else ""
    return f"{name}:{source.lines.get(('prices', at), 1)}"


def _row(settings: object, line: str) -> PriceRow:
    if not isinstance(settings, Mapping):
        raise PriceError(
            f"{line}: {settings!r} is no row of prices.",
            mend="write `- {provider: …, model: …, per: 1M, input: …, output: …}`.",
        )
    _check_unit(settings, line)
    try:
        row = validate(PriceRow, settings, name="the row")
    except MoxError as error:
        mend = (
            error.mend
            if "mox schema" not in error.mend
            else "the head of experiments/prices.yaml shows a whole row."
        )
        raise PriceError(f"{line}: {error.message}", mend=mend) from None
    if not row.sure:
        _check_sizes(row, line)
    return row


def _check_unit(settings: Mapping[str, Any], line: str) -> None:
    """Refuse every unit but 1M tokens, with the same price in that unit."""
    model = f"{line}: the price of {settings.get('model', 'a model')}"
    if "per" not in settings:
        raise PriceError(
            f"{model} says no unit.", mend="add `per: 1M`; prices are USD per 1,000,000 tokens."
        )
    unit = settings["per"]
    if unit == "1M":
        return
    times = UNITS.get(str(unit).lower().replace("_", "").replace(",", "").split(" ")[0])
    mend = "write it as `per: 1M`"
    if times is not None:
        known = {kind: settings[kind] for kind in KINDS if kind in settings}
        scaled = [f"{kind}: {_scaled(value, times)}" for kind, value in known.items()]
        mend = f"write `{', '.join(['per: 1M', *scaled])}`"
    raise PriceError(f"{model} is per {unit!r}, and not per 1M tokens.", mend=f"{mend}.")


def _scaled(value: Any, times: int) -> str:
    try:
        return f"{(Decimal(str(value)) * times).normalize():f}"
    except InvalidOperation:
        return "…"


def _check_sizes(row: PriceRow, line: str) -> None:
    """Refuse prices that no model has had: most likely they are in another unit."""
    parts: list[tuple[str, _Part]] = []
    for name, terms in [
        ("", row),
        ("batch.", row.batch),
        *((f"tiers.{n}.", t) for n, t in row.tiers.items()),
    ]:
        if terms is not None:
            parts.append((name, terms))
            if terms.above is not None:
                parts.append((f"{name}above.", terms.above))
    for name, part in parts:
        for kind in KINDS:
            value: Decimal | None = getattr(part, kind)
            bound = "output" if kind == "reasoning" else kind
            if not value or Decimal(LOWEST[bound]) <= value <= HIGHEST[bound]:
                continue
            side = "less" if value < 1 else "more"
            raise unbelievable(
                f"{line}: {row.model}: {name}{kind} is {value:f} USD per 1M tokens, {side} than any"
                " model has cost"
            )


def check_near(row: PriceRow, line: str, tiers: Tiers) -> None:
    """Refuse a row whose prices are another unit's, measured by the package's own of that model."""
    if row.sure:
        return
    known = tiers[0][1]
    for kind in KINDS:
        value: Decimal | None = getattr(row, kind)
        theirs: Decimal | None = getattr(known, kind)
        if not value or not theirs or theirs / FAR < value < theirs * FAR:
            continue
        raise unbelievable(
            f"{line}: {row.model}: {kind} is {value:f} USD per 1M tokens, and the package's row"
            f" says {theirs:f}"
        )


def unbelievable(said: str) -> PriceError:
    """The one error for a price in the wrong unit."""
    return PriceError(
        f"{said}.",
        mend="write USD per 1,000,000 tokens (not cents; not per token or per 1,000 tokens); if"
        " it is so, add `sure: true` to the row.",
    )
