"""A benchmark of providers as a table: in a terminal, in a notebook, as flat columns.

Simulated and real providers stand in tables of their own, each named: a simulator's figures are
never ranked with those of anybody real.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mox.bench.providers.conditions import parts
from mox.bench.providers.rows import LATENCIES
from mox.results.providers import verdict
from mox.results.show import grid
from mox.results.show.grid import Column, Row

if TYPE_CHECKING:
    from rich.console import Console

WIDTH = 160
HEAD = (
    Column("provider", words=True),
    Column("workload", words=True),
    Column("load", words=True),
    Column("n", minor=2),
    Column("TTFT p50 ms"),
    Column("p95", minor=1),
    Column("answer", minor=3),
    Column("ITL ms", minor=2),
    Column("e2e p50 ms"),
    Column("p95*", minor=1),
    Column("tok/s", minor=3),
    Column("in SLO"),
    Column("$/1k", minor=2),
    Column("$/1k good"),
    Column("marks", words=True, folds=True),
)
LEGEND = (
    "TTFT, answer (first text), ITL (between tokens) and e2e from the send, medians and their 95 %"
    " intervals; p95* end to end from the intended start."
)


def text(content: Mapping[str, Any], width: int = WIDTH) -> str:
    """The tables as plain text."""
    from rich.console import Console

    buffer = io.StringIO()
    # In a notebook rich would display instead of writing to the file that it is given.
    show(content, Console(file=buffer, width=width, color_system=None, force_jupyter=False))
    return buffer.getvalue().rstrip()


def show(content: Mapping[str, Any], console: Console) -> None:
    """Print the tables, what is invalid or missing, and what was paid."""
    for title, rows in titled(content):
        made = [Row(cells(row), "" if row["valid"] else "dim") for row in rows]
        grid.show(console, HEAD, made, title)
        console.print()
    for line in remarks(content):
        console.print(line, style="dim", highlight=False, markup=False, soft_wrap=True)


def titled(content: Mapping[str, Any]) -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
    """The tables: those of real providers, then of simulated ones, a time scale each."""
    groups: dict[tuple[bool, float], list[Mapping[str, Any]]] = {}
    for row in content["rows"]:
        groups.setdefault((row["simulated"], row["time_scale"]), []).append(row)
    for (simulated, scale), rows in sorted(groups.items(), key=lambda group: group[0]):
        title = str(content["name"])
        if simulated:
            title += f" · SIMULATED, time scale {scale:g}"
            if scale != 1:
                title += f" (what was measured is divided by {scale:g})"
        yield title, rows


def cells(row: Mapping[str, Any]) -> list[str]:
    """A row's cells, in the order of `HEAD`."""
    attained = row["attained"]
    return [
        row["provider"],
        row["workload"],
        parts(row["load"]),
        str(row["n"]),
        spread(row["ttft_ms"]["p50"]),
        plain(row["ttft_ms"]["p95"]["value"]),
        plain(row["answer_ms"]["p50"]["value"]),
        plain(row["itl_ms"]["p50"]["value"]),
        spread(row["e2e_ms"]["p50"]),
        plain(row["e2e_from_schedule_ms"]["p95"]["value"]),
        plain(row["tokens_per_s"]["p50"]["value"]),
        "" if attained is None else f"{attained['value']:.0%} (≥{attained['low']:.0%})",
        money(row["usd_per_1k"]),
        money(row["usd_per_1k_good"]),
        marks(row),
    ]


def remarks(content: Mapping[str, Any]) -> Iterator[str]:
    """What they say and how to read them; what is invalid, missing or left out; what was paid."""
    yield from verdict(content)
    yield LEGEND
    for row in content["rows"]:
        name = f"{row['provider']} {row['workload']}, {parts(row['load'])}"
        if row["why"]:
            word = "INVALID: " if row["load"]["value"] is not None else ""
            yield f"{name}: {word}{row['why']}"
        elif row["ended"]:
            yield f"{name}: {row['ended']}"
    for one in content["missing"]:
        name = f"{one['provider']} {one['workload']}, {parts(one['load'])}"
        yield f"{name}: {one['rounds']} rounds measured. {one['why']}"
    for note in content["notes"]:
        yield f"note: {note}"
    if any(row["n"] < 200 for row in content["rows"]):
        yield "note: no p99 under 200 requests; raise `requests`."
    errors = [
        (row["client"]["instrument_first_ms"], row["client"]["instrument_later_ms"])
        for row in content["rows"]
        if row["client"].get("instrument_first_ms") is not None
    ]
    if errors:
        first, later = errors[0]
        yield (
            f"the client's own error, median: {first:.2f} ms of a first token, {later:.2f} ms of a"
            " later one (real ms)."
        )
    whole = not (content["stopped"] or content["missing"])
    if whole and any(row["why"] for row in content["rows"]):
        yield "note: the same call shows this again; --again measures anew."
    if content["stopped"]:
        yield f"Stopped ({content['stopped']}); what was measured is kept, the same call goes on."
    usd = content["usd"]
    if usd["real"]:
        yield f"paid: ${usd['real']:.4f}"
    if usd["simulated"]:
        yield f"simulated cost: ${usd['simulated']:.4f} (nobody was paid)"


def flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as flat columns."""
    found: dict[str, Any] = {}

    def put(name: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for key, one in value.items():
                if key == "value":
                    put(name if name != "load" else "load.value", one)
                elif key != "why":
                    put(f"{name}.{key}", one)
        elif not isinstance(value, list | tuple):
            found[name] = value

    for name, value in row.items():
        put(name, value)
    return found


def request_rows(records: Path) -> list[dict[str, Any]]:
    """A row for each request of a benchmark: durations and loads in the provider's time, `at_s`
    in real seconds since the first.

    Args:
        records: as `mox.bench.providers.kept` keeps them.
    """
    from datetime import datetime

    from mox.bench.providers.client.records import read
    from mox.bench.providers.moments import answered, moments

    found = []
    for one in read(records):
        scale = one.header["time_scale"]
        # By the date, since moments of after a restart begin elsewhere.
        began_s = datetime.fromisoformat(one.header["at"]).timestamp()
        first_ns = min((record.scheduled_ns for record in one.records), default=0)
        began_ns = one.header.get("at_ns", first_ns)  # older files have no such moment
        for record in one.records:
            load = record.load
            value = load.value if load.kind == "closed" else load.value * scale
            row = {
                "provider": record.provider,
                "workload": record.workload,
                "load": f"{load.kind} {value:g}",
                "round": record.round + 1,
                "at_s": began_s + (record.scheduled_ns - began_ns) / 1e9,
                "error": record.error,
            }
            if answered(record):
                seen = moments(record, time_scale=scale)
                row |= {name: getattr(seen, name) for name in LATENCIES}
            found.append(row)
    first_s = min((row["at_s"] for row in found), default=0.0)
    return [{**row, "at_s": row["at_s"] - first_s} for row in found]


def html(content: Mapping[str, Any]) -> str:
    """The tables for a notebook; nothing in it that one drops which isn't trusted."""
    from mox.results.show.markup import RED, Html, bold, div, row, small, table

    drawn: list[Html] = []
    for title, rows in titled(content):
        lines = [row(cells(one), left=3, shade="" if one["valid"] else RED) for one in rows]
        drawn.append(div(bold(title), style="padding:6px 0"))
        drawn.append(table([row([column.name for column in HEAD], left=3, head=True), *lines]))
    drawn += [small(line) for line in remarks(content)]
    return str(div(*drawn))


def spread(found: Mapping[str, Any]) -> str:
    """A figure with its interval: `412 [398, 430]`."""
    if found["value"] is None:
        return "–"
    ends = ("–" if found[end] is None else plain(found[end]) for end in ("low", "high"))
    return f"{plain(found['value'])} [{', '.join(ends)}]"


def plain(value: float | None) -> str:
    """Three digits, no more than a benchmark can tell."""
    if value is None:
        return "–"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def money(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}" if value < 100 else f"{value:.0f}"


def marks(row: Mapping[str, Any]) -> str:
    """`INVALID`, and the errors that there were: `3 rate_limit, 1 server`."""
    found = [f"{count} {name}" for name, count in row["errors"].items() if count]
    return ", ".join([*([] if row["valid"] else ["INVALID"]), *found])
