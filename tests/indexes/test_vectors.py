"""What no back end of the room takes."""

from __future__ import annotations

import numpy as np
import pytest

from mox.errors import SpecError
from mox.indexes.vectors import dense
from mox.types import Rows

GOOD = np.ones((2, 3), dtype=np.float32)


@pytest.mark.parametrize(
    ("rows", "named"),
    [
        (Rows(), "no vectors"),
        (Rows(np.empty((0, 3), dtype=np.float32)), "no vectors"),
        (Rows(GOOD[0]), "no vectors"),
        (Rows(GOOD.astype(np.float64)), "float64"),  # type: ignore[arg-type]
        (Rows(np.array([[1, 0], [np.nan, 0]], dtype=np.float32)), "row 1 is not finite"),
        (Rows(GOOD, sparse=[{1: 0.5}]), "sparse vectors"),
        (Rows(GOOD, texts=["a", "b"]), "texts"),
        (Rows(GOOD, fields={"a year": np.ones(2, dtype=np.int32)}), "'a year'"),
        (
            Rows(GOOD, fields={"year": np.ones(3, dtype=np.int32)}),
            "'year' is int32 of shape",
        ),
        (Rows(GOOD, fields={"year": np.ones(2)}), "float64"),  # type: ignore[dict-item]
    ],
)
def test_what_it_cannot_hold_is_refused_by_name(rows: Rows, named: str) -> None:
    with pytest.raises(SpecError, match=named):
        dense(rows, kind="FLAT")


def test_what_it_can_hold_is_handed_on_as_it_is() -> None:
    assert dense(Rows(GOOD), kind="FLAT") is GOOD
