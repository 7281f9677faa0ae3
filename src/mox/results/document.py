"""The JSON of `mox run --json` and `mox results --json`: one document, schema 1."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mox.results.results import Interval, Results


def document(results: Results) -> dict[str, Any]:
    """Everything a program needs to know of a run."""
    run = results.run
    return {
        "schema": 1,
        "experiment": run.name,
        "run_id": run.id,
        "seconds": run.seconds,
        "stopped": run.stopped,
        "corpus": {
            name: value for name, value in run.corpus.items() if name not in ("about", "left_out")
        },
        "left_out": dict(run.corpus["left_out"]),
        "notes": list(run.notes),
        "stages": dict(run.stages),
        "trials": [_trial(results, trial.id) for trial in run.trials],
        "chosen": _chosen(results),
        "refused": results.choice.refused if results.choice else None,
    }


def _trial(results: Results, name: str) -> dict[str, Any]:
    trial = results.trial(name)
    finished = trial.status == "FINISHED"
    summary = results.summary[name] if finished else {}
    return {
        "id": trial.id,
        "status": trial.status,
        "error": trial.error,
        "params": results.params(trial),
        "metrics": _intervals(summary.get("all", {})),
        "splits": {
            split: _intervals(summary[split]) for split in ("dev", "test") if split in summary
        },
        "costs": {key: value for key, value in results.costs[name].items() if value is not None}
        if finished
        else {},
    }


def _intervals(found: Mapping[str, Interval]) -> dict[str, Any]:
    return {
        name: {"mean": i.mean, "low": _finite(i.low), "high": _finite(i.high), "n": i.n}
        for name, i in found.items()
    }


def _finite(value: float) -> float | None:
    """A bound; null where a single group gives none."""
    return value if math.isfinite(value) else None


def _chosen(results: Results) -> dict[str, Any] | None:
    choice = results.choice
    if choice is None or choice.trial is None:
        return None
    return {
        "trial": choice.trial,
        "reason": choice.reason,
        "measure": choice.measure,
        "within": choice.within,
        "best": choice.best,
        "candidates": list(choice.candidates),
        "indistinguishable": list(choice.indistinguishable),
        "same_hits": list(choice.same_hits),
        "may_lose": choice.may_lose,
        "dev": _intervals(choice.dev or {}),
        "test": _intervals(choice.test or {}),
        "vs_baseline": choice.vs_baseline,
        "test_looks": choice.test_looks,
    }
