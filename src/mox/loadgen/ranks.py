"""Ranks that a spread allows: a difference inside it is not called one."""

from __future__ import annotations

from collections.abc import Sequence

from mox.loadgen.summary import Spread


def ranks(
    spreads: Sequence[Spread], *, best: str, jobs: Sequence[str | None] | None = None
) -> list[tuple[int, int]]:
    """The best and the worst place that each may really have, 1 being the best.

    Two are told apart where their intervals don't touch.

    Args:
        best: `least` or `most`.
        jobs: what each was measured in, None where that isn't known: rounds took turns within a
            job only, so that no two of different jobs are told apart. All of one where left out.
    """
    held = list(zip(spreads, jobs or [""] * len(spreads), strict=True))

    def surely_before(a: tuple[Spread, str | None], b: tuple[Spread, str | None]) -> bool:
        if a[1] is None or a[1] != b[1]:
            return False
        return a[0].high < b[0].low if best == "least" else a[0].low > b[0].high

    found = []
    for one in held:
        before = sum(surely_before(other, one) for other in held)
        after = sum(surely_before(one, other) for other in held)
        found.append((1 + before, len(held) - after))
    return found
