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
    """Under the heaviest load that most providers were measured with."""
    loads: dict[tuple[str, float], list[Row]] = {}
    for row in rows:
        kind, value = row["load"]["kind"], row["load"]["value"]
        if kind in UNITS and row["e2e_from_schedule_ms"]["p50"]["value"] is not None:
            loads.setdefault((kind, value), []).append(row)
    if not loads:
        return
    (kind, value), mates = max(loads.items(), key=lambda item: (len(item[1]), item[0]))
    if len(mates) < 2:
        return  # fastest of one
    mates.sort(key=lambda row: float(row["e2e_from_schedule_ms"]["p50"]["value"]))
    first = mates[0]
    ties = [row["provider"] for row in mates[1:] if _tie(first, row)]
    load = f"{value:g} {UNITS[kind][value != 1]}"
    if ties:
        yield f"with {load}, {', '.join([first['provider'], *ties])} are equally fast (a tie)"
    else:
        yield (
            f"with {load}, {first['provider']} is fastest, {_ms(first)} end to end, before"
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
    """By the dearest of each provider's loads: what it costs at worst."""
    worst: dict[str, float] = {}
    for row in rows:
        usd = row["usd_per_1k_good"]
        if usd is not None:
            worst[row["provider"]] = max(usd, worst.get(row["provider"], 0.0))
    ranked = sorted(worst.items(), key=lambda item: item[1])
    if len(ranked) > 1 and ranked[0][1] < ranked[1][1]:
        (first, usd), (second, more) = ranked[:2]
        yield (
            f"1,000 good answers cost least from {first}, ${usd:.3g}, before {second}, ${more:.3g}"
        )


def _keeps(rows: Sequence[Row]) -> Iterator[str]:
    """The highest loads that keep the bounds."""
    found = [row for row in rows if row["load"]["kind"] == "slo"]
    if found:
        loads = (f"{row['provider']} {_most(row)}" for row in found)
        unit = UNITS[found[0]["load"]["arrival"]][1]
        yield f"the bounds are kept up to {', '.join(loads)} {unit}"


def _most(row: Row) -> str:
    """The highest load that kept the bounds; `at least`, where no higher one was tried."""
    value = row["load"]["value"]
    untried = all(probe["value"] <= value for probe in row["probes"])
    return f"at least {value:g}" if untried else f"{value:g}"
