"""Bookings that were undone while others were booked behind them.

Those behind keep their marks: other processes know them. So the place stays in the book as a hole
in a resource's counter, and what is granted jumps over it once it comes there. Whoever comes
next is booked at the end of all, never on marks that somebody has already.
"""

from __future__ import annotations

from collections.abc import Iterable

Hole = tuple[float, float]
"""Where it begins and ends, by a counter of what was booked."""
NEAR = 1e-6
"""Within so much two places are one: sums of floats."""
KEPT = 8
"""Of the holes that were jumped: a call that comes back refused may stand before them."""


def dig(holes: list[Hole], hole: Hole) -> None:
    """Add a hole, in order; neighbours become one."""
    rows: list[Hole] = []
    for begin, end in sorted([*holes, hole]):
        if rows and begin <= rows[-1][1] + NEAR:
            rows[-1] = (rows[-1][0], end)
        else:
            rows.append((begin, end))
    holes[:] = rows


def jump(holes: list[Hole], filled: list[Hole], granted: float) -> float:
    """What is granted, beyond the holes that it has reached; they are filled."""
    while holes and granted >= holes[0][0]:
        begin, end = holes.pop(0)
        fill(filled, (begin, end))
        granted += end - begin
    return granted


def fill(filled: list[Hole], hole: Hole) -> None:
    """Remember a hole that was jumped, and forget the first of many."""
    dig(filled, hole)
    del filled[:-KEPT]


def since(filled: Iterable[Hole], place: float) -> float:
    """How much of what lies behind a place was jumped."""
    return sum(end - begin for begin, end in filled if begin >= place - NEAR)


def before(holes: Iterable[Hole], place: float) -> float:
    """How much of what lies before a place are holes."""
    return sum(end - begin for begin, end in holes if end <= place + NEAR)
