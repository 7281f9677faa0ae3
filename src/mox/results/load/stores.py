"""`mox bench stores`: a run's loads, what failed of them, and where its own results are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mox.results.load.table import LoadTable, load_table

if TYPE_CHECKING:
    from mox.results.results import Results

LADDER = (1, 4, 16)
"""Clients where nobody says how many."""


@dataclass(frozen=True)
class Stores:
    """Stores under load, compared."""

    results: Results
    table: LoadTable | None
    """None where no trial finished."""

    @property
    def failed(self) -> bool:
        """Whether a trial failed, or the run was stopped."""
        run = self.results.run
        return bool(run.stopped) or any(trial.status != "FINISHED" for trial in run.trials)

    def document(self) -> dict[str, Any]:
        """The JSON of `mox bench stores --json`."""
        run = self.results.run
        return {
            "schema": 1,
            "experiment": run.name,
            "run_id": run.id,
            "stopped": run.stopped,
            "failed": [
                {"trial": trial.id, "error": trial.error}
                for trial in run.trials
                if trial.status == "FAILED"
            ],
            **(self.table.document() if self.table else {"rows": [], "notes": []}),
        }

    def __repr__(self) -> str:
        from mox.results.verdict import failures

        said = [repr(self.table)] if self.table else []
        for message, names in failures(self.results).items():
            said.append(f"FAILED {len(names)} ({', '.join(names[:3])}): {message}")
        return "\n".join([*said, f"run {self.results.run.id}"])

    def _repr_html_(self) -> str:
        return self.table._repr_html_() if self.table else repr(self)


def stores(results: Results) -> Stores:
    """A run's loads."""
    any_ = any(results.load_facts(trial) for trial in results.finished)
    return Stores(results, load_table(results) if any_ else None)


def ladder(
    axes: Mapping[str, Any],
    clients: Sequence[int] | None,
    seconds: float | None,
    rounds: int | None,
) -> dict[str, Any]:
    """Changes to an experiment that give it the loads that are asked for."""
    given = axes.get("load")
    points = [dict(one) for one in given] if isinstance(given, list) else []
    points = points or ([dict(given)] if isinstance(given, Mapping) else [{}])
    asked = {
        "clients": list(clients) if clients else None,
        "seconds": seconds,
        "rounds": rounds,
    }
    for point in points:
        point |= {name: value for name, value in asked.items() if value is not None}
        if not given:
            point.setdefault("clients", list(LADDER))
    return {"axes.load": points}
