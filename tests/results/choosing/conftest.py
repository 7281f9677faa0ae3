"""Trials with an index, its agreement with exact search and a load test, written by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest


def load_facts(**figures: Any) -> dict[str, Any]:
    """What a load test finds: (median, low, high) of figures; everything else as given."""
    found: dict[str, Any] = {
        "clients": 1, "selectivity": 1.0, "inserts": 0.0, "cold": False, "cold_is": None,
        "rounds": 5, "seconds": 5.0, "answers": 5000, "errors": {}, "short_answers": 0,
        "qps": None, "p50_ms": None, "p95_ms": None, "p99_ms": None,
        "memory_mb": None, "disk_mb": None, "engine_cpu_ms": 1.0, "client_cpu_ms": 1.0,
        "others": 0.0, "recall": {"by_id": 1.0, "tie_aware": 1.0, "differ": False},
        "engine": "pgvector 0.8", "lite": False, "in_client": False,
        "consistency": "read committed",
        "host": {"cpu": "a", "cores": 2}, "job": "j", "interleaved": 2, "invalid": None,
    }  # fmt: skip
    for name, value in figures.items():
        spread = isinstance(value, tuple)
        found[name] = dict(zip(("median", "low", "high"), value, strict=True)) if spread else value
    return found


def indexed(
    made: Any,
    name: str,
    pattern: Sequence[float],
    *,
    agreement: float | Sequence[float] | None = None,
    load: Mapping[str, Any] | None = None,
    index: Mapping[str, Any] | None = None,
    size: int | None = 1_000_000,
    at: int = 0,
    measures: Sequence[str] = ("recall@2",),
) -> None:
    """Add a trial of these scores (a repeating pattern over questions).

    Args:
        agreement: recall of exact at 6 of every question, or of each (a repeating pattern); exact
            search where None.
        at: another number is another chunking, which never has the same hits.
    """
    values = [pattern[row % len(pattern)] for row in range(len(made.questions))]
    made.trial(
        name, {"kind": "recursive", "size": 16 + at}, measures,
        values=dict.fromkeys(measures, values), index_bytes=size,
    )  # fmt: skip
    trial = made.trials[-1]
    roles = {role: ref for role, ref in trial.roles.items() if role != "lexical"}
    roles["build"] = made._write("build", name, {}, index_bytes=size, bytes_are="measured",
                                 build_s=float(1 + at))  # fmt: skip
    roles["embed"] = made._write("embed", f"embed{at}", {}, unread=0.0)
    roles["exact"] = made._write("exact", name, {}, index_bytes=size)
    kind = {"kind": "exact"} if agreement is None else {"kind": "HNSW", "m": 16}
    config = {**trial.config, "embed": {"kind": "wordllama"}, "index": {**kind, **(index or {})},
              "search": {"kind": "dense", "k": 6}}  # fmt: skip
    if agreement is not None:
        every = [agreement] if isinstance(agreement, float) else list(agreement)
        shares = np.resize(np.array(every, dtype=float), len(made.questions))
        roles["search"] = made._write("search", name, {"recall_of_exact": shares}, short_answers=0)
    if load is not None:
        roles["load"] = made._write("load", name, {}, **load)
        config["load"] = {"clients": load["clients"]}
    made.trials[-1] = replace(trial, roles=roles, config=config)


Add = Callable[..., None]


@pytest.fixture
def add(many: Any) -> Add:
    """Adds a trial to the store of 120 questions: see `indexed`."""

    def added(name: str, pattern: Sequence[float], **settings: Any) -> None:
        indexed(many, name, pattern, **settings)

    return added


@pytest.fixture
def add_to() -> Add:
    """Adds a trial to any store: see `indexed`."""
    return indexed


@pytest.fixture
def facts() -> Callable[..., dict[str, Any]]:
    """Makes what a load test finds: see `load_facts`."""
    return load_facts
