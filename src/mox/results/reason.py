"""The choice in a sentence or two: what, by how much it may be worse, what it saves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mox.evaluation.statistics import questions_needed
from mox.results.worth import family, lacks, worth

if TYPE_CHECKING:
    from mox.results.results import Results
    from mox.results.run import TrialRun


def reason(
    results: Results,
    rule: Mapping[str, Any],
    taken: int,
    best: int,
    qualify: Sequence[int],
    may_lose: float,
    same: bool,
    kept: Sequence[int],
) -> str:
    """The choice in one sentence: what, by how much it may be worse, what it saves.

    Args:
        taken, best, qualify, kept: positions among the finished trials.
    """
    trials = results.finished
    measure = rule["maximise"]
    chosen, top = trials[taken], trials[best]
    mean = results.summary[chosen.id]["dev"][measure].mean
    said = f"{results.label(chosen)} is chosen: {measure} {mean:.3f} on dev, "
    if taken == best:
        bound = len(kept) < len(trials) or "subject_to" in rule
        said += f"the best of {'those that keep the constraints' if bound else 'all trials'}"
    elif same:
        said += "with the same hits as the best on every question"
    else:
        top_mean = results.summary[top.id]["dev"][measure].mean
        said += (
            f"at most {may_lose:.3f} worse than the best ({results.label(top)}, {top_mean:.3f};"
            " 95 %, all trials at once)"
        )
    if rule["within"] is not None and len(qualify) > 1:
        said += f"; {len(qualify)} of {len(kept)} trials qualify, within {rule['within']:g} of it"
    said += _saving(results, rule["prefer"], chosen, top) + "."
    if len(qualify) == 1:
        return said + _nearest_cheaper(results, rule, best, kept)
    return said + _index_remark(results, chosen, [trials[at] for at in qualify])


def _nearest_cheaper(
    results: Results, rule: Mapping[str, Any], best: int, kept: Sequence[int]
) -> str:
    """Where only the best qualifies: how many questions the nearest cheaper trial would need."""
    if rule["within"] is None or rule["prefer"] is None:
        return ""
    name = rule["prefer"]["minimise"] or rule["prefer"]["maximise"]
    sign = 1 if rule["prefer"]["minimise"] else -1
    trials = results.finished
    limit = worth(results, trials[best], name)
    cheaper = [
        at
        for at in kept
        if limit is not None
        and (cost := worth(results, trials[at], name)) is not None
        and sign * cost < sign * limit
    ]
    asked = len(results.rows("dev"))
    said = f" No other can be shown to be within {rule['within']:g} of it by {asked} dev questions"
    if limit is None:
        return f"{said}; {lacks(results, trials[best], name)}, so that none is known to be cheaper."
    if not cheaper:
        return f"{said}, and no trial has a better {name}."
    rows = results.rows("dev")
    values = results.values(rule["maximise"])[rows]
    nearest = max(cheaper, key=lambda at: (values[:, at].mean(), -at))
    needed = questions_needed(
        values[:, nearest] - values[:, best],
        results.groups(rows),
        margin=rule["within"],
        families=len({family(trial) for trial in trials if trial.id in results.sifted.family}),
    )
    label = results.label(trials[nearest])
    if needed is None:
        return f"{said}; the nearest cheaper trial ({label}) is worse by more than that."
    return f"{said}; some {needed:,} might for the nearest cheaper one ({label})."


def _saving(
    results: Results, prefer: Mapping[str, Any] | None, chosen: TrialRun, top: TrialRun
) -> str:
    if prefer is None or chosen.id == top.id:
        return ""
    name = prefer["minimise"] or prefer["maximise"]
    ours, theirs = worth(results, chosen, name), worth(results, top, name)
    if ours is None or theirs is None:
        return ""
    return f", and it has {name} {ours:.3g} instead of {theirs:.3g}"


def _index_remark(results: Results, chosen: TrialRun, qualify: Sequence[TrialRun]) -> str:
    """Whether an approximate index pays at this size, where trials of both kinds qualify."""
    approximate = [t for t in qualify if {"search", "exact"} <= t.roles.keys()]
    exact = [t for t in qualify if "exact" in t.roles and "search" not in t.roles]
    if not approximate or not exact:
        return ""
    chunks = results.costs[chosen.id]["chunks"]
    if "search" not in chosen.roles:
        return (
            f" At this size ({chunks:,} chunks) no approximate index pays: none that qualifies"
            " is preferred to what searches without one."
        )
    return ""
