"""Columns of a collection that loads filter by."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from mox.errors import SpecError
from mox.types import Where

if TYPE_CHECKING:
    from mox.types import Ints

LOAD_FIELD = "mox_load"
"""A row's place in a random order, in parts of `PARTS`: a bound lets a known share pass, whatever
the row says."""
PARTS = 10_000


def columns(names: Iterable[str], rows: int) -> dict[str, Ints]:
    """(rows,) numbers of each field.

    Raises:
        SpecError: a field that nothing is known of.
    """
    import numpy as np

    found = {}
    for name in names:
        if name != LOAD_FIELD:
            raise SpecError(f"no field {name!r} is known.", mend="this Mox is older than its plan.")
        order = np.random.default_rng(0).permutation(rows)
        found[name] = (order * PARTS // max(1, rows)).astype(np.int32)
    return found


def share(selectivity: float) -> Where | None:
    """The filter that lets about such a share of the rows pass; None where all pass."""
    if selectivity >= 1:
        return None
    return Where(LOAD_FIELD, max(1, round(PARTS * selectivity)))
