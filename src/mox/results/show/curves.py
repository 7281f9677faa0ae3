"""Recall against what it costs, per index type: throughput, latency, memory.

Drawn as ann-benchmarks made everybody read it: recall on x, the cost on a logarithmic y, a line per
index type along its own frontier, the other points pale. Recall is that of exact search's hits, of
all that was answered under load where there was one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mox.errors import SpecError
from mox.experiment.constraints import more_is_better
from mox.results.run import approximates
from mox.results.show.charts import LOG_FROM, titled
from mox.results.show.figures import Figure, figure
from mox.results.worth import Worth, invalid, loaded, under_load
from mox.results.worth import figure as worth_of
from mox.spec import canonical

if TYPE_CHECKING:
    import altair as alt

    from mox.results.results import Results
    from mox.results.run import TrialRun

    Row = dict[str, Any]

PALETTE = (
    "#4c78a8", "#f58518", "#54a24b", "#e45756", "#72b7b2", "#b279a2", "#9d755d", "#eeca3b",
    "#ff9da6", "#7f7f7f",
)  # fmt: skip
"""Colours of index types, the first eight of them told apart by most eyes."""
DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3])
"""Lines under several loads, in the order of the file."""
SIZES = ("index_mb", "disk_mb", "memory_mb", "build_s")
"""Costs of which neither a client nor the way to an engine is a part."""
TITLES: Mapping[str, str] = {
    "qps": "throughput, queries a second",
    "p50_ms": "latency p50, ms",
    "p95_ms": "latency p95, ms",
    "p99_ms": "latency p99, ms",
    "memory_mb": "memory, MB",
    "index_mb": "index size, MB",
    "disk_mb": "disk, MB",
    "build_s": "build, s",
}
LITE, INVALID, SIMULATED, IN_CLIENT = "Lite", "INVALID", "simulated", "in client"
MEANS: Mapping[str, str] = {
    LITE: "Lite: measured on Milvus Lite, a Python loop over all rows, and so no index's own speed",
    INVALID: "× INVALID: the clients measured themselves; on no line",
    SIMULATED: "simulated: no engine was measured",
    IN_CLIENT: "exact answers inside the client: no way to an engine is in its figures",
}


@dataclass(frozen=True)
class Scene:
    """The trials of one figure: one set of vectors, whose searches can be compared.

    `left_out`: what is not drawn, in words.
    """

    trials: tuple[TrialRun, ...]
    left_out: tuple[str, ...]


def against_recall(results: Results, cost: str) -> Figure:
    """A cost against recall of exact search, a line per index type along its frontier.

    Raises:
        SpecError: no trial has the cost, or none searches vectors.
    """
    import altair as alt

    scene = _scene(results, cost)
    rows = [_row(results, trial, cost) for trial in scene.trials]
    for row in rows:
        row["mark"] = _mark(row)
    _trace(rows, cost)
    kinds = list(dict.fromkeys(row["index"] for row in rows))
    loads = list(dict.fromkeys(row["load"] for row in rows))
    x = alt.X(
        "recall:Q", title=_recall_title(rows), scale=_to_one(rows), axis=alt.Axis(tickCount=8)
    )
    y = alt.Y("value:Q", title=TITLES.get(cost, cost), scale=_scale(rows, cost))
    colour = alt.Color(
        "index:N", title="index", scale=alt.Scale(domain=kinds, range=list(PALETTE[: len(kinds)])),
        legend=alt.Legend(symbolOpacity=1, symbolType="circle"),
    )  # fmt: skip
    layers = [
        *_lines(rows, x, y, colour, loads),
        *_spreads(rows, colour),
        _points([row for row in rows if row["mark"] != INVALID], x, y, colour, cost),
        *_invalid(rows, x, y, cost),
    ]
    title = titled(_title(results, cost), [*_notes(rows), *scene.left_out])
    chart = alt.layer(*layers).properties(width=560, height=360, title=title)
    return figure(chart.configure(axis=alt.AxisConfig(gridOpacity=0.4)))


def memory(results: Results) -> str:
    """Memory as a load test measured it where there was one, else the size of what answers."""
    loads = (loaded(results, trial) for trial in results.finished)
    return "memory_mb" if any(one and one.get("memory_mb") for one in loads) else "index_mb"


def drawable(results: Results, cost: str) -> bool:
    """Whether there is more than a point to draw."""
    found = _with(results, cost)
    return len(found) > 1 and any(approximates(trial) for trial in found)


def _with(results: Results, cost: str) -> list[TrialRun]:
    return [
        trial for trial in results.finished
        if trial.config.get("search", {}).get("kind") == "dense" and _raw(results, trial, cost)
    ]  # fmt: skip


def _raw(results: Results, trial: TrialRun, cost: str) -> Worth | None:
    """The figure also where it is invalid, to be drawn as such."""
    found = worth_of(results, trial, cost)
    facts = loaded(results, trial)
    if found is None and facts is not None and isinstance(facts.get(cost), Mapping):
        return Worth(*(float(facts[cost][end]) for end in ("median", "low", "high")))
    return found


def _scene(results: Results, cost: str) -> Scene:
    found = _with(results, cost)
    if not found:
        raise SpecError(
            f"no finished trial searches vectors and has {cost}.",
            mend="add a `load` axis, which measures latency and throughput, or draw index_mb.",
        )
    chosen = next((trial for trial in found if trial is results.chosen), None)
    wanted = _vectors(chosen or _base(results, found))
    kept = [trial for trial in found if _vectors(trial) == wanted]
    said = []
    if others := len(found) - len(kept):
        chunk, embed = results.params(kept[0])["chunk.kind"], results.params(kept[0])["embed.kind"]
        said.append(f"{others} trials of other vectors than these ({chunk}, {embed})")
    if others := len(results.finished) - len(found):
        said.append(f"{others} trials without {cost}, or that search texts too")
    return Scene(tuple(kept), tuple(f"left out: {one}" for one in said))


def _base(results: Results, found: Sequence[TrialRun]) -> TrialRun:
    return next((trial for trial in found if trial.id == results.run.baseline), found[0])


def _vectors(trial: TrialRun) -> str:
    return canonical([trial.config.get("chunk"), trial.config.get("embed")])


def _row(results: Results, trial: TrialRun, cost: str) -> Row:
    worth = _raw(results, trial, cost)
    assert worth is not None  # noqa: S101  by _scene
    facts = loaded(results, trial) or {}
    index, search = trial.config["index"], trial.config["search"]
    rest = {**index, **search}
    settings = [f"{name}={value}" for name, value in rest.items() if name not in ("kind", "k")]
    choice = results.choice
    return {
        "trial": trial.id,
        "index": _kind(index, results),
        "settings": " ".join(settings),
        "load": _load(facts),
        "k": search["k"],
        "recall": _recall(results, trial),
        "value": worth.value,
        "low": worth.low,
        "high": worth.high,
        "spread": str(worth),
        "chosen": choice is not None and choice.trial == trial.id,
        "lite": bool(facts.get("lite")) and cost not in SIZES,
        "in_client": bool(facts.get("in_client")) and cost not in SIZES,
        "simulated": bool(facts.get("simulated")),
        "invalid": (invalid(facts) or "") if cost not in SIZES else "",
        "under_load": under_load(results, trial) is not None,
        "edge": False,
    }


def _kind(index: Mapping[str, Any], results: Results) -> str:
    """The index type; with its column where pgvector's several are compared."""
    column = index.get("column")
    varies = "index.column" in results.run.varying
    return f"{index['kind']} {column}" if column and varies else str(index["kind"])


def _load(facts: Mapping[str, Any]) -> str:
    if not facts:
        return ""
    words = [f"{facts['clients']} client{'s' if facts['clients'] > 1 else ''}"]
    if facts.get("selectivity", 1) < 1:
        words.append(f"{100 * facts['selectivity']:g} % pass")
    if facts.get("inserts"):
        words.append(f"{facts['inserts']:g} inserts/s")
    return ", ".join([*words, *(["cold"] if facts.get("cold") else [])])


def _recall(results: Results, trial: TrialRun) -> float:
    there = under_load(results, trial)
    if there is not None:
        return there
    if not approximates(trial):
        return 1.0
    return float(results.agreement(trial).mean())


def _mark(row: Row) -> str:
    if row["invalid"]:
        return INVALID
    if row["simulated"]:
        return SIMULATED
    return LITE if row["lite"] else IN_CLIENT if row["in_client"] else ""


def _trace(rows: Sequence[Row], cost: str) -> None:
    """Note which rows are on the frontier of their index type under their load."""
    sign = 1 if more_is_better(cost) else -1
    for row in rows:
        mates = [
            other for other in rows
            if (other["index"], other["load"]) == (row["index"], row["load"])
            and other["mark"] != INVALID
        ]  # fmt: skip
        row["edge"] = row["mark"] != INVALID and not any(
            other["recall"] >= row["recall"]
            and sign * other["value"] >= sign * row["value"]
            and (other["recall"], other["value"]) != (row["recall"], row["value"])
            for other in mates
        )


def _lines(
    rows: Sequence[Row], x: alt.X, y: alt.Y, colour: alt.Color, loads: Sequence[str]
) -> Iterable[Any]:
    import altair as alt

    edge = [row for row in rows if row["edge"]]
    chart = _chart(edge).mark_line(strokeWidth=2, opacity=0.9)
    coded = {"x": x, "y": y, "color": colour, "order": alt.Order("recall:Q"),
             "detail": ["index:N", "load:N"]}  # fmt: skip
    if len(loads) > 1:
        dashes = [list(DASHES[at % len(DASHES)]) for at in range(len(loads))]
        coded["strokeDash"] = alt.StrokeDash(
            "load:N", title="load", scale=alt.Scale(domain=list(loads), range=dashes),
        )  # fmt: skip
    yield chart.encode(**coded)


def _spreads(rows: Sequence[Row], colour: alt.Color) -> Iterable[Any]:
    shown = [row for row in rows if row["low"] < row["high"] and row["mark"] != INVALID]
    if shown:
        yield (
            _chart(shown).mark_rule(opacity=0.35, strokeWidth=1.5)
            .encode(x="recall:Q", y="low:Q", y2="high:Q", color=colour)
        )  # fmt: skip


def _points(rows: Sequence[Row], x: alt.X, y: alt.Y, colour: alt.Color, cost: str) -> Any:
    import altair as alt

    return (
        _chart(rows)
        .mark_point(filled=True)
        .encode(
            x=x, y=y, color=colour,
            opacity=alt.condition("datum.edge", alt.value(1), alt.value(0.35)),
            size=alt.condition("datum.chosen", alt.value(220), alt.value(60)),
            shape=alt.condition("datum.chosen", alt.value("triangle-up"), alt.value("circle")),
            tooltip=_tips(cost),
        )
    )  # fmt: skip


def _invalid(rows: Sequence[Row], x: alt.X, y: alt.Y, cost: str) -> Iterable[Any]:
    import altair as alt

    shown = [row for row in rows if row["mark"] == INVALID]
    if shown:
        yield (
            _chart(shown).mark_text(text="×", color="#d62728", fontSize=14, fontWeight="bold")
            .encode(x=x, y=y, tooltip=[*_tips(cost), alt.Tooltip("invalid:N", title="INVALID")])
        )  # fmt: skip


def _tips(cost: str) -> list[Any]:
    import altair as alt

    return [
        alt.Tooltip("index:N"),
        alt.Tooltip("settings:N"),
        alt.Tooltip("load:N"),
        alt.Tooltip("recall:Q", format=".4f"),
        alt.Tooltip("spread:N", title=cost),
        alt.Tooltip("mark:N", title="mark"),
        alt.Tooltip("trial:N"),
    ]


def _title(results: Results, cost: str) -> str:
    ways = {"qps": "recall against throughput", "memory_mb": "memory against recall",
            "index_mb": "index size against recall"}  # fmt: skip
    return f"{results.run.name}: {ways.get(cost, f'{cost} against recall')}"


def _notes(rows: Sequence[Row]) -> list[str]:
    """What its reader must know first: marks, the load where it is one, what a point is."""
    found = [meaning for mark, meaning in MEANS.items() if any(r["mark"] == mark for r in rows)]
    loads = dict.fromkeys(row["load"] for row in rows if row["load"])
    if len(loads) == 1:
        found.append(f"load: {next(iter(loads))}")
    chosen = next((row for row in rows if row["chosen"]), None)
    if chosen:
        found.append(f"▲ chosen: {chosen['index']} {chosen['settings']}".rstrip())
    return found


def _recall_title(rows: Sequence[Row]) -> str:
    depths = dict.fromkeys(row["k"] for row in rows)
    cut = f"@{next(iter(depths))}" if len(depths) == 1 else ""
    under = " under load" if any(row["under_load"] for row in rows) else ""
    return f"recall{cut} of exact search{under}"


def _to_one(rows: Sequence[Row]) -> alt.Scale:
    """Recall from the least that there is to 1, with room for the marks and no more."""
    import altair as alt

    least = min(row["recall"] for row in rows)
    room = 0.04 * max(1 - least, 0.01)
    return alt.Scale(domain=[max(0.0, least - room), 1 + room], nice=False, zero=False)


def _scale(rows: Sequence[Row], cost: str) -> alt.Scale:
    """Logarithmic for speeds, as one reads them, and for what spans more than `LOG_FROM`."""
    import altair as alt

    ends = [row[end] for row in rows for end in ("low", "high")]
    speed = cost == "qps" or cost.endswith("_ms")
    if min(ends) > 0 and (speed or max(ends) > LOG_FROM * min(ends)):
        return alt.Scale(type="log", nice=False, padding=14)
    return alt.Scale(zero=False, padding=14)


def _chart(rows: Sequence[Row]) -> alt.Chart:
    import altair as alt

    return alt.Chart(alt.Data(values=list(rows)))  # type: ignore[no-untyped-call]
