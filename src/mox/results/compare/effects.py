"""What a setting does: marginal means, matched differences, and the variance it explains.

A marginal mean is over all trials that have the value; where the values don't stand beside the
same other settings, such means compare more than the setting. So values are also compared by
matched differences: trials that agree in every other setting that both sides have, cell by cell.
Trials that lack the setting altogether (exact search has no `m`) are in neither.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mox.errors import SpecError
from mox.registry import nearest
from mox.results.compare.matching import AXES, Factor, Matched, Params, factors, matched
from mox.results.paired import Difference, difference, means, ranked_on, rows_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mox.results.reading import Interval
    from mox.results.results import Results

    Values = NDArray[np.float64]


@dataclass(frozen=True)
class Level:
    """One value of a setting.

    `trials`: how many its mean is over. `difference`: to the reference value, over `cells` of
    trials that agree in all other settings; None for the reference itself and where there is no
    such cell. `matched`: how many of its trials lie in those cells.
    """

    value: str
    trials: int
    mean: Interval
    difference: Difference | None
    cells: int
    matched: int


@dataclass(frozen=True)
class Effect:
    """What one setting, or one axis as a whole, does to a measure.

    `share`: of the variance of all finished trials' means, that between this setting's values:
    sum of squares between values / total (η², the correlation ratio: Pearson 1905; Fisher 1925).
    Where trials lack the setting, the total still counts them. In an unbalanced design shares
    overlap and need not add up to 1.

    `reference`: the value that the others are compared with: the baseline's, else the first.
    `notes`: in words, what of the design is not balanced.
    """

    setting: str
    share: float
    reference: str
    levels: tuple[Level, ...]
    notes: tuple[str, ...]


def effects(results: Results, measure: str, axis: str | None) -> tuple[Effect, ...]:
    """What the settings that vary do, the one that explains most first.

    Args:
        axis: a setting (`chunk.size`), an axis (`chunk`), or None for all settings that vary.

    Raises:
        SpecError: no such setting, or one value of it only; no trial finished.
    """
    if not results.finished:
        raise SpecError("no trial finished.", mend="mend what failed, and run again.")
    params = [
        {name: str(value) for name, value in results.params(trial).items()}
        for trial in results.finished
    ]
    found = factors(results, params)
    wanted = [name for name in found if name not in AXES]
    if axis is not None:
        wanted = [_named(axis, found, params)]
    made = [_effect(results, measure, params, found[name]) for name in wanted]
    return tuple(sorted(made, key=lambda effect: -effect.share))


def _named(axis: str, known: Mapping[str, Factor], params: Sequence[Params]) -> str:
    if axis in known:
        return axis
    constant = {one[axis] for one in params if axis in one}
    if constant:
        raise SpecError(
            f"{axis} is {constant.pop()} in every finished trial that has it: there is nothing to"
            " compare.",
            mend=f"ask for one of {', '.join(known) or '(nothing varies)'}.",
        )
    raise SpecError(
        f"no finished trial has a setting {axis!r}{nearest(axis, known)}.",
        mend=f"use one of {', '.join(known) or '(nothing varies)'}.",
    )


def _effect(results: Results, measure: str, params: Sequence[Params], factor: Factor) -> Effect:
    import numpy as np

    values = results.values(measure)
    split = ranked_on(results)
    rows = rows_of(results, split)
    column = np.array(factor.column, dtype=object)  # None, where a trial lacks it, equals no text
    at = {value: np.flatnonzero(column == value) for value in factor.levels()}
    shown = means(results, np.stack([values[:, of].mean(axis=1) for of in at.values()], 1), rows)
    reference = _reference(results, factor)
    pairs = {v: matched(params, factor, of, at[reference]) for v, of in at.items()}
    levels = []
    for (value, of), mean in zip(at.items(), shown, strict=True):
        pair, found = pairs[value], None
        if value != reference and pair.cells:
            apart = values @ pair.weights
            found = difference(results, apart, rows, over=split, measure=measure)
        levels.append(Level(value, len(of), mean, found, pair.cells, pair.matched))
    share = _share(values[rows].mean(axis=0), list(at.values()))
    notes = _notes(params, factor, at, reference, pairs)
    return Effect(factor.name, share, reference, tuple(levels), tuple(notes))


def _reference(results: Results, factor: Factor) -> str:
    """The baseline's value, else the first."""
    for trial, value in zip(results.finished, factor.column, strict=True):
        if trial.id == results.run.baseline and value is not None:
            return value
    return factor.levels()[0]


Sides = Mapping[str, "NDArray[np.intp]"]


def _notes(
    params: Sequence[Params],
    factor: Factor,
    at: Sides,
    reference: str,
    pairs: Mapping[str, Matched],
) -> list[str]:
    """In words, where the design isn't crossed or balanced."""
    found = []
    lacking = sum(value is None for value in factor.column)
    if lacking:
        found.append(f"{lacking} of {len(params)} trials have no {factor.name} and stay out.")
    said: dict[str, list[str]] = {}
    for value, pair in pairs.items():
        if value != reference:
            for note in pair.notes(len(at[value])):
                said.setdefault(note, []).append(value)
    for note, values in said.items():
        found.append(f"{', '.join(values)} against {reference}: {note}.")
    if len({_others(params, factor, of) for of in at.values()}) > 1:
        found.append(
            f"The values of {factor.name} don't stand beside the same other settings: compare them"
            " by their matched differences, not by their means."
        )
    return found


def _others(
    params: Sequence[Params], factor: Factor, of: NDArray[np.intp]
) -> frozenset[tuple[Any, int]]:
    """How often each combination of all other settings stands beside a value."""
    rest = Counter(
        tuple((key, value) for key, value in params[at].items() if key not in factor.own)
        for at in of.tolist()
    )
    return frozenset(rest.items())


def _share(trials: Values, sides: Sequence[NDArray[np.intp]]) -> float:
    """η² of one factor: see `Effect`.

    Args:
        trials: (trials,) means, of all finished trials.
        sides: for each value, which of them have it.
    """
    import numpy as np

    total = float(((trials - trials.mean()) ** 2).sum())
    having = np.concatenate(list(sides))
    centre = trials[having].mean()
    between = sum(len(side) * float(trials[side].mean() - centre) ** 2 for side in sides)
    return between / total if total > 1e-18 else 0.0
