"""One simulator behind HTTP for all tests that only need one: a start costs seconds of CPU."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mox.simulation.naming import even
from mox.simulation.serving import Served, serving


@pytest.fixture(scope="session")
def served() -> Iterator[Served]:
    """Models without chance in their times: `m` is done at once, `steady` makes 50 tokens/s."""
    models = {
        "m": even(first_s=0.002, token_s=0.001), "steady": even(first_s=0.1, token_s=0.02),
    }  # fmt: skip
    with serving({"models": models}) as found:
        yield found
