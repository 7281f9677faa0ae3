"""The reference values, the chunkers that they were measured with, and how a sweep is averaged."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import mox
from mox.results.run import TrialRun

Means = Callable[..., list[tuple[TrialRun, dict[str, float]]]]


@pytest.fixture(scope="session")
def reference(shared_data: Path) -> Mapping[str, Any]:
    """The measured values at full precision, as the corpora's README names them."""
    found: Mapping[str, Any] = json.loads((shared_data / "data_reference.json").read_text())
    return found


@pytest.fixture(scope="session")
def reference_folder(install: Callable[[str], Path]) -> Path:
    return install("reference")


@pytest.fixture
def reference_chunkers(reference_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts the chunkers `reference-…` where this process and its workers find them."""
    monkeypatch.syspath_prepend(str(reference_folder))


@pytest.fixture(scope="session")
def means() -> Means:
    """Runs a sweep and averages each measure over the questions of a split, trial by trial."""

    def averaged(results: Any, split: str | None = None) -> list[tuple[TrialRun, dict[str, float]]]:
        assert [t.error for t in results.run.trials if t.status != "FINISHED"] == []
        rows = results.rows(split)
        columns = {name: results.values(name)[rows].mean(axis=0) for name in results.run.measures}
        return [
            (trial, {name: float(column[at]) for name, column in columns.items()})
            for at, trial in enumerate(results.finished)
        ]

    return averaged


@pytest.fixture(scope="session")
def sweep() -> Callable[[Mapping[str, Any]], Any]:
    """Runs an experiment without MLflow and progress."""
    return lambda settings: mox.run(settings, offline=True, quiet=True)
