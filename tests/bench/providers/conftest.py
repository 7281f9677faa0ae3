"""A benchmark's money in tests: what the simulator's tokens cost, and a file that says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PRICES = "prices:\n  - {provider: simulated, model: sim-swift, per: 1M, simulated: true,"


@pytest.fixture
def prices(tmp_path: Path) -> Path:
    file = tmp_path / "prices.yaml"
    file.write_text(f"{PRICES} input: 1, output: 10}}\n")
    return file


def write(prices: Path, **changes: Any) -> dict[str, Any]:
    return {
        "providers": [{"kind": "simulated", "model": "sim-swift"}],
        "workloads": [{"kind": "tokens", "input": 80, "output": 60}],
        "loads": [{"kind": "closed", "concurrency": 2}],
        "requests": 6, "warm_up": 0, "time_scale": 0.5, "instrument_s": 0,
        "prices": str(prices), **changes,
    }  # fmt: skip


@pytest.fixture
def written() -> Callable[..., dict[str, Any]]:
    """Makes a benchmark's file of its prices' path, and of what is changed in it."""
    return write
