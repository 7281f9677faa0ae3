"""The difference of two trials as HTML: how much, how sure, what differs, and where."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from mox.results.show.markup import (
    GREEN,
    RED,
    SMALL,
    Html,
    Part,
    around_zero,
    bold,
    div,
    headline,
    row,
    small,
    span,
    table,
    tag,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mox.results.compare.diff import Diff, Paired
    from mox.results.paired import Difference

TEXT = 110
"""Characters of a question that are shown."""


def drawn(view: Diff) -> str:
    """The whole view."""
    return str(
        div(
            headline(view.measure, "the difference a − b, paired question by question"),
            _trials(view),
            _differences("questions", view.differences),
            _settings(view),
            *([_differences("kind", view.kinds)] if view.kinds else []),
            _questions("Where a loses most", view.losses, RED),
            _questions("Where a gains most", view.gains, GREEN),
            small(
                "results.inspect(question, a, b) shows the hits of both; .df holds all"
                f" {len(view.pairs)} questions."
            ),
        )
    )


def _trials(view: Diff) -> Html:
    lines = [
        div(bold(side), " ", tag("code", name, style="font-size:11px"), f" {label}", style=SMALL)
        for side, name, label in zip("ab", (view.a, view.b), view.labels, strict=True)
    ]
    return div(*lines, style="padding:2px 0")


def _differences(title: str, differences: Sequence[Difference]) -> Html:
    head = [title, "n", "a − b", "95 %", "", "p", "a better", "worse", "same"]
    reach = max(
        (abs(end) for d in differences for end in (d.interval.low, d.interval.high)
         if math.isfinite(end)),
        default=1.0,
    )  # fmt: skip
    rows = [row(head, left=1, head=True)]
    rows += [_difference(found, reach) for found in differences]
    return table(rows)


def _difference(found: Difference, reach: float) -> Html:
    i = found.interval
    known = math.isfinite(i.low) and math.isfinite(i.high)
    cells: list[Part] = [
        found.over,
        str(i.n),
        bold(f"{i.mean:+.3f}"),
        f"[{i.low:+.3f}, {i.high:+.3f}]" if known else "–",
        around_zero(i.low, i.mean, i.high, reach=reach),
        f"{found.p:.2g}",
        str(found.won),
        str(found.lost),
        str(found.tied),
    ]
    return row(cells, left=1)


def _settings(view: Diff) -> Html:
    """What differs between the two configurations."""
    if not view.settings:
        return small("Both trials have the same configuration.")
    rows = [row(["setting", "a", "b"], left=3, head=True)]
    rows += [
        row([name, str(mine), str(theirs)], left=3)
        for name, (mine, theirs) in view.settings.items()
    ]
    return table(rows)


def _questions(title: str, pairs: Sequence[Paired], colour: str) -> Html:
    """Questions at one end of the differences."""
    if not pairs:
        return small(f"{title}: nowhere.")
    rows = [row(["question", "", "a", "b", "a − b"], left=2, head=True)]
    for pair in pairs:
        asked = pair.question
        cut = asked.text if len(asked.text) <= TEXT else asked.text[:TEXT] + "…"
        rows.append(
            row(
                [
                    tag("code", asked.id, style="font-size:11px"),
                    span(cut, title=asked.text),
                    f"{pair.a:.3f}",
                    f"{pair.b:.3f}",
                    span(f"{pair.difference:+.3f}", style=f"background:{colour};padding:1px 6px"),
                ],
                left=2,
            )
        )
    return div(div(bold(title), style=f"{SMALL};padding-top:4px"), table(rows))
