"""What a trial is worth beside the others: its figures by name, how far each may be off, and
which trials are its kin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mox.experiment.constraints import AGREEMENT, COSTS
from mox.results.paired import ranked_on
from mox.results.run import approximates

if TYPE_CHECKING:
    from mox.results.results import Results
    from mox.results.run import TrialRun


@dataclass(frozen=True)
class Worth:
    """A figure and the spread that it stands in: least and greatest, equal where it has none."""

    value: float
    low: float
    high: float

    @property
    def spreads(self) -> bool:
        return self.low < self.high

    def better(self, other: Worth, *, more: bool) -> bool:
        """Whether it is better than another beyond both their spreads."""
        return self.low > other.high if more else self.high < other.low

    def __str__(self) -> str:
        if not self.spreads:
            return short(self.value)
        return f"{short(self.value)} [{short(self.low)}, {short(self.high)}]"


def short(value: float) -> str:
    """A figure as a reader needs it: three digits or so."""
    if abs(value) >= 100 or value.is_integer():
        return f"{value:,.0f}"
    if abs(value) >= 1:
        return f"{value:.3g}"
    return f"{value:.3f}" if abs(value) >= 0.01 else f"{value:.2g}"


def worth(results: Results, trial: TrialRun, name: str) -> float | None:
    """A cost or a dev mean of a trial, by name; None where it isn't known."""
    found = figure(results, trial, name)
    return None if found is None else found.value


def figure(results: Results, trial: TrialRun, name: str) -> Worth | None:
    """A trial's figure with its spread; None where it isn't known, or is invalid (`lacks`).

    A measure: its mean over the questions that trials are ranked on, with its 95 % interval. The
    agreement with exact search: bounds for all trials at once (`attained`), and 1 where search is
    exact. What a load test measured: the median of its rounds and what they spread over. Other
    costs are counted once and have no spread.
    """
    if name in results.run.measures:
        mean = results.summary[trial.id][ranked_on(results)][name]
        return Worth(mean.mean, *_ordered(mean.low, mean.mean, mean.high))
    if name.partition("@")[0] == AGREEMENT:
        return _agreement(results, trial, name)
    if name in COSTS and COSTS[name].by_load:
        found = loaded(results, trial)
        return None if found is None or invalid(found) else _spread(found.get(name))
    value = results.costs[trial.id].get(name)
    if value is None and name == "build_s" and "exact" in trial.roles:
        value = 0.0  # nothing is built
    return None if value is None else Worth(*[float(value)] * 3)


def columns_of(results: Results, trials: Sequence[TrialRun]) -> list[int]:
    """Positions of trials among the finished ones."""
    places = {trial.id: at for at, trial in enumerate(results.finished)}
    return [places[trial.id] for trial in trials]


def lacks(results: Results, trial: TrialRun, name: str) -> str:
    """Why a trial has no such figure."""
    found = loaded(results, trial)
    if name in COSTS and COSTS[name].by_load:
        if found is None:
            return f"it has no load test, and no {name}"
        if why := invalid(found):
            return f"its load test is INVALID: {why}"
        why = found.get(f"{name.partition('_')[0]}_why")
        return f"its {name} isn't known ({why})" if why else f"its {name} isn't known"
    return f"its {name} isn't known"


def loaded(results: Results, trial: TrialRun) -> Mapping[str, Any] | None:
    """What the load test of a trial found; None without one."""
    return results.load_facts(trial)


def invalid(found: Mapping[str, Any]) -> str | None:
    """Why a load test says nothing about the engine; None where it may be believed."""
    why = found.get("invalid")
    return str(why) if why else None


def family(trial: TrialRun) -> str:
    """Trials that search the same chunks by the same vectors and texts, and so share most hits:
    what befalls one of them on questions to come mostly befalls the others."""
    roles = trial.roles
    parts = ["chunk", "embed", "lexical"]
    if "exact" not in roles:
        parts.append("build")  # an engine's own texts: other words, other hits
    return " ".join(roles[role].key for role in parts if role in roles)


def under_load(results: Results, trial: TrialRun) -> float | None:
    """Recall of exact search over all that was answered under load, ties forgiven: with a filter
    or inserts it may be another than at rest. None without a load."""
    found = (loaded(results, trial) or {}).get("recall") or {}
    value = found.get("tie_aware")
    return None if value is None else float(value)


def _agreement(results: Results, trial: TrialRun, name: str) -> Worth | None:
    if "search" not in trial.roles:
        return Worth(1.0, 1.0, 1.0)
    if not approximates(trial):
        return None  # an engine's own search of texts, beside which there is no exact one
    if name != AGREEMENT and name not in results.costs[trial.id]:
        return None
    found = results.agreements[trial.id]
    return Worth(found.mean, found.low, found.high)


def _spread(found: Any) -> Worth | None:
    if found is None:
        return None
    if isinstance(found, Mapping):
        return Worth(*(float(found[name]) for name in ("median", "low", "high")))
    return Worth(*[float(found)] * 3)


def _ordered(low: float, mean: float, high: float) -> tuple[float, float]:
    """Bounds, the mean itself where a single question gives none."""
    return (low if low == low else mean), (high if high == high else mean)
