"""A growth as a report: the verdict first, then what each size needs, tables, and what is missing.

It is content, as a sweep's report is, so that MLflow's description and the page are of one piece.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from mox.results.growth import words
from mox.results.report.content import Block, Lines, Picture, Report, Section, Table
from mox.results.show.growth import growth
from mox.spec import canonical

Point = Mapping[str, Any]

DRAWN: Mapping[str, str] = {
    "p95_ms": "p95 latency",
    "recall": "recall",
    "qps": "throughput",
    "memory_mb": "memory",
    "index_mb": "index size",
    "build_s": "build time",
}
"""What has a figure, where it was measured → how it is called."""
TIMED = ("p95_ms", "qps")
"""What isn't to be used of a measurement whose clients took too much of the machine."""


def report(content: Mapping[str, Any]) -> Report:
    """The report of a growth's document."""
    return Report(
        title=f"{content['experiment']}: growth",
        unfinished=_missing(content),
        verdict=tuple(filter(None, (_sentence(words.suffices(content)), words.taken(content)))),
        tone="chosen" if content["crossing"] else "plain",
        facts=_facts(content),
        sections=tuple(section for section in _sections(content) if section.blocks),
    )


def drawn(content: Mapping[str, Any]) -> list[str]:
    """What of `DRAWN` was measured."""
    return [what for what in DRAWN if any(one.get(what) is not None for one in content["points"])]


def _sentence(text: str) -> str:
    """Its first letter is kept: pgvector is written so."""
    return text if text.endswith(".") else f"{text}."


def _missing(content: Mapping[str, Any]) -> str:
    left, measured = len(content["left_out"]), len(content["points"])
    if not left:
        return ""
    return (
        f"NOT WHOLE: {left} of {left + measured} measurements are missing (see Left out); all that"
        " follows stands on the others."
    )


def _facts(content: Mapping[str, Any]) -> str:
    host = ", ".join(f"{name} {value}" for name, value in content["host"].items())
    return (
        f"{words.about(content)} · {content['embed'].get('kind', '?')}, {content['dims']}"
        f" dimensions · k = {content['k']} · {host} · grown {content['at']} · growth"
        f" {content['growth']}"
    )


def _sections(content: Mapping[str, Any]) -> Iterator[Section]:
    spread, plain = _spread, _plain
    yield Section("What each size needs", _lines(_decisions(content)), weight=0)
    yield _measured(content, "p95_ms", "Latency: p95, ms", spread("p95_ms"), weight=1)
    yield _measured(content, "recall", "Recall", plain("recall", "{:.3f}"), weight=2)
    yield Section("Left out", _points(list(words.left_out(content))), weight=3)
    yield Section("How like the real vectors the mixtures are", _points(list(words.mixed(content))),
                  weight=4)  # fmt: skip
    yield Section("Memory", tuple(_memory(content)), weight=4)
    yield _measured(content, "qps", "Throughput: searches a second", spread("qps"), weight=6)
    yield Section("Do both stores answer alike?", _points(list(words.alike(content))), weight=7)
    yield _measured(content, "index_mb", "Index size, MB", plain("index_mb"), weight=8)
    yield _measured(content, "build_s", "Build time, s", plain("build_s", "{:.1f}"), weight=8)
    yield Section("Notes", _points(words.notes(content)), weight=5)


def _lines(table: Table | None) -> tuple[Block, ...]:
    return (table,) if table is not None else ()


def _points(said: Sequence[str]) -> tuple[Block, ...]:
    return (Lines(tuple(said)),) if said else ()


def _decisions(content: Mapping[str, Any]) -> Table | None:
    rows = []
    for one in content["decisions"]:
        mark = f" ({words.ESTIMATE})" if one["estimate"] else ""
        found = words.way(one) if one["store"] else ""
        rows.append((f"{one['rows']:,}{mark}", found, one["store"] or "nothing", one["why"]))
    if not rows:
        return None
    head = ("vectors", "configuration", "taken", "why")
    return Table(f"For {words.asked(content['bound'])}", head, tuple(rows), words=len(head))


def _measured(
    content: Mapping[str, Any], what: str, title: str, cell: Callable[[Point], str], *, weight: int
) -> Section:
    """A row for each configuration, a column for each size; and the figure."""
    if what not in drawn(content):
        return Section(title, ())
    return Section(title, (_table(content, title, cell), _picture(content, what)), weight)


def _table(content: Mapping[str, Any], title: str, cell: Callable[[Point], str]) -> Table:
    sizes = sorted({one["n"] for one in content["points"]})
    ways: dict[str, dict[int, Point]] = {}
    for one in content["points"]:
        ways.setdefault(words.way(one), {})[one["n"]] = one
    asked = content["bound"]["clients"]
    rows = []
    # The load that the bound is of comes first: a description shows the first few rows only.
    for by_size in sorted(ways.values(), key=lambda found: _any(found)["clients"] != asked):
        one = _any(by_size)
        lite = " (Milvus Lite)" if words.is_lite(one["engine"]) else ""
        name = words.named(one["index"], one["search"]) + lite
        cells = [cell(by_size[n]) if n in by_size else "–" for n in sizes]
        rows.append((name, str(one["clients"]), *cells))
    head = ("configuration", "clients", *(f"{n:,}" for n in sizes))
    return Table(f"{title}, by number of vectors", head, tuple(rows), note=_mixed(content))


def _any(by_size: Mapping[int, Point]) -> Point:
    return next(iter(by_size.values()))


def _mixed(content: Mapping[str, Any]) -> str:
    mixed = {one["n"]: one["mixed"] for one in content["points"] if one["mixed"]}
    said = ", ".join(f"{count:,} of {n:,}" for n, count in sorted(mixed.items()))
    return f"Mixed from real vectors: {said}." if said else ""


def _spread(what: str) -> Callable[[Point], str]:
    def cell(one: Point) -> str:
        if one["invalid"] and what in TIMED:
            return "INVALID"
        found = one.get(what)
        if not found:
            return "–"
        middle, low, high = (
            f"{found[end]:.0f}" if found[end] >= 100 else f"{found[end]:.3g}"
            for end in ("median", "low", "high")
        )
        return f"{middle} [{low}, {high}]"

    return cell


def _plain(what: str, form: str = "") -> Callable[[Point], str]:
    def cell(one: Point) -> str:
        value = one.get(what)
        return form.format(value) if form and value is not None else words.megabytes(value)

    return cell


def _memory(content: Mapping[str, Any]) -> Iterator[Block]:
    """What the engine took, beside what the formula says, also of sizes that weren't run."""
    points, estimates = content["points"], content.get("estimates", ())
    asked = content["bound"]["clients"]
    points = sorted(points, key=lambda one: one["clients"] != asked)
    indexes = {canonical(one["index"]): one["index"] for one in (*content["points"], *estimates)}
    sizes = sorted({one["n"] for one in (*points, *estimates)})
    rows: list[tuple[str, ...]] = []
    for key, index in indexes.items():
        mine = [one for one in (*points, *estimates) if canonical(one["index"]) == key]
        for what, said in (("memory_mb", "measured"), ("formula_mb", "by formula")):
            cells = [_megabytes(mine, what, n) for n in sizes]
            if set(cells) != {"–"}:
                rows.append((words.named(index, {}), said, *cells))
    if rows:
        head = ("index", "", *(f"{n:,}" for n in sizes))
        note = f"{words.ESTIMATE}: not built at that size."
        yield Table("Memory, MB, by number of vectors", head, tuple(rows), words=2, note=note)
    if "memory_mb" in drawn(content):
        yield _picture(content, "memory_mb")


def _megabytes(mine: Sequence[Mapping[str, Any]], what: str, n: int) -> str:
    found = next((one for one in mine if one["n"] == n and one.get(what) is not None), None)
    if found is None:
        return "–"
    return words.megabytes(found[what]) + (f" {words.ESTIMATE}" if found.get("estimate") else "")


def _picture(content: Mapping[str, Any], what: str) -> Picture:
    figure = growth(content, what)
    return Picture(figure, f"{DRAWN[what]} by number of vectors".capitalize(), f"{what}.html")
