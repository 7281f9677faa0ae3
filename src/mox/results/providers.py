"""What a benchmark of providers says in a few sentences: who is fastest, who is cheapest.

Compared is only what is VALID and under the same load, simulated and real providers apart. Medians
whose intervals overlap are a tie, and called one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
UNITS = {
    "closed": ("caller", "callers"),
    "constant": ("request/s, even", "requests/s, even"),
    "poisson": ("request/s, Poisson", "requests/s, Poisson"),
}


def verdict(document: Mapping[str, Any]) -> list[str]:
    """A sentence or two for each workload, real providers first.

    Args:
        document: of `mox bench providers --json`.

    Returns:
        Nothing where no row is valid.
    """
    found = []
    rows = [row for row in document["rows"] if row["valid"] and row["load"]["value"] is not None]
    for simulated in (False, True):
        for workload in dict.fromkeys(row["workload"] for row in rows):
            some = [r for r in rows if (r["simulated"], r["workload"]) == (simulated, workload)]
            said = [*_fastest(some), *_cheapest(some), *_keeps(some)]
            if said:
                name = f"{workload} (simulated)" if simulated else workload
                found.append(f"{name}: {'; '.join(said)}.")
    return found


def _fastest(rows: Sequence[Row]) -> Iterator[str]:
    """Under the heaviest load of each kind that most providers were measured with."""
    timed = [row for row in rows if row["e2e_from_schedule_ms"]["p50"]["value"] is not None]
    by_load = _by_load(timed)
    for kind in UNITS:
        loads = [(value, mates) for (of, value), mates in by_load.items() if of == kind]
        value, mates = max(loads, key=lambda item: (len(item[1]), item[0]), default=(0.0, []))
        if len(mates) > 1:  # fastest of one says nothing
            yield f"with {_loads([(kind, value)])}, {_before(list(mates))}"


def _by_load(rows: Sequence[Row]) -> dict[tuple[str, float], list[Row]]:
    """Rows by kind and value of their load; what a search found is under another for each."""
    found: dict[tuple[str, float], list[Row]] = {}
    for row in rows:
        kind, value = row["load"]["kind"], row["load"]["value"]
        if kind in UNITS:
            found.setdefault((kind, value), []).append(row)
    return found


def _before(mates: list[Row]) -> str:
    """Who is fastest of those that had one load."""
    mates.sort(key=lambda row: float(row["e2e_from_schedule_ms"]["p50"]["value"]))
    first = mates[0]
    ties = [row["provider"] for row in mates[1:] if _tie(first, row)]
    if ties:
        return f"{', '.join([first['provider'], *ties])} are equally fast (a tie)"
    return (
        f"{first['provider']} is fastest, {_ms(first)} end to end, before"
        f" {mates[1]['provider']} with {_ms(mates[1])}"
    )


def _tie(one: Row, other: Row) -> bool:
    """Whether the intervals of two medians overlap; an end that isn't known overlaps all."""
    high = one["e2e_from_schedule_ms"]["p50"]["high"]
    low = other["e2e_from_schedule_ms"]["p50"]["low"]
    return high is None or low is None or low <= high


def _ms(row: Row) -> str:
    found = row["e2e_from_schedule_ms"]["p50"]
    return f"{found['value']:,.0f} ms [{found['low']:,.0f}, {found['high']:,.0f}]"


def _cheapest(rows: Sequence[Row]) -> Iterator[str]:
    """By the dearest of the loads that all of them had: what each costs at worst.

    All of them are those that most providers were measured with; of equally many, those of the
    heaviest load.
    """
    by_load = _by_load([row for row in rows if row["usd_per_1k_good"] is not None])
    kinds = list(UNITS)  # which kind of load is heavier nobody can tell: the first goes before

    def place(load: tuple[str, float]) -> tuple[int, int, float]:
        return len(by_load[load]), -kinds.index(load[0]), load[1]

    most = by_load[max(by_load, key=place)] if by_load else []
    worst = {row["provider"]: 0.0 for row in most}
    loads = [
        load for load, mates in by_load.items() if {row["provider"] for row in mates} == set(worst)
    ]
    for load in loads:
        for row in by_load[load]:
            worst[row["provider"]] = max(row["usd_per_1k_good"], worst[row["provider"]])
    ranked = sorted(worst.items(), key=lambda item: item[1])
    if len(ranked) > 1 and ranked[0][1] < ranked[1][1]:
        (first, usd), (second, more) = ranked[:2]
        absent = dict.fromkeys(row["provider"] for row in rows if row["provider"] not in worst)
        without = f"; without {', '.join(absent)}" if absent else ""
        yield (
            f"1,000 good answers cost least from {first}, ${usd:.3g}, before {second}, ${more:.3g}"
            f" (with {_loads(loads)}{without})"
        )


def _loads(loads: Sequence[tuple[str, float]]) -> str:
    """Loads in words, by kind: `1, 8 callers`."""
    said = []
    for kind, units in UNITS.items():
        if values := sorted(value for of, value in loads if of == kind):
            listed = ", ".join(f"{value:g}" for value in values)
            said.append(f"{listed} {units[values != [1]]}")
    return " and ".join(said)


def _keeps(rows: Sequence[Row]) -> Iterator[str]:
    """The highest loads that keep the bounds, of each kind of arrival."""
    found = [row for row in rows if row["load"]["kind"] == "slo"]
    for arrival, (_, unit) in UNITS.items():
        loads = [f"{row['provider']} {_most(row)}" for row in found
                 if row["load"]["arrival"] == arrival]  # fmt: skip
        if loads:
            yield f"the bounds are kept up to {', '.join(loads)} {unit}"


def _most(row: Row) -> str:
    """The highest load that kept the bounds; `at least`, where no higher one was tried."""
    value = row["load"]["value"]
    untried = all(probe["value"] <= value for probe in row["probes"])
    return f"at least {value:g}" if untried else f"{value:g}"
