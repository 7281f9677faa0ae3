"""A load's facts as a trial's costs, and as the results document gives them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mox.experiment.loads import LOAD_COSTS, TIMED


def load_costs(facts: Mapping[str, Any]) -> dict[str, float | None]:
    """Medians under flat names; None where a figure wasn't to be had."""
    return {
        name: (facts[name] or {}).get("median") if name in TIMED else facts[name]
        for name in LOAD_COSTS
    }


def load_document(facts: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """All that was measured, as it is stored; None where there was no load."""
    return None if facts is None else dict(facts)
