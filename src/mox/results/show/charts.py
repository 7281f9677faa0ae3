"""Charts of results: quality against cost, and the leaderboard with its intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mox.errors import SpecError
from mox.registry import nearest
from mox.results.paired import measured, ranked_on
from mox.results.show.figures import Figure, figure

if TYPE_CHECKING:
    import altair as alt

    from mox.results.results import Results
    from mox.results.run import TrialRun

    Point = dict[str, Any]

MARKS: Mapping[str, tuple[str, str]] = {
    "chosen": ("triangle-up", "#54a24b"),
    "baseline": ("square", "#f58518"),
    "": ("circle", "#4c78a8"),
}
"""What a trial is → its shape and colour."""
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
LOG_FROM = 30.0
"""Costs whose greatest is more than this many times the least get a logarithmic axis."""
LISTED = 20
"""Trials of the leaderboard's chart."""


def pareto(results: Results, quality: str | None = None, cost: str = "index_mb") -> Figure:
    """Quality against a cost; trials that no other beats in both are joined and lettered.

    Args:
        quality: a measure; the one that is chosen by, else the first, where None.
        cost: what is better when less: `index_mb`, `chunks`, `build_s`.

    Raises:
        SpecError: no such measure or cost, or no trial has the cost.
    """
    import altair as alt

    measure = _measure(results, quality)
    known = _with_cost(results, cost)
    points = [_point(results, trial, measure, cost) for trial in known]
    edge = undominated([(point["cost"], point["mean"]) for point in points])
    for letter, at in zip(LETTERS, edge, strict=False):
        points[at]["letter"] = letter
    front = [points[at] for at in edge]
    notes = [f"{point['letter']}  {point['label']}" for point in front if point["letter"]]
    if missing := len(results.finished) - len(known):
        every = len(results.finished)
        notes.append(f"left out, their {cost} not being known: {missing} of {every} trials")
    x = alt.X("cost:Q", title=cost, scale=_scale([point["cost"] for point in points]))
    y = alt.Y("mean:Q", title=_axis(results, measure), scale=alt.Scale(zero=False, padding=6))
    edges = _chart(front).encode(x=x, y=y)
    layers = (
        edges.mark_line(color="#888", strokeDash=[4, 3]).encode(order=alt.Order("cost:Q")),
        *_cloud(points, x, y, cost),
        *_letters(front, x, y),
    )
    title = titled(f"{results.run.name}: {measure} against {cost}", notes)
    return figure(dressed(alt.layer(*layers).properties(width=560, height=340, title=title)))


def _cloud(points: Sequence[Point], x: alt.X, y: alt.Y, cost: str) -> tuple[Any, Any]:
    """All trials: intervals behind, means before them."""
    import altair as alt

    colour = alt.Color("chunk:N", legend=alt.Legend(title="chunks", symbolOpacity=1))
    every = _chart(points).encode(x=x, color=colour)
    shape = alt.Shape(
        "mark:N",
        scale=alt.Scale(domain=list(MARKS), range=[shape for shape, _ in MARKS.values()]),
        legend=alt.Legend(title="trial", values=["chosen", "baseline"], symbolFillColor="#888"),
    )
    tips = [*_tips(), alt.Tooltip("cost:Q", title=cost, format=".4~g")]
    return (
        every.mark_rule(opacity=0.25).encode(y=alt.Y("low:Q"), y2="high:Q"),
        every.mark_point(filled=True, opacity=0.85).encode(
            y=y,
            shape=shape,
            size=alt.condition("datum.mark != ''", alt.value(160), alt.value(50)),
            tooltip=tips,
        ),
    )


def leaderboard_chart(results: Results, measure: str | None = None) -> Figure:
    """The best trials with their intervals, best first.

    Args:
        measure: the one that is chosen by, else the first, where None.

    Raises:
        SpecError: no such measure, or no trial finished.
    """
    import altair as alt

    name = _measure(results, measure)
    ranked = results.ranked()
    points = [_point(results, trial, name) for trial in ranked[:LISTED]]
    for rank, point in enumerate(points, start=1):
        point["label"] = f"{rank}  {point['label']}"
    colour = alt.Color(
        "mark:N",
        scale=alt.Scale(domain=list(MARKS), range=[colour for _, colour in MARKS.values()]),
        legend=alt.Legend(title="trial", values=["chosen", "baseline"], symbolOpacity=1),
    )
    x = alt.X("low:Q", title=_axis(results, name), scale=alt.Scale(zero=False, padding=6))
    every = _chart(points).encode(
        y=alt.Y("label:N", sort=None, title=None, axis=alt.Axis(labelLimit=420)), color=colour
    )
    bars = every.mark_rule(strokeWidth=3, opacity=0.5).encode(x=x, x2="high:Q")
    dots = every.mark_point(filled=True, size=70, opacity=1).encode(
        x=alt.X("mean:Q"), tooltip=_tips()
    )
    rest = len(ranked) > len(points)
    notes = [f"the best {len(points)} of {len(ranked)} trials"] if rest else []
    title = titled(f"{results.run.name}: {name}", notes)
    chart = alt.layer(bars, dots).properties(width=420, height=alt.Step(18), title=title)
    return figure(dressed(chart))


def undominated(points: Sequence[tuple[float, float]]) -> list[int]:
    """Which (cost, quality) no other beats: none is as good for less, none better for as much.

    Returns:
        Their positions by cost, ascending; equal points are all among them.
    """
    found: list[int] = []
    for at in sorted(range(len(points)), key=lambda at: (points[at][0], -points[at][1], at)):
        if not found or points[at][1] > points[found[-1]][1] or points[at] == points[found[-1]]:
            found.append(at)
    return found


def _measure(results: Results, name: str | None) -> str:
    if not results.finished:
        raise SpecError("no trial finished, so there is nothing to draw.", mend="run it again.")
    return measured(results, name)


def _with_cost(results: Results, cost: str) -> list[TrialRun]:
    """Trials whose cost is known, by rank."""
    found = [t for t in results.ranked() if results.costs[t.id].get(cost) is not None]
    if found and cost != "index_mb_is":
        return found
    every = {
        name for costs in results.costs.values() for name, value in costs.items()
        if isinstance(value, int | float)
    }  # fmt: skip
    raise SpecError(
        f"no trial has the cost {cost!r}{nearest(cost, every)}.",
        mend=f"use one of {', '.join(sorted(every))}.",
    )


def _axis(results: Results, measure: str) -> str:
    split = ranked_on(results)
    count = len(results.rows(None if split == "all" else split))
    which = "questions" if split == "all" else f"{split} questions"
    return f"{measure}, {count} {which}, 95 % intervals"


def _point(results: Results, trial: TrialRun, measure: str, cost: str | None = None) -> Point:
    """A trial as a row of the chart's data."""
    interval = results.summary[trial.id][ranked_on(results)][measure]
    chosen = results.choice is not None and results.choice.trial == trial.id
    mark = "chosen" if chosen else "baseline" if trial.id == results.run.baseline else ""
    return {
        "trial": trial.id,
        "label": results.label(trial),
        "chunk": results.label(trial).split(" · ")[0],
        "mean": interval.mean,
        "low": interval.low if math.isfinite(interval.low) else None,
        "high": interval.high if math.isfinite(interval.high) else None,
        "cost": None if cost is None else float(results.costs[trial.id][cost]),
        "mark": mark,
        "letter": "",
    }


def _chart(points: Sequence[Point]) -> alt.Chart:
    import altair as alt

    return alt.Chart(alt.Data(values=list(points)))  # type: ignore[no-untyped-call]


def _letters(front: Sequence[Point], x: alt.X, y: alt.Y) -> list[alt.Chart]:
    """Letters by turns above and below the line, so that neighbours don't cover each other."""
    return [
        _chart(front[turn::2])
        .mark_text(dx=side * 9, dy=side * 9, fontWeight="bold", fontSize=12, color="#888")
        .encode(x=x, y=y, text="letter:N")
        for turn, side in ((0, -1), (1, 1))
        if front[turn::2]
    ]


def _tips() -> list[Any]:
    import altair as alt

    numbers = [alt.Tooltip(f"{name}:Q", format=".3f") for name in ("mean", "low", "high")]
    return ["label:N", "trial:N", *numbers]


def _scale(costs: Sequence[float]) -> alt.Scale:
    import altair as alt

    if min(costs) > 0 and max(costs) > LOG_FROM * min(costs):
        return alt.Scale(type="log")
    return alt.Scale(zero=False, nice=True, padding=12)


def titled(text: str, notes: Sequence[str]) -> alt.TitleParams:
    """A title with notes under it."""
    import altair as alt

    return alt.TitleParams(text, subtitle=list(notes), anchor="start", subtitleFontSize=11)


def dressed(chart: alt.TopLevelMixin) -> alt.TopLevelMixin:
    """Background and text are the theme's: a dark notebook turns both, a picture is on white."""
    import altair as alt

    dressed: alt.TopLevelMixin = chart.configure(axis=alt.AxisConfig(gridOpacity=0.4))
    return dressed
