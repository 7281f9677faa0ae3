"""What settings do, drawn: a ranking, a table per setting, and a chart of the means."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from mox.results.show.markup import (
    BLUE,
    DIM,
    SMALL,
    Html,
    Part,
    around_zero,
    bar,
    details,
    div,
    headline,
    row,
    small,
    span,
    table,
)

if TYPE_CHECKING:
    from mox.results.compare.effects import Effect, Level
    from mox.results.compare.why import Why
    from mox.results.show.figures import Figure

CAVEAT = (
    "Compare values by their matched differences: trials that agree in all other settings that both"
    " sides have. Shares of the variance overlap where the design isn't crossed."
)
PANELS = 8
"""Settings that the chart shows, those that explain most."""


def drawn(view: Why) -> str:
    """The whole view."""
    parts: list[Part] = [headline("why", view.about)]
    if len(view.effects) > 1:
        parts.append(_ranking(view))
        parts += [
            details(effect.setting, *effect_parts(effect), style=SMALL) for effect in view.effects
        ]
        parts.append(small(CAVEAT))
    else:
        parts += [part for effect in view.effects for part in effect_parts(effect)]
    return str(div(*parts))


def _ranking(view: Why) -> Html:
    head = ["setting", "values: mean (matched difference)", "of the variance", ""]
    rows = [row(head, left=2, head=True)]
    for effect in view.effects:
        shown = "; ".join(map(brief, effect.levels))
        rows.append(row([effect.setting, shown, percent(effect.share), share_bar(effect)], left=2))
    return table(rows)


def brief(level: Level) -> str:
    """A value's mean and its matched difference, without their intervals."""
    said = f"{level.value}: {level.mean.mean:.3f}"
    if level.difference is None:
        return said
    told = "" if level.difference.told_apart else ", not told apart"
    return f"{said} ({level.difference.interval.mean:+.3f}{told})"


def percent(share: float) -> str:
    """A share in words."""
    return "under 1 %" if 0 < share < 0.01 else f"{100 * share:.0f} %"


def share_bar(effect: Effect) -> Html:
    """A share of variance as a bar."""
    return div(
        div(style=f"width:{100 * min(effect.share, 1.0):.0f}%;height:8px;background:{BLUE}"),
        style="width:80px;height:8px;background:rgba(128,128,128,.2)",
        title=f"{percent(effect.share)} of the variance between trials",
    )


def effect_parts(effect: Effect) -> list[Html]:
    """A setting's values in a table, with notes on the design."""
    ends = [
        end
        for level in effect.levels
        for end in (level.mean.low, level.mean.mean, level.mean.high)
        if math.isfinite(end)
    ]
    reach = max((abs(end) for level in effect.levels for end in _ends(level)), default=0.0) or 1.0
    head = [effect.setting, "trials", "mean", "95 %", "",
            f"matched with {effect.reference}", "95 %", "", "cells"]  # fmt: skip
    rows = [row(head, left=1, head=True)]
    scale = (min(ends), max(ends))
    rows += [row(_cells(effect, level, scale, reach), left=1) for level in effect.levels]
    said = f"{effect.setting} explains {percent(effect.share)} of the variance between trials."
    return [table(rows), small(" ".join([said, *effect.notes]))]


def _cells(effect: Effect, level: Level, scale: tuple[float, float], reach: float) -> list[Part]:
    i = level.mean
    cells: list[Part] = [level.value, str(level.trials), f"{i.mean:.3f}"]
    if math.isfinite(i.low):
        drawn_bar = bar(i.low, i.mean, i.high, scale=scale, title=f"{i}, n = {i.n}")
        cells += [span(f"[{i.low:.2f}, {i.high:.2f}]", style=DIM), drawn_bar]
    else:
        cells += ["–", ""]
    if level.difference is None:
        same = level.value == effect.reference
        return [*cells, "reference" if same else "–", "", "", "" if same else "0"]
    d = level.difference.interval
    return [
        *cells,
        f"{d.mean:+.3f}",
        span(f"[{d.low:+.3f}, {d.high:+.3f}]", style=DIM) if math.isfinite(d.low) else "–",
        around_zero(d.low, d.mean, d.high, reach=reach),
        str(level.cells),
    ]


def _ends(level: Level) -> list[float]:
    if level.difference is None:
        return []
    i = level.difference.interval
    return [end for end in (i.low, i.high) if math.isfinite(end)]


def chart(view: Why) -> Figure:
    """Means with intervals, a panel for each of the settings that explain most."""
    import altair as alt

    from mox.results.show.charts import dressed, titled
    from mox.results.show.figures import figure

    shown = view.effects[:PANELS]
    panels = [_panel(view, effect, last=effect is shown[-1]) for effect in shown]
    notes = [f"{view.split} questions, 95 % intervals; a mean is over all trials with the value"]
    if len(view.effects) > PANELS:
        notes.append(f"the first {PANELS} of {len(view.effects)} settings")
    stacked = alt.vconcat(*panels, spacing=6).resolve_scale(x="shared")
    title = titled(f"What {view.measure} depends on", notes)
    return figure(dressed(stacked.properties(title=title)))


def _panel(view: Why, effect: Effect, *, last: bool) -> Any:
    import altair as alt

    points = [
        {
            "value": f"{level.value} ({level.trials})",
            "mean": level.mean.mean,
            "low": level.mean.low if math.isfinite(level.mean.low) else None,
            "high": level.mean.high if math.isfinite(level.mean.high) else None,
        }
        for level in effect.levels
    ]
    every = alt.Chart(alt.Data(values=points)).encode(  # type: ignore[no-untyped-call]
        y=alt.Y(
            "value:N", sort=None, title=effect.setting,
            axis=alt.Axis(labelLimit=260, titleAngle=0, titleAlign="right"),
        )
    )  # fmt: skip
    x = alt.X("low:Q", title=view.measure if last else None, scale=alt.Scale(zero=False, padding=6))
    tips = [alt.Tooltip(f"{name}:Q", format=".3f") for name in ("mean", "low", "high")]
    return alt.layer(
        every.mark_rule(strokeWidth=3, opacity=0.5).encode(x=x, x2="high:Q"),
        every.mark_point(filled=True, size=70, opacity=1).encode(x="mean:Q", tooltip=tips),
    ).properties(width=420, height=alt.Step(18))
