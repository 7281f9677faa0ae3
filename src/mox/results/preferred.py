"""Which of the trials that qualify is taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mox.experiment.constraints import COSTS
from mox.results.worth import Worth, figure

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mox.results.results import Results


def preferred(
    results: Results,
    qualify: Sequence[int],
    prefer: Mapping[str, Any] | None,
    means: NDArray[np.float64],
    best: int,
) -> int:
    """The one to take: least cost, then best mean, then the order written.

    Costs that a load test measured and that differ by no more than their spreads are a tie. What
    has no such cost comes last.

    Args:
        qualify: positions among the finished trials.
        means: (finished trials,) of what is chosen by.
        best: taken where nothing is preferred.
    """
    if prefer is None:
        return best
    first = foremost(results, qualify, prefer) or qualify
    return min(first, key=lambda at: (-float(means[at]), at))


def foremost(
    results: Results, qualify: Sequence[int], prefer: Mapping[str, Any] | None
) -> list[int]:
    """Those that share the first place by what is preferred, in order; none where nothing is
    preferred, or none has such a figure."""
    if prefer is None:
        return []
    name, more = prefer["minimise"] or prefer["maximise"], prefer["minimise"] is None
    known = {
        at: found
        for at in qualify
        if (found := figure(results, results.finished[at], name)) is not None
    }
    return tying(known, more=more, spread=name in COSTS and COSTS[name].by_load)


def tying(known: Mapping[int, Worth], *, more: bool, spread: bool = True) -> list[int]:
    """Those that share the first place, in order: what differs by no more than the spreads of
    both; without `spread`, by nothing at all."""
    if not known:
        return []
    sign = -1.0 if more else 1.0
    top = known[min(known, key=lambda at: (sign * known[at].value, at))]
    if not spread:
        return [at for at, one in sorted(known.items()) if one.value == top.value]
    return [at for at, one in sorted(known.items()) if not top.better(one, more=more)]
