"""Ranks that a spread allows: a difference inside it is not called one."""

from __future__ import annotations

from collections.abc import Sequence

from mox.loadgen.summary import Spread


def ranks(spreads: Sequence[Spread], *, best: str) -> list[tuple[int, int]]:
    """The best and the worst place that each may really have, 1 being the best.

    Two are told apart where their intervals don't touch.

    Args:
        best: `least` or `most`.
    """

    def surely_before(a: Spread, b: Spread) -> bool:
        return a.high < b.low if best == "least" else a.low > b.high

    found = []
    for one in spreads:
        before = sum(surely_before(other, one) for other in spreads)
        after = sum(surely_before(one, other) for other in spreads)
        found.append((1 + before, len(spreads) - after))
    return found
