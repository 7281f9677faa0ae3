"""An explained trial as one JSON document, schema 1."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mox.results.lineage.explain import plain

if TYPE_CHECKING:
    from mox.results.lineage.explain import Explained, Measured


def document(one: Explained) -> dict[str, Any]:
    """Everything that a program needs to follow a number back."""
    run, trial, corpus = one.results.run, one.trial, one.results.run.corpus
    return {
        "schema": 1,
        "holds": one.holds,
        "problems": list(one.problems),
        "trial": {
            "id": trial.id,
            "label": one.label,
            "marks": one.compared.marks,
            "status": trial.status,
            "error": trial.error,
            "config": trial.config,
            "params": one.results.params(trial),
            "roles": {role: {"kind": r.kind, "key": r.key} for role, r in trial.roles.items()},
        },
        "run": {
            "id": run.id,
            "experiment": run.name,
            "file": run.file,
            "started": run.started,
            "seconds": run.seconds,
            "stopped": run.stopped,
            "seed": run.seed,
            "baseline": run.baseline,
            "choose": run.choose,
            "environment": dict(run.environment),
            "store": str(one.results.store.root),
        },
        "reported": [asdict(other) for other in one.reported],
        "corpus": {
            **{name: value for name, value in corpus.items() if name != "left_out"},
            "licence": corpus["about"].get("licence"),
            "card": str(one.card) if one.card else None,
        },
        "lineage": [link.document() for link in one.chain],
        "measures": {measured.measure: _measured(measured) for measured in one.measures},
        "costs": {
            cost.name: {"value": cost.value, "how": cost.how, "stages": list(cost.stages)}
            for cost in one.costs
        },
        "vs_baseline": _versus(one),
        "verdict": list(one.compared.verdict),
        "question": _finite(one.asked.document()) if one.asked else None,
        **one.links,
    }


def _versus(one: Explained) -> dict[str, Any] | None:
    versus, run = one.compared.versus, one.results.run
    if versus is None:
        return None
    measure = run.decisive
    about = {"baseline": run.baseline, "measure": measure, "on": one.compared.split}
    return {**about, **_finite(versus.document())}


def _measured(one: Measured) -> dict[str, Any]:
    return {
        "splits": {
            split: {**plain(found.interval), "groups": found.groups, "anew": found.anew}
            for split, found in one.splits.items()
        },
        "worst": [{"question": name, "value": value} for name, value in one.worst],
        "best": [{"question": name, "value": value} for name, value in one.best],
        "short": one.short,
    }


def _finite(value: Any) -> Any:
    """The same with null for what is no number."""
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
