"""Constraints of a choice: `recall_of_exact@10 >= 0.95`, `p95_ms <= 20`, `memory_mb < 2 GB`.

A constraint is a figure that trials report, a comparison and a bound. A bound may carry a unit of
the figure's own kind, and is kept in the figure's unit: `p95_ms <= 0.02 s` prints `p95_ms <= 20`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, cast

from mox.errors import SpecError
from mox.evaluation.measures import FORM as MEASURE

Comparison = Literal[">=", "<=", ">", "<"]

AGREEMENT = "recall_of_exact"
"""How much of exact search an index finds. Bare, it is meant at whatever depth a trial asks."""

NUMBER = r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
NAME = r"[A-Za-z_][A-Za-z0-9_-]*(?:@[0-9]+t?)?"
FORM = rf"\s*({NAME})\s*(>=|<=|>|<)\s*({NUMBER})\s*([A-Za-z]*)\s*"
"""How a constraint is written."""

UNITS: Mapping[str, Mapping[str, Decimal]] = {
    "ms": {"ms": Decimal(1), "s": Decimal(1000)},
    "s": {"s": Decimal(1), "ms": Decimal("0.001")},
    "mb": {"MB": Decimal(1), "GB": Decimal(1000)},
}
"""A figure's unit → the units that a bound may carry, in it."""


@dataclass(frozen=True, slots=True)
class Cost:
    """A figure of a trial besides its measures. `by_load`: only a load test gives it.
    `by_money`: only where some trial asks a provider that wants money."""

    more_is_better: bool = False
    by_load: bool = False
    by_money: bool = False


COSTS: Mapping[str, Cost] = {
    "index_mb": Cost(),
    "chunks": Cost(),
    "build_s": Cost(),
    "embed_usd": Cost(by_money=True),
    "qps": Cost(more_is_better=True, by_load=True),
    "p50_ms": Cost(by_load=True),
    "p95_ms": Cost(by_load=True),
    "p99_ms": Cost(by_load=True),
    "memory_mb": Cost(by_load=True),
    "disk_mb": Cost(by_load=True),
}


def more_is_better(name: str) -> bool:
    """Which way a figure is better; measures and the agreement with exact search go up."""
    return COSTS[name].more_is_better if name in COSTS else True


def unit_of(name: str) -> str:
    """`ms`, `s` or `mb`, by the figure's name; empty where it is a share or a number."""
    end = name.rpartition("_")[2]
    return end if name in COSTS and end in UNITS else ""


@dataclass(frozen=True, slots=True)
class Constraint:
    """A bound that a trial's figure must keep. `bound` is in the figure's own unit."""

    name: str
    comparison: Comparison
    bound: float

    @classmethod
    def parse(cls, text: str) -> Constraint:
        """A constraint from what `str` prints.

        Raises:
            SpecError: another form, or a unit that the figure hasn't got.
        """
        form = re.fullmatch(FORM, text, re.ASCII)
        if form is None:
            raise _unread(text)
        name, comparison, number, unit = form.groups()
        return cls(name, cast("Comparison", comparison), _bound(text, name, number, unit))

    @property
    def upward(self) -> bool:
        """Whether it asks for much, not for little."""
        return self.comparison.startswith(">")

    def keeps(self, value: float) -> bool:
        """Whether a value is on the right side."""
        return {
            ">=": value >= self.bound,
            "<=": value <= self.bound,
            ">": value > self.bound,
            "<": value < self.bound,
        }[self.comparison]

    def beyond(self, value: float) -> float:
        """How far a value is on the wrong side; 0 where it is on the right one, or at the bound."""
        return max(0.0, self.bound - value if self.upward else value - self.bound)

    def __str__(self) -> str:
        return f"{self.name} {self.comparison} {number(self.bound)}"


def number(value: float) -> str:
    """A number as one writes it, none of its digits lost."""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def _bound(text: str, name: str, digits: str, unit: str) -> float:
    value = Decimal(digits)
    if unit:
        taken = UNITS.get(unit_of(name), {})
        factor = next((by for known, by in taken.items() if known.lower() == unit.lower()), None)
        if factor is None:
            said = f"{name} is in {next(iter(taken))}" if taken else f"{name} has no unit"
            mend = f"write {' or '.join(taken)}." if taken else f"write `{name} … {digits}`."
            raise SpecError(f"{text.strip()!r}: {said}, and the bound in {unit}.", mend=mend)
        value *= factor
    found = float(value)
    if found in (float("inf"), float("-inf")):
        raise SpecError(f"{text.strip()!r}: no such number.", mend="write a smaller bound.")
    return found


def _unread(text: str) -> SpecError:
    """Why a text is no constraint, by what one most easily gets wrong."""
    said = text.strip()
    mend = "write a figure, a comparison and a number: `p95_ms <= 20`."
    why = "is no constraint"
    if re.search(r"=>|=<", said):
        why, mend = "has its comparison turned round", "write >= or <=."
    elif re.search(r"==|!=|(?<![<>])=", said):
        why, mend = "asks for one very value", "write a bound: >=, <=, > or <."
    elif len(re.findall(r"[<>]", said)) > 1:
        why, mend = "has two bounds", "write a constraint for each."
    elif re.match(rf"{NUMBER}\s*[<>]", said):
        why, mend = "begins with its number", "write the figure first: `p95_ms <= 20`."
    elif said.endswith("%"):
        why, mend = "has its bound in percent", "write a share: 0.95 for 95 %."
    elif re.search(r"[0-9],[0-9]", said):
        why, mend = "has a comma in its number", "write 1000, or 0.95."
    return SpecError(f"{text!r} {why}.", mend=mend)


def check(constraint: Constraint) -> None:
    """Refuse a constraint that goes the wrong way, or that all or no trials could keep.

    Raises:
        SpecError: which of these it is.
    """
    name = constraint.name
    if constraint.upward != more_is_better(name):
        better, turned = ("more", ">=") if more_is_better(name) else ("less", "<=")
        raise SpecError(
            f"`{constraint}`: of {name} {better} is better.",
            mend=f"write `{name} {turned} {number(constraint.bound)}`.",
        )
    if is_share(name) and not _within_one(constraint):
        raise SpecError(
            f"`{constraint}`: {name} lies between 0 and 1.",
            mend=f"write {number(constraint.bound / 100)}."
            if 1 < constraint.bound <= 100
            else "write a share such as 0.95.",
        )
    if not is_share(name) and constraint.bound <= 0:
        raise SpecError(f"`{constraint}`: {name} is above 0.", mend="write a bound above 0.")


def _within_one(constraint: Constraint) -> bool:
    high = constraint.bound < 1 if constraint.comparison == ">" else constraint.bound <= 1
    return constraint.bound > 0 and high


def is_share(name: str) -> bool:
    """Whether a figure lies between 0 and 1: a measure, or the agreement with exact search."""
    return name == AGREEMENT or re.fullmatch(MEASURE, name) is not None
