"""Providers under load: latency against load, cost against latency, and how both ran over time.

A figure is drawn from the document of `mox bench providers` alone; only the time lines need the
requests themselves. What is simulated says so in the title and in the name of its line, and is
never on one Pareto edge with what is real.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mox.errors import SpecError
from mox.registry import nearest
from mox.results.show.charts import titled
from mox.results.show.curves import PALETTE
from mox.results.show.figures import Figure, figure

if TYPE_CHECKING:
    import altair as alt

    Row = dict[str, Any]

WIDTH, HEIGHT = 300, 260
"""Pixels between the axes of one panel."""
TITLES: Mapping[str, str] = {
    "ttft_ms": "time to first token, ms",
    "answer_ms": "time to first answer token, ms",
    "itl_ms": "between tokens, ms",
    "e2e_ms": "end to end from the send, ms",
    "e2e_from_schedule_ms": "end to end from the intended start, ms",
    "pool_wait_ms": "wait for the pool, ms",
    "tokens_per_s": "tokens a second, of an answer",
}
LOADS: Mapping[str, str] = {
    "closed": "callers",
    "constant": "requests a second, even",
    "poisson": "requests a second, Poisson",
}
BOUND = "#d62728"
SEE_WHY = "see `why` of each row for the reason, or draw another latency."


def latency(document: Mapping[str, Any], what: str = "e2e_from_schedule_ms") -> Figure:
    """A latency against load: medians as lines with their 95 % intervals, p95 dashed.

    A panel for each workload and kind of load. INVALID rows are crosses, and on no line.

    Args:
        what: `ttft_ms`, `itl_ms`, `e2e_ms`, `e2e_from_schedule_ms`, …

    Raises:
        SpecError: nothing of that name was measured.
    """
    import altair as alt

    rows = [row for row in _rows(document, what) if row["kind"] in LOADS]
    if not rows:
        raise SpecError(
            "nothing but what a search found was measured: one load of each provider.",
            mend="draw `cost` or `timeline`, or add a load of kind closed, constant or poisson.",
        )
    colour = _colour(document)
    panels = []
    for workload in dict.fromkeys(row["workload"] for row in rows):
        for kind in LOADS:
            some = [row for row in rows if (row["workload"], row["kind"]) == (workload, kind)]
            if some:
                name = f"{workload}, {LOADS[kind]}"
                panel = alt.layer(*_lines(some, kind, what, colour), *_slo(document, what))
                panels.append(panel.properties(width=WIDTH, height=HEIGHT, title=name))
    notes = [*_notes(document), "medians with 95 % intervals; dashed: p95"]
    title = titled(f"{document['name']}: {TITLES[what]} by load", notes)
    return figure(_columns(panels).properties(title=title))


def cost(document: Mapping[str, Any], what: str = "e2e_from_schedule_ms") -> Figure:
    """What 1,000 good answers cost against a latency's median, with the Pareto edge.

    On the edge lies what nothing else of its workload beats in both, real and simulated apart.
    INVALID rows are crosses, and on no edge.

    Raises:
        SpecError: nothing of that name was measured, or nothing has a price.
    """
    import altair as alt

    rows = [row for row in _rows(document, what) if row["usd"] is not None]
    if not rows:
        raise SpecError(
            "no row has a price for good answers.",
            mend="write prices into experiments/prices.yaml, or see which bound no answer keeps.",
        )
    _edges(rows)
    colour, panels = _colour(document), []
    for workload in dict.fromkeys(row["workload"] for row in rows):
        some = [row for row in rows if row["workload"] == workload]
        layers = _scattered(some, what, colour)
        panel = alt.layer(*layers).properties(width=WIDTH, height=HEIGHT, title=workload)
        panels.append(panel)
    said = f"{document['name']}: cost of 1,000 good answers by {TITLES[what]}"
    title = titled(said, [*_notes(document), "line: nothing of this workload is better in both"])
    return figure(_columns(panels).properties(title=title))


def timeline(
    document: Mapping[str, Any], requests: Iterable[Mapping[str, Any]], what: str = "ttft_ms"
) -> Figure:
    """Each request by when it was meant to start: drift, warm-up and storms show here only.

    Args:
        requests: `provider`, `workload`, `round`, `at_s` in real seconds since the first, `error`
            or None, and the latency by name.

    Raises:
        SpecError: no request is kept, or nothing of that name was measured.
    """
    import altair as alt

    _check(what)
    rows = [{**one, "line": _line(document, one["provider"])} for one in requests]
    answered = [row for row in rows if row.get(what) is not None]
    if not rows:
        raise SpecError(
            "no request is kept here.",
            mend="draw it where it was measured, or measure again with --again.",
        )
    if not answered:
        none = all(row["error"] for row in rows)
        said = "no request was answered" if none else f"nothing was measured of {what}"
        raise SpecError(f"{said}.", mend=SEE_WHY)
    colour, panels = _colour(document), []
    for workload in dict.fromkeys(row["workload"] for row in rows):
        some = [row for row in answered if row["workload"] == workload]
        lost = [row for row in rows if row["workload"] == workload and row["error"]]
        tips = ["line:N", "round:O", "load:N", alt.Tooltip(f"{what}:Q", format=".4~g")]
        y = alt.Y(f"{what}:Q", title=TITLES.get(what, what), scale=_log())
        x = alt.X("at_s:Q", title="seconds since the first request")
        layers = [_chart(some).mark_point(size=14, opacity=0.6, filled=True).encode(
            x=x, y=y, color=colour, tooltip=tips)]  # fmt: skip
        if lost:
            marks = _chart(lost).mark_text(text="×", color=BOUND, fontSize=12)
            layers.append(marks.encode(x=x, y=alt.value(6), tooltip=["line:N", "error:N"]))
        panel = alt.layer(*layers).properties(width=WIDTH, height=HEIGHT, title=workload)
        panels.append(panel)
    title = titled(f"{document['name']}: every request", _notes(document))
    return figure(_columns(panels).properties(title=title))


def _check(what: str) -> None:
    if what not in TITLES:
        raise SpecError(
            f"no figure of {what!r}{nearest(what, TITLES)}.",
            mend=f"draw one of {', '.join(TITLES)}.",
        )


def _rows(document: Mapping[str, Any], what: str) -> list[Row]:
    _check(what)
    found = []
    for row in document["rows"]:
        middle, far = row[what]["p50"], row[what]["p95"]
        value = row["load"]["value"]
        if middle["value"] is None or value is None:
            continue
        found.append({
            "provider": row["provider"],
            "line": _line(document, row["provider"]),
            "simulated": row["simulated"],
            "workload": row["workload"],
            "kind": row["load"]["kind"],
            "load": value,
            "value": middle["value"],
            "low": middle["low"] if middle["low"] is not None else middle["value"],
            "high": middle["high"] if middle["high"] is not None else middle["value"],
            "p95": far["value"],
            "n": row["n"],
            "usd": row["usd_per_1k_good"],
            "invalid": "" if row["valid"] else str(row["why"]),
            "edge": False,
        })  # fmt: skip
    if not found:
        raise SpecError(f"nothing was measured of {what}.", mend=SEE_WHY)
    return found


def _line(document: Mapping[str, Any], provider: str) -> str:
    """A provider's name, with what it is where nobody real answered."""
    rows = [row for row in document["rows"] if row["provider"] == provider]
    return f"{provider} (simulated)" if rows and rows[0]["simulated"] else provider


def _colour(document: Mapping[str, Any]) -> alt.Color:
    """The same colour for a provider in every figure: by its place in the document."""
    import altair as alt

    providers = dict.fromkeys(row["provider"] for row in document["rows"])
    names = [_line(document, provider) for provider in providers]
    scale = alt.Scale(domain=names, range=[PALETTE[at % len(PALETTE)] for at in range(len(names))])
    legend = alt.Legend(symbolOpacity=1, symbolType="circle", orient="bottom")
    return alt.Color("line:N", title="provider", scale=scale, legend=legend)


def _lines(rows: Sequence[Row], kind: str, what: str, colour: alt.Color) -> Iterable[Any]:
    import altair as alt

    loads = sorted({row["load"] for row in rows})
    x = alt.X(
        "load:Q", title=LOADS[kind], scale=_log(),
        axis=alt.Axis(values=loads, format="~g"),
    )  # fmt: skip
    y = alt.Y("value:Q", title=TITLES[what], scale=_log())
    tips = ["line:N", "load:Q", *(alt.Tooltip(f"{name}:Q", format=".4~g")
                                  for name in ("value", "low", "high", "p95")), "n:Q"]  # fmt: skip
    believed = [row for row in rows if not row["invalid"]]
    if believed:
        chart = _chart(believed)
        yield chart.mark_line(strokeWidth=2).encode(x=x, y=y, color=colour)
        yield chart.mark_line(strokeDash=[5, 4], opacity=0.6).encode(x=x, y="p95:Q", color=colour)
        yield chart.mark_rule(strokeWidth=2).encode(x=x, y="low:Q", y2="high:Q", color=colour)
        yield chart.mark_point(filled=True, size=50, opacity=1).encode(
            x=x, y=y, color=colour, tooltip=tips)  # fmt: skip
    doubted = [row for row in rows if row["invalid"]]
    if doubted:
        yield _crosses(doubted).encode(x=x, y=y, color=colour, tooltip=[*tips, "invalid:N"])


def _scattered(rows: Sequence[Row], what: str, colour: alt.Color) -> Iterable[Any]:
    import altair as alt

    x = alt.X("value:Q", title=f"median {TITLES[what]}", scale=_log())
    y = alt.Y("usd:Q", title="USD for 1,000 good answers", scale=_log())
    if edge := [row for row in rows if row["edge"]]:
        yield (
            _chart(edge).mark_line(interpolate="step-after", color="#888", strokeWidth=1.5)
            .encode(x=x, y=y, detail="simulated:N", order=alt.Order("value:Q"))
        )  # fmt: skip
    tips = ["line:N", "kind:N", "load:Q", alt.Tooltip("value:Q", format=".4~g"),
            alt.Tooltip("usd:Q", format=".3~g"), "n:Q"]  # fmt: skip
    if believed := [row for row in rows if not row["invalid"]]:
        chart, shape = _chart(believed), alt.Shape("kind:N", title="load")
        yield chart.mark_rule(opacity=0.5).encode(x="low:Q", x2="high:Q", y=y, color=colour)
        yield chart.mark_point(filled=True, size=60, opacity=1).encode(
            x=x, y=y, color=colour, shape=shape, tooltip=tips)  # fmt: skip
    if doubted := [row for row in rows if row["invalid"]]:
        yield _crosses(doubted).encode(x=x, y=y, color=colour, tooltip=[*tips, "invalid:N"])


def _edges(rows: Sequence[Row]) -> None:
    """Note which rows nothing of their workload beats in both, real and simulated apart."""
    valid = [row for row in rows if not row["invalid"]]
    for row in valid:
        mates = [
            other for other in valid
            if (other["workload"], other["simulated"]) == (row["workload"], row["simulated"])
        ]  # fmt: skip
        row["edge"] = not any(
            other["value"] <= row["value"]
            and other["usd"] <= row["usd"]
            and (other["value"], other["usd"]) != (row["value"], row["usd"])
            for other in mates
        )


def _slo(document: Mapping[str, Any], what: str) -> Iterable[Any]:
    """The user's bound, where it is one of this figure."""
    names = {"e2e_from_schedule_ms": "e2e_ms", "ttft_ms": "ttft_ms", "itl_ms": "itl_ms"}
    value = (document.get("slo") or {}).get(names.get(what, ""))
    if value:
        rule = _chart([{"value": float(value)}]).mark_rule(color=BOUND, strokeDash=[2, 2])
        yield rule.encode(y="value:Q")


def _notes(document: Mapping[str, Any]) -> list[str]:
    notes = []
    scales = sorted({row["time_scale"] for row in document["rows"] if row["simulated"]})
    if scales:
        named = f"scale{'s' if scales[1:] else ''} {' and '.join(f'{one:g}' for one in scales)}"
        every = all(row["simulated"] for row in document["rows"])
        where = "" if every else ", where it says so"
        notes.append(f"SIMULATED at time {named}: nobody real answered{where}")
    if any(not row["valid"] for row in document["rows"]):
        notes.append("× INVALID: the client measured itself")
    return notes


def _columns(panels: Sequence[Any]) -> Any:
    import altair as alt

    made = alt.concat(*panels, columns=2).resolve_scale(color="shared")
    return made.configure(axis=alt.AxisConfig(gridOpacity=0.4))


def _log() -> alt.Scale:
    import altair as alt

    return alt.Scale(type="log", nice=False, padding=14)


def _crosses(rows: Sequence[Row]) -> Any:
    return _chart(rows).mark_text(text="×", fontSize=15, fontWeight="bold")


def _chart(rows: Sequence[Mapping[str, Any]]) -> alt.Chart:
    import altair as alt

    return alt.Chart(alt.Data(values=list(rows)))  # type: ignore[no-untyped-call]
