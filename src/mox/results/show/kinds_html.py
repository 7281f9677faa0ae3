"""A breakdown by kind of question as HTML."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from mox.results.show.markup import (
    DIM,
    Html,
    Part,
    around_zero,
    badge,
    bar,
    div,
    headline,
    row,
    small,
    span,
    table,
)

if TYPE_CHECKING:
    from mox.results.compare.kinds import ByKind, Kind
    from mox.results.reading import Interval


def drawn(view: ByKind) -> str:
    """The whole view."""
    head = [
        "kind",
        "n",
        "groups",
        view.measure,
        "95 %",
        "",
        "baseline",
        "difference",
        "95 %",
        "",
        "",
    ]
    reach = max((abs(end) for one in view.rows for end in _ends(one)), default=0.0) or 1.0
    rows = [row(head, left=1, head=True), *(_row(one, reach) for one in view.rows)]
    parts: list[Part] = [
        headline(view.measure, f"by kind of question, on {view.split} · {view.label}"),
        table(rows),
    ]
    if view.warning:
        parts.append(small(view.warning))
    return str(div(*parts))


def _ends(one: Kind) -> list[float]:
    if one.difference is None:
        return []
    i = one.difference.interval
    return [end for end in (i.low, i.high) if math.isfinite(end)]


def _row(one: Kind, reach: float) -> Html:
    cells: list[Part] = [
        one.kind,
        str(one.mean.n),
        str(one.groups),
        f"{one.mean.mean:.3f}",
        span(f"[{one.mean.low:.2f}, {one.mean.high:.2f}]", style=DIM)
        if math.isfinite(one.mean.low)
        else "–",
        _bar(one.mean),
        "–" if one.baseline is None else f"{one.baseline.mean:.3f}",
    ]
    if one.difference is None:
        cells += ["–", "", ""]
    else:
        i = one.difference.interval
        cells += [
            f"{i.mean:+.3f}",
            span(f"[{i.low:+.2f}, {i.high:+.2f}]", style=DIM) if math.isfinite(i.low) else "–",
            around_zero(i.low, i.mean, i.high, reach=reach),
        ]
    return row([*cells, badge("few") if one.few else ""], left=1)


def _bar(interval: Interval) -> Part:
    if not math.isfinite(interval.low):
        return ""
    return bar(
        interval.low, interval.mean, interval.high, scale=(0.0, 1.0),
        title=f"{interval}, n = {interval.n}",
    )  # fmt: skip
