"""The JSON of `mox run --json` and `mox results --json`: one document, schema 1."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mox.results.load.costs import load_document
from mox.results.run import simulated

if TYPE_CHECKING:
    from mox.results.reading import Interval
    from mox.results.results import Results
    from mox.results.run import TrialRun
    from mox.results.versus import Versus


def document(results: Results) -> dict[str, Any]:
    """Everything a program needs to know of a run."""
    run = results.run
    versus = {one.trial: one for one in results.versus}
    return {
        "schema": 1,
        "experiment": run.name,
        "run_id": run.id,
        "seconds": run.seconds,
        "stopped": run.stopped,
        "simulated": results.simulated,
        "corpus": {
            name: value for name, value in run.corpus.items() if name not in ("about", "left_out")
        },
        "left_out": dict(run.corpus["left_out"]),
        "notes": list(run.notes),
        "stages": dict(run.stages),
        "trials": [_trial(results, trial, versus) for trial in run.trials],
        "chosen": _chosen(results),
        "refused": results.choice.refused if results.choice else None,
        "subject_to": results.sifted.document(),
        "frontier": list(results.frontier().trials) if results.finished else [],
        "frontier_by": list(results.frontier().by) if results.finished else [],
    }


def _trial(results: Results, trial: TrialRun, versus: Mapping[str, Versus]) -> dict[str, Any]:
    finished = trial.status == "FINISHED"
    name = trial.id
    summary = results.summary[name] if finished else {}
    return {
        "id": trial.id,
        "status": trial.status,
        "error": trial.error,
        "simulated": simulated(trial),
        "params": results.params(trial),
        "metrics": _intervals(summary.get("all", {})),
        "splits": {
            split: _intervals(summary[split]) for split in ("dev", "test") if split in summary
        },
        "costs": {key: value for key, value in results.costs[name].items() if value is not None}
        if finished
        else {},
        "engine": results.engine(trial) if finished else None,
        "load": load_document(results.load_facts(trial)) if finished else None,
        "vs_baseline": _finite_all(versus[name].document()) if name in versus else None,
    }


def _intervals(found: Mapping[str, Interval]) -> dict[str, Any]:
    return {name: _interval(interval) for name, interval in found.items()}


def _interval(found: Interval | None) -> dict[str, Any] | None:
    if found is None:
        return None
    low, high = _finite(found.low), _finite(found.high)
    return {"mean": found.mean, "low": low, "high": high, "n": found.n}


def _finite(value: float) -> float | None:
    """A bound; null where a single question gives none."""
    return value if math.isfinite(value) else None


def _chosen(results: Results) -> dict[str, Any] | None:
    choice = results.choice
    if choice is None or choice.trial is None:
        return None
    return {
        "trial": choice.trial,
        "reason": choice.reason,
        "measure": choice.measure,
        "goal": choice.goal or choice.measure,
        "within": choice.within,
        "best": choice.best,
        "candidates": list(choice.candidates),
        "indistinguishable": list(choice.indistinguishable),
        "same_hits": list(choice.same_hits),
        "may_lose": choice.may_lose,
        "dev": _intervals(choice.dev or {}),
        "test": _intervals(choice.test or {}),
        "best_dev": _interval(choice.best_dev),
        "best_test": _interval(choice.best_test),
        "optimism": choice.optimism,
        "vs_baseline": _finite_all(choice.vs_baseline),
        "by_kind": _kinds(results),
        "test_looks": choice.test_looks,
        "scope": choice.scope,
        "smallest_difference": choice.smallest_difference,
        "separating": choice.separating,
    }


def _finite_all(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Numbers that JSON has; null for others."""
    if found is None:
        return None
    return {
        name: _finite(value) if isinstance(value, float) else value for name, value in found.items()
    }


def _kinds(results: Results) -> dict[str, Any] | None:
    """The chosen trial by kind of question, beside the baseline; null where all are of one."""
    from mox.results.compare.kinds import shown_kinds

    found = shown_kinds(results)
    return found.document() if found else None
