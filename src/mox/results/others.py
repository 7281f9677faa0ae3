"""What the measures that don't decide say of a choice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mox.results.paired import bounds, by_importance, difference, reported_on, rows_of

if TYPE_CHECKING:
    from mox.results.paired import Difference
    from mox.results.results import Results


def others(results: Results) -> list[tuple[str, Difference]]:
    """(measure, paired difference to the baseline) of the chosen trial, for every measure but
    the one that it was chosen by; empty where nothing but the baseline could be chosen."""
    chosen, base = results.chosen, results.trial(results.run.baseline)
    if chosen is None or base.status != "FINISHED" or base.id == chosen.id:
        return []
    split = reported_on(results)
    rows = rows_of(results, split)
    ours, theirs = results.scores(chosen).arrays, results.scores(base).arrays
    return [
        (name, difference(results, ours[name] - theirs[name], rows, over=split, measure=name))
        for name in by_importance(results)[1:]
    ]


def also(results: Results) -> str:
    """Those differences in a sentence; empty where there are none."""
    found = others(results)
    if not found:
        return ""
    said = "; ".join(_said(name, one) for name, one in found)
    return f"Also, against the baseline on {found[0][1].over}: {said}. Nothing was chosen by these."


def _said(name: str, found: Difference) -> str:
    i = found.interval
    if not found.told_apart:
        return f"{name} can't be told apart ({i.mean:+.3f}{bounds(i.low, i.high)})"
    low, high = sorted((abs(i.low), abs(i.high)))
    verb = "rises" if i.mean > 0 else "falls"
    return f"{name} {verb} by {abs(i.mean):.3f} [{low:.3f}, {high:.3f}]"
