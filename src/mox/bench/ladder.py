"""Sizes at which curves are measured: evenly apart in logarithms, real vectors first."""

from __future__ import annotations

from collections.abc import Sequence

from mox.errors import SpecError

LEAST = 2_000
"""A server of Milvus indexes no segment under 1,024 rows; a tenth of what is usual is no curve."""
PER_DECADE = 3
LARGEST = 1_000_000


def ladder(largest: int, *, smallest: int = LEAST) -> tuple[int, ...]:
    """Sizes from the smallest to the largest, some three a tenfold, in round numbers.

    Raises:
        SpecError: fewer than three sizes fit between.
    """
    if not 1 <= smallest < largest <= LARGEST:
        raise SpecError(
            f"sizes from {smallest:,} to {largest:,} vectors.",
            mend=f"grow to {4 * LEAST:,} or more, and to {LARGEST:,} at most.",
        )
    rounds = [
        digit * 10**power for power in range(7) for digit in (1, 2, 5)
    ]  # 1, 2, 5, 10, 20, 50, …: as even as round numbers are
    inner = [n for n in rounds if smallest < n < largest / 1.25]
    sizes = (smallest, *(n for n in inner if n > 1.25 * smallest), largest)
    if len(sizes) < 3:
        raise SpecError(
            f"only {len(sizes)} sizes lie between {smallest:,} and {largest:,} vectors.",
            mend=f"grow to {4 * smallest:,} or more: a curve needs three.",
        )
    return sizes


def check_sizes(sizes: Sequence[int]) -> tuple[int, ...]:
    """Sizes as somebody named them, ascending, each once.

    Raises:
        SpecError: one is under 1 or over what is grown at most.
    """
    found = tuple(sorted(set(sizes)))
    if not found or found[0] < 1 or found[-1] > LARGEST:
        raise SpecError(
            f"sizes {', '.join(map(str, sizes))}.", mend=f"name sizes of 1 to {LARGEST:,} vectors."
        )
    return found
