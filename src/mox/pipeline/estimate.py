"""How long a plan will take: from what earlier runs in this store took, else a stated default."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mox.loadgen import cores
from mox.pipeline.disk import write_whole
from mox.pipeline.plan import Plan
from mox.pipeline.stages import MEASURED, Stage
from mox.pipeline.store import Store

DEFAULTS: Mapping[str, float] = {
    "documents": 0.1,
    "questions": 0.05,
    "chunk": 0.6,
    "tokens": 0.3,
    "embed": 1.0,
    "queries": 1.0,
    "exact": 0.1,
    "build": 1.5,
    "search": 1.0,
    "lexical": 0.8,
    "fuse": 0.004,
    "score": 0.005,
    "load": 0.0,
}
"""Seconds per million characters of the corpus (chunk, tokens, embed, build, exact, lexical,
documents) or per thousand questions (the others; a load says its seconds itself), as measured on
two cores with the default back ends. A first run with a transformer takes far longer than these
say; the second knows."""

BY_CORPUS = ("documents", "chunk", "tokens", "embed", "exact", "build", "lexical")
START_S = 3.0
"""Seconds until a worker has imported what it needs, and opened its models."""
CLIENT_S = 2.5
"""CPU seconds until a client process of a load can ask."""
OPEN_S = 3.0
"""Seconds that a collection takes to be loaded, looked at and released, and again when cold."""
ROUND_S = 0.5
"""Seconds that a round takes besides its own: warming up, and waiting for the last answer."""


def estimate(plan: Plan, workers: int) -> dict[str, Any]:
    """Expected seconds of what a plan lacks, and how much of that is known from earlier runs.

    Returns:
        `seconds` (wall, stages side by side, loads one after another), `by_kind` (CPU-bound
        seconds; of `load` wall seconds), `known` in [0, 1].
    """
    known = _read(plan.store)
    sizes = _sizes(plan)
    by_kind: dict[str, float] = {}
    hits = 0
    pending = plan.pending()

    def seconds(stage: Stage) -> float:
        rate = known.get(_name(stage), DEFAULTS[stage.kind])
        return rate * sizes[stage.kind in BY_CORPUS]

    loads = [stage for stage in pending if stage.kind in MEASURED]
    if loads:
        copies = {s.inputs["build"].key for s in loads if s.spec["load"]["inserts"]}
        by_kind["load"] = load_seconds(loads) + sum(seconds(plan.stages[key]) for key in copies)
    hits += len(loads)
    for stage in pending:
        if stage.kind not in MEASURED:
            hits += _name(stage) in known
            by_kind[stage.kind] = by_kind.get(stage.kind, 0.0) + seconds(stage)
    alone = by_kind.get("load", 0.0)
    total = (sum(by_kind.values()) - alone) / max(1, min(workers, len(pending))) + alone
    return {
        "seconds": total + START_S if pending else 0.0,
        "by_kind": by_kind,
        "known": hits / len(pending) if pending else 1.0,
    }


def load_seconds(loads: Sequence[Stage]) -> float:
    """What loads take, done in one job: their rounds, and clients and collections opened once."""
    asked = [stage.spec["load"] for stage in loads]
    rounds = sum(one["rounds"] * (one["seconds"] + ROUND_S) for one in asked)
    cold = sum(one["rounds"] * OPEN_S for one in asked if one["cold"])
    clients = max(one["clients"] + (1 if one["inserts"] else 0) for one in asked)
    builds = len({stage.inputs["build"].key for stage in loads})
    return float(rounds + cold + OPEN_S * builds + CLIENT_S * clients / cores())


def learn(plan: Plan, ran: Mapping[str, float]) -> None:
    """Note what stages took, for the next plan. The mean of now and before."""
    if not ran:
        return
    known = _read(plan.store)
    sizes = _sizes(plan)
    fresh: dict[str, list[float]] = {}
    for key, seconds in ran.items():
        stage = plan.stages[key]
        if stage.kind in MEASURED:
            continue  # it takes what it was told to
        fresh.setdefault(_name(stage), []).append(seconds / sizes[stage.kind in BY_CORPUS])
    for name, rates in fresh.items():
        now = _mean(rates)
        known[name] = now if name not in known else (known[name] + now) / 2
    write_whole(plan.store.root / "timings.json", json.dumps(known, indent=1).encode())


def _sizes(plan: Plan) -> tuple[float, float]:
    """(thousands of questions, millions of characters)."""
    characters = sum(len(document.text) for document in plan.corpus.documents)
    return max(len(plan.corpus.questions), 1) / 1e3, max(characters, 1) / 1e6


def _name(stage: Stage) -> str:
    part = stage.spec.get("index") or stage.spec.get("of")
    kind = part.get("kind", "") if isinstance(part, Mapping) else ""
    return f"{stage.kind} {kind}".strip()


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found)


def _read(store: Store) -> dict[str, float]:
    try:
        return dict(json.loads((store.root / "timings.json").read_bytes()))
    except (OSError, ValueError):
        return {}
