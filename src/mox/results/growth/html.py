"""A growth in a notebook: the verdict, how p95 grows, and a row for each size measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mox.results.growth import words
from mox.results.growth.report import report
from mox.results.show.growth import growth
from mox.results.show.markup import (
    DIM,
    GREEN,
    GREY,
    RED,
    SMALL,
    Html,
    Part,
    badge,
    bold,
    details,
    div,
    headline,
    image,
    joined,
    row,
    small,
    span,
    table,
)

SHOWN = 16
"""Rows of the table before the rest is folded."""
HEAD = ("configuration", "clients", "vectors", "", "p95 ms", "q/s", "recall", "build s",
        "memory MB", "formula MB", "index MB")  # fmt: skip
WIDTH_PX = 720


def drawn(content: Mapping[str, Any]) -> str:
    """The whole view; nothing in it that a notebook drops which isn't trusted."""
    said = report(content)
    first, *rest = said.verdict
    colour = GREEN if said.tone == "chosen" else GREY
    parts: list[Part] = [headline(said.title, said.facts)]
    if said.unfinished:
        parts.append(div(said.unfinished, style=f"background:{RED};padding:6px 8px;{SMALL}"))
    box = [div(bold(first), style="font-size:13px;line-height:1.5"), *map(small, rest)]
    parts.append(div(*box, style=f"background:{colour};padding:8px;margin:6px 0"))
    if any(one.get("p95_ms") for one in content["points"]):
        parts.append(_picture(content))
    asked = content["bound"]["clients"]
    points = sorted(content["points"], key=lambda one: one["clients"] != asked)
    parts += [*_table(points), *_estimates(content)]
    parts += [small(f"left out: {line}") for line in words.left_out(content)]
    parts += [small(f"note: {note}") for note in words.notes(content)]
    return str(div(*parts))


def _picture(content: Mapping[str, Any]) -> Html:
    style = f"max-width:100%;width:{WIDTH_PX}px;background:#fff"
    return image(growth(content).png, "p95 by number of vectors", style=style)


def _table(points: Sequence[Mapping[str, Any]]) -> list[Part]:
    made = [_row(point) for point in points]
    head = row(HEAD, left=1, head=True)
    parts: list[Part] = [table([head, *made[:SHOWN]])] if made else []
    if len(made) > SHOWN:
        parts.append(
            details(f"{len(made) - SHOWN} more", table([head, *made[SHOWN:]]), style=SMALL)
        )
    return parts


def _row(one: Mapping[str, Any]) -> Html:
    marks = [
        *(["Lite"] if words.is_lite(one["engine"]) else []),
        *(["mixed"] if one["mixed"] else []),
        *(["INVALID"] if one["invalid"] else []),
    ]
    p95, qps = one.get("p95_ms"), one.get("qps")
    cells: list[Part] = [
        words.named(one["index"], one["search"]),
        str(one["clients"]),
        f"{one['n']:,}",
        joined(*(badge(mark, RED if mark == "INVALID" else GREY) for mark in marks)),
        _spread(p95) if p95 else "–",
        f"{qps['median']:,.0f}" if qps else "–",
        f"{one['recall']:.3f}",
        f"{one['build_s']:.1f}",
        *(words.megabytes(one.get(name)) for name in ("memory_mb", "formula_mb", "index_mb")),
    ]
    return row(cells, left=1, shade=RED if one["invalid"] else "")


def _spread(value: Mapping[str, float]) -> Html:
    between = span(f" [{value['low']:.3g}, {value['high']:.3g}]", style=DIM)
    return span(f"{value['median']:.3g}", between, style="white-space:nowrap")


def _estimates(content: Mapping[str, Any]) -> list[Part]:
    return [small(f"memory: {line}") for line in words.estimated(content)]
