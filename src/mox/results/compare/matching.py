"""Which trials can be compared: those that agree in all settings but one.

A setting or an axis is a factor: each finished trial has one of its values, or none. Two values
are matched over cells of trials that agree in every other setting that both sides have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mox.results.results import Results

    Values = NDArray[np.float64]
    Places = NDArray[np.intp]

Params = Mapping[str, str]
"""A trial's settings, flat, as text."""

AXES = ("chunk", "embed", "index", "search")


@dataclass(frozen=True)
class Factor:
    """A setting or an axis: its value in each finished trial, None where one has none.

    `own`: the settings that it consists of.
    """

    name: str
    column: tuple[str | None, ...]
    own: frozenset[str]

    def levels(self) -> list[str]:
        """Its values in the order written; numbers ascending."""
        found = [value for value in dict.fromkeys(self.column) if value is not None]
        try:
            return sorted(found, key=float)
        except ValueError:
            return found


def factors(results: Results, params: Sequence[Params]) -> dict[str, Factor]:
    """What varies among the finished trials."""
    found = {
        name: Factor(name, tuple(one.get(name) for one in params), frozenset([name]))
        for name in results.run.varying
    }
    for axis in AXES:
        own = _own(axis, params)
        inside = [name for name in results.run.varying if name in own]
        if inside:
            column = tuple(_whole(axis, inside, one) for one in params)
            found[axis] = Factor(axis, column, own)
    return {name: factor for name, factor in found.items() if len(factor.levels()) > 1}


def _own(axis: str, params: Sequence[Params]) -> frozenset[str]:
    """An axis' settings that its kind decides on: not `search.ef`, which is the index's."""
    names = {key for one in params for key in one if key.startswith(f"{axis}.")}
    kinds: dict[str, list[Params]] = {}
    for one in params:
        kinds.setdefault(one.get(f"{axis}.kind", ""), []).append(one)
    return frozenset(
        name for name in names if all(len({name in o for o in of}) == 1 for of in kinds.values())
    )


def _whole(axis: str, names: Sequence[str], one: Params) -> str | None:
    """An axis as one value: its kind and what varies of it, `recursive size=200`."""
    if f"{axis}.kind" not in one:
        return None
    rest = [f"{n.removeprefix(f'{axis}.')}={one[n]}" for n in names if n in one]
    return " ".join([one[f"{axis}.kind"], *(word for word in rest if not word.startswith("kind="))])


@dataclass(frozen=True)
class Matched:
    """Weights that make of trials' values the mean difference over matched cells."""

    weights: Values
    cells: int
    matched: int
    one_sided: tuple[str, ...]
    """Settings that only one side has."""
    bound: tuple[str, ...]
    """Settings that a kind brings with it, another value on either side."""

    def notes(self, trials: int) -> list[str]:
        """What to bear in mind of the comparison."""
        if not self.cells:
            return ["no two trials agree in all other settings that both have, so these can't be"
                    " compared"]  # fmt: skip
        found = []
        if self.matched < trials:
            found.append(f"only {self.matched} of {trials} trials have a counterpart")
        if self.one_sided:
            found.append(
                f"only one side has {', '.join(self.one_sided)}, and is averaged over that"
            )
        if self.bound:
            found.append(f"{', '.join(self.bound)} changes with it, and is part of the difference")
        return found


def matched(
    params: Sequence[Params],
    factor: Factor,
    ours: Places,
    theirs: Places,
) -> Matched:
    """Pair two values' trials by all other settings that both sides have."""
    import numpy as np

    here, there = (
        {key: set_ for key, set_ in _values(params, side).items() if key not in factor.own}
        for side in (ours, theirs)
    )
    bound = [key for key in here if _bound(factor.name, key, here[key], there.get(key))]
    both = sorted(key for key in here.keys() & there.keys() if key not in bound)
    sides = [_cells(params, both, side) for side in (ours, theirs)]
    common = [cell for cell in sides[0] if cell in sides[1]]
    weights = np.zeros(len(params))
    for cell in common:
        for sign, side in zip((1, -1), sides, strict=True):
            weights[side[cell]] += sign / (len(side[cell]) * len(common))
    matched = sum(len(sides[0][cell]) for cell in common)
    alone = _alone(here, there, factor) + _alone(there, here, factor)
    return Matched(weights, len(common), matched, tuple(alone), tuple(bound))


def _values(params: Sequence[Params], side: Places) -> dict[str, set[str]]:
    """Setting → its values on one side."""
    found: dict[str, set[str]] = {}
    for at in side.tolist():
        for key, value in params[at].items():
            found.setdefault(key, set()).add(value)
    return found


def _bound(name: str, key: str, ours: set[str], theirs: set[str] | None) -> bool:
    """Whether a setting comes with the kind that is looked at: a sibling of it with one value on
    either side, and not the same (two embedders' `dims`)."""
    stem = name.removesuffix("kind")
    if theirs is None or key == name or stem == name or not key.startswith(stem):
        return False
    return len(ours) == len(theirs) == 1 and ours != theirs


def _alone(
    ours: Mapping[str, set[str]], theirs: Mapping[str, set[str]], factor: Factor
) -> list[str]:
    """What varies on our side and isn't on theirs at all; a whole axis by its name."""
    axes = {key.split(".")[0] for key in (*theirs, *factor.own)}
    found = [
        key if key.split(".")[0] in axes else key.split(".")[0]
        for key in ours
        if key not in theirs and (len(ours[key]) > 1 or key.split(".")[0] not in axes)
    ]
    return list(dict.fromkeys(found))


def _cells(
    params: Sequence[Params], names: Sequence[str], side: Places
) -> dict[tuple[str | None, ...], list[int]]:
    found: dict[tuple[str | None, ...], list[int]] = {}
    for at in side.tolist():
        found.setdefault(tuple(params[at].get(name) for name in names), []).append(at)
    return found
