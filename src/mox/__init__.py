"""Mox: a research workbench for retrieval-augmented generation.

`import mox` is light; each name below is imported when first used.

    plan = mox.plan("experiments/quickstart.yaml")   # what would run, how long, how much
    results = mox.run(plan)                          # resumes: stored stages are not redone
    results.leaderboard()

    mox.model("simulated/sim-swift").ask("Why is the sky blue?")   # its price in the ledger
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mox.api import Plan, ask, down, explain, load, plan, promote, run, up
    from mox.bench.notebook import growth
    from mox.bench.providers.ask import bench_providers, plan_providers
    from mox.errors import MoxError
    from mox.providers.door import model
    from mox.results import Results

_WHERE = {
    "plan": "mox.api",
    "run": "mox.api",
    "promote": "mox.api",
    "ask": "mox.api",
    "explain": "mox.api",
    "load": "mox.api",
    "up": "mox.api",
    "down": "mox.api",
    "Plan": "mox.api",
    "growth": "mox.bench.notebook",
    "bench_providers": "mox.bench.providers.ask",
    "plan_providers": "mox.bench.providers.ask",
    "model": "mox.providers.door",
    "Results": "mox.results",
    "MoxError": "mox.errors",
}

__all__ = [
    "MoxError",
    "Plan",
    "Results",
    "ask",
    "bench_providers",
    "down",
    "explain",
    "growth",
    "load",
    "model",
    "plan",
    "plan_providers",
    "promote",
    "run",
    "up",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'mox' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
