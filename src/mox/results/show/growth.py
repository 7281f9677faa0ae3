"""What a growing corpus does to each index: measured sizes, fitted curves, where a bound breaks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mox.errors import SpecError
from mox.registry import nearest
from mox.results.growth.words import size
from mox.results.show.charts import titled
from mox.results.show.curves import INVALID, LITE, MEANS, PALETTE, SIMULATED, TITLES
from mox.results.show.figures import Figure, figure
from mox.results.worth import short
from mox.spec import canonical

if TYPE_CHECKING:
    import altair as alt

    Row = dict[str, Any]

MOST = 8
"""Configurations that are drawn; of more, each index type's best at the largest size."""
WIDTH = 560
"""Pixels between the axes."""
ESTIMATE = "estimate"
FALLING = ("recall", "qps")
"""What gets less as a corpus grows."""


def growth(document: Mapping[str, Any], what: str = "p95_ms") -> Figure:
    """A figure by the number of vectors, a line per configuration.

    Measured sizes are points with their spread, hollow where vectors were mixed from real ones.
    Curves are fitted, in their 95 % band, dashed where no such size was measured.

    Args:
        document: what `mox bench growth --json` prints: its `points`, `fits`, `bound` and
            `crossing` are read.
        what: `p95_ms`, `p50_ms`, `qps`, `build_s`, `memory_mb` or `recall`.

    Raises:
        SpecError: nothing of that name was measured.
    """
    import altair as alt

    every = [_point(one, what) for one in document["points"] if one.get(what) is not None]
    if not every:
        known = dict.fromkeys(
            name for one in document["points"] for name in (*TITLES, "recall") if one.get(name)
        )
        raise SpecError(
            f"no size was measured for {what!r}{nearest(what, known)}.",
            mend=f"draw one of {', '.join(known)}." if known else "run the growth first.",
        )
    shown, left = _shown(every, what, document.get("bound") or {})
    points = [row for row in every if row["way"] in shown]
    curves = list(_curves(document.get("fits", ()), what, shown))
    kinds = list(dict.fromkeys(row["index"] for row in points))
    colour = alt.Color(
        "index:N", title="index", scale=alt.Scale(domain=kinds, range=list(PALETTE[: len(kinds)])),
        # Beneath, since a page that shows an artifact is narrow, and cuts what stands beside.
        legend=alt.Legend(symbolOpacity=1, symbolType="circle", orient="bottom", columns=4),
    )  # fmt: skip
    scale = alt.Scale(type="log", nice=False, padding=14)
    x = alt.X("n:Q", title="vectors", scale=scale, axis=alt.Axis(format="~s", labelOverlap=True))
    y = alt.Y("value:Q", title=TITLES.get(what, what), scale=_scale(what))
    layers = [
        *_bands(curves, x, colour),
        *_lines(curves, x, y, colour),
        *_measured(points, x, y, colour, what),
        *_bound(document.get("bound") or {}, what, points, curves),
    ]
    notes = [*_notes(points, curves), *_crossing(document, what), *left]
    name = document.get("experiment", "growth")
    title = titled(f"{name}: {TITLES.get(what, what)} by number of vectors", notes)
    chart = alt.layer(*layers).properties(width=WIDTH, height=360, title=title)
    return figure(chart.configure(axis=alt.AxisConfig(gridOpacity=0.4)))


def _point(one: Mapping[str, Any], what: str) -> Row:
    value = one[what]
    ends = ("median", "low", "high")
    spread = value if isinstance(value, Mapping) else dict.fromkeys(ends, value)
    engine = str((one.get("engine") or {}).get("engine", ""))
    return {
        **_way(one),
        "n": one["n"],
        "value": float(spread["median"]),
        "low": float(spread["low"]),
        "high": float(spread["high"]),
        "recall": one.get("recall"),
        "mixed": bool(one.get("mixed")),
        "engine": engine,
        "invalid": str(one.get("invalid") or ""),
        "mark": INVALID if one.get("invalid") and what not in ("memory_mb", "build_s", "recall")
        else LITE if engine == "milvus-lite"
        else SIMULATED if one.get("simulated") else "",
    }  # fmt: skip


def _way(one: Mapping[str, Any]) -> Row:
    parts = {**one["index"], **one["search"]}
    kind = str(parts.pop("kind", ""))
    settings = [f"{name}={value}" for name, value in parts.items() if value is not None]
    clients = one["clients"]
    return {
        "way": canonical([one["index"], one["search"], clients]),
        "index": kind,
        "settings": " ".join([*settings, _clients(clients)]),
        "clients": clients,
    }


def _shown(
    points: Sequence[Row], what: str, bound: Mapping[str, Any]
) -> tuple[set[str], list[str]]:
    """Configurations that are drawn, and what is said of the others.

    Of several loads the one that the bound is of: they have one colour, and would hide each other.
    """
    loads = {row["clients"] for row in points}
    asked = bound.get("clients")
    said = []
    if asked is not None and len(loads) > 1 and asked in loads:
        points = [row for row in points if row["clients"] == asked]
        said = [f"drawn: {_clients(asked)} as the bound has it, of {len(loads)} loads"]
    ways = dict.fromkeys(row["way"] for row in points)
    if len(ways) <= MOST:
        return set(ways), said
    last: dict[str, Row] = {}
    for row in points:
        if row["way"] not in last or row["n"] > last[row["way"]]["n"]:
            last[row["way"]] = row
    least = bound.get("recall") or 0.0
    best: dict[str, Row] = {}
    sign = -1 if what in FALLING else 1
    for row in last.values():
        if (row["recall"] or 0.0) < least:
            continue
        there = best.get(row["index"])
        if there is None or sign * row["value"] < sign * there["value"]:
            best[row["index"]] = row
    kept = {row["way"] for row in best.values()} or set(list(ways)[:MOST])
    held = f" with a recall of {least:g} or more" if least else ""
    best_of = f"drawn: each index type's best{held} at its largest size, {len(kept)} of {len(ways)}"
    return kept, [*said, best_of]


def _clients(count: int) -> str:
    return f"{count} client{'s' if count > 1 else ''}"


def _curves(fits: Iterable[Mapping[str, Any]], what: str, shown: set[str]) -> Iterable[Row]:
    for fit in fits:
        way = _way(fit)
        if fit["what"] != what or way["way"] not in shown:
            continue
        for at in fit.get("curve", ()):
            yield {**way, **{name: at[name] for name in ("n", "value", "low", "high")},
                   "part": ESTIMATE if at["estimate"] else "",
                   "exponent": f"{fit['b']:.2f} [{fit['low']:.2f}, {fit['high']:.2f}]"}  # fmt: skip


def _bands(curves: Sequence[Row], x: alt.X, colour: alt.Color) -> Iterable[Any]:
    banded = [row for row in curves if row["high"] is not None]  # null: no end is known
    if banded:
        yield (
            _chart(banded).mark_area(opacity=0.12)
            .encode(x=x, y="low:Q", y2="high:Q", color=colour, detail="way:N")
        )  # fmt: skip


def _lines(curves: Sequence[Row], x: alt.X, y: alt.Y, colour: alt.Color) -> Iterable[Any]:
    import altair as alt

    tips = [*_tips(), alt.Tooltip("exponent:N", title="grows as n to the")]
    measured = [row for row in curves if row["part"] != ESTIMATE]
    ends = {row["way"]: {**row, "part": ESTIMATE} for row in measured}  # the last of each
    estimated = [*ends.values(), *(row for row in curves if row["part"] == ESTIMATE)]
    for some, dash in ((measured, [1, 0]), (estimated, [5, 4])):
        if some:
            yield (
                _chart(some).mark_line(strokeDash=dash, strokeWidth=2, opacity=0.85)
                .encode(x=x, y=y, color=colour, detail="way:N", tooltip=tips)
            )  # fmt: skip


def _measured(
    points: Sequence[Row], x: alt.X, y: alt.Y, colour: alt.Color, what: str
) -> Iterable[Any]:
    import altair as alt

    believed = [row for row in points if row["mark"] != INVALID]
    spread = [row for row in believed if row["low"] < row["high"]]
    if spread:
        yield (
            _chart(spread).mark_rule(opacity=0.5, strokeWidth=1.5)
            .encode(x="n:Q", y="low:Q", y2="high:Q", color=colour)
        )  # fmt: skip
    tips = [*_tips(), alt.Tooltip("value:Q", title=what, format=".4~g"), "engine:N", "mark:N"]
    for mixed in (False, True):
        some = [row for row in believed if row["mixed"] == mixed]
        if some:
            yield (
                _chart(some).mark_point(filled=not mixed, size=60, opacity=1)
                .encode(x=x, y=y, color=colour, tooltip=tips)
            )  # fmt: skip
    crossed = [row for row in points if row["mark"] == INVALID]
    if crossed:
        yield (
            _chart(crossed).mark_text(text="×", color="#d62728", fontSize=14, fontWeight="bold")
            .encode(x=x, y=y, tooltip=[*tips, alt.Tooltip("invalid:N", title="INVALID")])
        )  # fmt: skip


def _bound(
    bound: Mapping[str, Any], what: str, points: Sequence[Row], curves: Sequence[Row]
) -> Iterable[Any]:
    """The user's bound, where it is one of this figure and within sight."""
    value = bound.get(what)
    if not value:
        return
    seen = [row[end] for row in (*points, *curves) for end in ("low", "value")]
    if min(seen) / 3 <= value <= max(seen) * 3:
        rule = _chart([{"value": float(value), "said": f"bound: {short(float(value))}"}])
        yield rule.mark_rule(color="#d62728", strokeDash=[3, 3]).encode(y="value:Q")
        yield (
            rule.mark_text(align="left", dx=4, dy=-6, color="#d62728")
            .encode(x={"value": 0}, y="value:Q", text="said:N")
        )  # fmt: skip


def _notes(points: Sequence[Row], curves: Sequence[Row]) -> Iterable[str]:
    yield from (
        meaning for mark, meaning in MEANS.items() if any(row["mark"] == mark for row in points)
    )
    if any(row["mixed"] for row in points):
        yield "hollow: vectors mixed from real ones, filled: real alone"
    if any(row["part"] == ESTIMATE for row in curves):
        yield "dashed: an estimate, no such size was measured; bands are 95 %"


def _crossing(document: Mapping[str, Any], what: str) -> Iterable[str]:
    """Where pgvector stops sufficing, where that is known."""
    found = document.get("crossing")
    if not found or what not in ("p95_ms", "recall") or not found.get("n"):
        return
    mark = ", an estimate" if found.get("estimate") else ""
    between = f"[{size(found['low'])} to {size(found['high'])}]"
    kind = found["index"]["kind"]
    yield f"{kind} keeps the bound up to {size(found['n'])} vectors {between}{mark}"


def _tips() -> list[Any]:
    import altair as alt

    return [alt.Tooltip("index:N"), alt.Tooltip("settings:N"), alt.Tooltip("n:Q", format=",")]


def _scale(what: str) -> Any:
    import altair as alt

    return (
        alt.Scale(zero=False) if what == "recall" else alt.Scale(type="log", nice=False, padding=10)
    )


def _chart(rows: Sequence[Row]) -> alt.Chart:
    import altair as alt

    return alt.Chart(alt.Data(values=list(rows)))  # type: ignore[no-untyped-call]
