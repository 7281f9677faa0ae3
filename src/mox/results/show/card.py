"""Results as a card in a notebook: the verdict first, then the trials under it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mox.results.leaderboard import marks, speed, speeds
from mox.results.others import also
from mox.results.paired import by_importance, ranked_on
from mox.results.show.markup import (
    DIM,
    GREEN,
    GREY,
    RED,
    SMALL,
    Html,
    Part,
    badge,
    bar,
    bold,
    details,
    div,
    headline,
    joined,
    row,
    small,
    span,
    table,
    tag,
)
from mox.results.verdict import failures, unfinished, verdict

if TYPE_CHECKING:
    from mox.results.reading import Interval
    from mox.results.results import Results
    from mox.results.run import TrialRun

SHOWN = 10
"""Trials in a card; the chosen one and the baseline stand in it wherever they rank."""

ALIKE = "≈"
"""A trial whose interval of the paired difference to the best contains 0: not called equal."""


def card(results: Results) -> str:
    """The results: what is chosen and how sure that is, then trials by rank."""
    parts = [
        _headline(results),
        *_verdict(results),
        *([_table(results), small(results.frontier().said())] if results.finished else []),
        *_failures(results),
        *(small(f"note: {note}") for note in results.run.notes),
    ]
    return str(div(*parts))


def _headline(results: Results) -> Html:
    run = results.run
    stages = run.stages
    facts = (
        f"{len(results.finished)} of {len(run.trials)} trials · {_over(results)} ·"
        f" {stages['run']} stages run, {stages['stored']} stored · {run.seconds:.0f} s"
        f" · run {run.id}"
    )
    return headline(run.name, facts)


def _over(results: Results) -> str:
    split = ranked_on(results)
    if split == "dev":
        return f"{len(results.rows('dev'))} dev questions"
    return f"{len(results.rows(None))} questions"


def _verdict(results: Results) -> list[Html]:
    """The choice in a box, and a warning where trials are missing."""
    choice = results.choice
    parts = []
    said = [*verdict(results), *filter(None, [also(results)])]
    if said:
        first = div(bold(said[0]), style="font-size:13px;line-height:1.5")
        rest = [small(line) for line in said[1:]]
        colour = RED if choice and choice.refused else GREEN
        parts.append(div(first, *rest, style=f"background:{colour};padding:8px;margin:6px 0"))
    missing = unfinished(results)
    if missing:
        parts.append(div(missing, style=f"background:{RED};padding:6px 8px;margin:6px 0;{SMALL}"))
    return parts


def _table(results: Results) -> Html:
    """Trials by rank: what varies, measures with intervals, costs, marks."""
    axes = list(dict.fromkeys(name.split(".")[0] for name in results.run.varying))
    ranked = results.ranked()
    shown = [at for at, trial in enumerate(ranked) if at < SHOWN or _kept(results, trial)]
    names = by_importance(results)
    scales = {name: _scale(results, [ranked[at] for at in shown], name) for name in names}
    first, *others = names
    head = ["#", "trial", "", *axes, f"{first} ▾", "chunks", "index MB", "of exact",
            *speeds(results).values(), *others]  # fmt: skip
    left = 3 + len(axes)
    rows = [row(head, left=left, head=True)]
    for at in shown:
        trial = ranked[at]
        cells: list[Part] = [str(at + 1), tag("code", trial.id, style="font-size:11px")]
        cells.append(_badges(results, trial))
        cells += [words(results, trial, axis) for axis in axes]
        cells.append(_measured(results, trial, first, scales[first]))
        cells += _costs(results, trial)
        cells += [_measured(results, trial, name, scales[name]) for name in others]
        rows.append(row(cells, left=left, shade=GREEN if _chosen(results, trial) else ""))
    return joined(table(rows), small(_legend(results, len(ranked) - len(shown))))


def _legend(results: Results, rest: int) -> str:
    """How the table is read, and how much it leaves out."""
    said = f"Bars: 95 % intervals over groups of questions, on {_over(results)}."
    if results.choice is not None:
        said += f" {ALIKE} can't be told apart from the best."
    return said + (f" {rest} more trials in results.leaderboard()." if rest else "")


def _kept(results: Results, trial: TrialRun) -> bool:
    return _chosen(results, trial) or trial.id == results.run.baseline


def _chosen(results: Results, trial: TrialRun) -> bool:
    return results.choice is not None and trial.id == results.choice.trial


def words(results: Results, trial: TrialRun, axis: str) -> str:
    """What varies of one axis of a trial: `recursive size=200`."""
    params = results.params(trial)
    found = []
    for name in results.run.varying:
        if name.startswith(f"{axis}.") and name in params:
            short = name.removeprefix(f"{axis}.")
            found.append(str(params[name]) if short == "kind" else f"{short}={params[name]}")
    return " ".join(found)


def _scale(results: Results, trials: Sequence[TrialRun], name: str) -> tuple[float, float]:
    """(least, greatest) of the shown intervals: what a column's bars are drawn on."""
    split = ranked_on(results)
    found = [results.summary[trial.id][split][name] for trial in trials]
    ends = [value for i in found for value in (i.low, i.mean, i.high) if math.isfinite(value)]
    return min(ends), max(ends)


def _measured(results: Results, trial: TrialRun, name: str, scale: tuple[float, float]) -> Html:
    """A mean beside its interval and bar; of a measure that decides nothing the mean only."""
    interval = results.summary[trial.id][ranked_on(results)][name]
    mean = f"{interval.mean:.3f}"
    if not (math.isfinite(interval.low) and math.isfinite(interval.high)):
        return span(mean, title="a single question gives no interval")
    if name != by_importance(results)[0]:
        return span(mean, style=DIM, title=f"{name} {interval}, n = {interval.n}")
    said = [
        span(mean, style="padding-right:6px"),
        span(_range(interval), style=f"padding-right:6px;font-size:11px;{DIM}"),
    ]
    drawn = bar(
        interval.low,
        interval.mean,
        interval.high,
        scale=scale,
        title=f"{name} {interval}, n = {interval.n}",
    )
    return div(*said, drawn, style="display:flex;align-items:center;justify-content:flex-end")


def _range(interval: Interval) -> str:
    return f"[{interval.low:.2f}, {interval.high:.2f}]"


def _costs(results: Results, trial: TrialRun) -> list[str]:
    costs = results.costs[trial.id]
    agreement = next((v for name, v in costs.items() if name.startswith("recall_of_exact")), None)
    size = costs["index_mb"]
    return [
        f"{costs['chunks']:,}",
        "?" if size is None else f"{size:.2f}",
        "" if agreement is None else f"{agreement:.3f}",
        *(speed(results, trial, name) for name in speeds(results)),
    ]


def _badges(results: Results, trial: TrialRun) -> Html:
    """What a trial is; on most rows that it can't be told from the best, so that is one sign."""
    said = marks(results, trial).replace("not told apart", ALIKE)
    return joined(
        *(badge(mark, GREEN if mark == "chosen" else GREY) for mark in said.split(", ") if mark)
    )


def _failures(results: Results) -> list[Html]:
    """What failed: a line for each message, its text behind it."""
    return [
        details(
            f"FAILED: {len(names)} {'trial' if len(names) == 1 else 'trials'}"
            f" ({', '.join(names[:3])}{', …' if len(names) > 3 else ''}):"
            f" {(message.splitlines() or [''])[0][:120]}",
            tag("pre", message, style="white-space:pre-wrap;font-size:11px;padding:4px 8px"),
            style=f"background:{RED};padding:4px 8px;{SMALL}",
        )
        for message, names in failures(results).items()
    ]
