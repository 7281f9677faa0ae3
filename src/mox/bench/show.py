"""A growth for whoever reads it in a terminal."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from mox.bench.points import Way, is_lite

PAIRS = 6
"""Pairs of stores that are compared in words, those most alike first."""
LEFT = 12
"""Lines of what was left out, before the rest is only counted."""


def text(content: Mapping[str, Any]) -> str:
    """The points by configuration and size, where pgvector stops, what was left out."""
    return "\n".join(
        [
            *_head(content),
            *_table(content),
            *_crossing(content),
            *_decisions(content),
            *_alike(content),
            *_left(content),
            *(f"note: {note}" for note in content["notes"]),
        ]
    )


def _head(content: Mapping[str, Any]) -> Iterator[str]:
    real = ", ".join(f"{name} {rows:,}" for name, rows in content["real"].items())
    yield f"{content['experiment']}: real vectors of {real}; {content['questions']:,} questions"
    mixed = content["mixtures"]
    if mixed is None:
        yield "all sizes are real vectors"
        return
    rehearsed = mixed["rehearsal"]
    yield (
        f"beyond them mixtures; local intrinsic dimension (k = {mixed['k']}, quartiles), rehearsed"
        f" from {rehearsed['base']:,} to {rehearsed['rows']:,}: real"
        f" {_quartiles(rehearsed['real'])}, mixed {_quartiles(rehearsed['mixed'])}"
    )
    for size in mixed["sizes"]:
        mark = "" if size["matched"] else f": NOT within {100 * mixed['tolerance']:.0f} %"
        yield (
            f"  at {size['n']:,}: real {_quartiles(size['real'])}, mixed"
            f" {_quartiles(size['mixed'])}, off by {100 * size['deviation']:.0f} %{mark}"
        )


def _quartiles(values: Any) -> str:
    return "/".join(f"{value:.1f}" for value in values)


def _table(content: Mapping[str, Any]) -> Iterator[str]:
    by_way: dict[str, list[Mapping[str, Any]]] = {}
    for point in content["points"]:
        lite = " (Milvus Lite)" if is_lite(point["engine"]) else ""
        by_way.setdefault(_way(point).name + lite, []).append(point)
    for name, points in by_way.items():
        yield name
        yield (
            f"  {'vectors':>10} {'p95 ms':>22} {'q/s':>8} {'recall':>7} {'build s':>8}"
            f" {'memory MB':>10} {'index MB':>9}"
        )
        for point in points:
            p95, qps = point.get("p95_ms"), point.get("qps")
            spread = (
                "–" if not p95 else (f"{p95['median']:.3g} [{p95['low']:.3g}, {p95['high']:.3g}]")
            )
            memory = point.get("memory_mb")
            yield (
                f"  {point['n']:>10,} {spread:>22} {qps['median'] if qps else 0:>8.0f}"
                f" {point['recall']:>7.3f} {point['build_s']:>8.1f}"
                f" {'–' if memory is None else f'{memory:.0f}':>10} {point['index_mb']:>9.1f}"
                f"{'  INVALID: ' + point['invalid'] if point['invalid'] else ''}"
            )


def _way(plain: Mapping[str, Any]) -> Way:
    return Way(plain["index"], plain["search"], plain["clients"])


def _crossing(content: Mapping[str, Any]) -> Iterator[str]:
    bound, stops = content["bound"], content["crossing"]
    limit = f"p95 ≤ {bound['p95_ms']:g} ms, " if bound["p95_ms"] else ""
    asked = f"{limit}recall ≥ {bound['recall']:g}, {bound['clients']} clients"
    if stops is None:
        yield f"where pgvector stops ({asked}): it has no curve, which takes three sizes"
        return
    low, high = _size(stops["low"]), _size(stops["high"])
    mark = "; an ESTIMATE, since no such size was measured" if stops["estimate"] else ""
    what = "its latency" if stops["because"] == "p95_ms" else "its recall"
    yield (
        f"pgvector suffices ({asked}) up to {_size(stops['n'])} vectors [{low} to {high}], where"
        f" {what} breaks the bound ({_way(stops).name}){mark}"
    )


def _size(n: float | None) -> str:
    """Three digits of it: more are not known."""
    return "no end" if n is None else f"{round(n, 3 - len(str(int(n)))):,.0f}"


def _decisions(content: Mapping[str, Any]) -> Iterator[str]:
    """One line for sizes in a row of which the same is said."""
    for said, some in itertools.groupby(
        content["decisions"], lambda one: (one["store"] or "nothing", one["why"], one["estimate"])
    ):
        store, why, estimate = said
        rows = ", ".join(f"{one['rows']:,}" for one in some)
        yield f"at {rows}{' (an ESTIMATE)' if estimate else ''}: {store}. {why}"


def _alike(content: Mapping[str, Any]) -> Iterator[str]:
    pairs = content["alike"]
    for one in sorted(pairs, key=lambda one: -one["overlap"])[:PAIRS]:
        first, second = (_bare(way) for way in one["pair"])
        gap = one["difference"]
        yield (
            f"{first} and {second} at {one['n']:,}: {_verdict(one)}; recall {one['recall'][0]:.3f}"
            f" and {one['recall'][1]:.3f}, difference {gap['mean']:+.4f} [{gap['low']:+.4f},"
            f" {gap['high']:+.4f}], {100 * one['same']:.0f} % of {one['questions']:,} questions id"
            " for id"
        )
    if len(pairs) > PAIRS:
        yield f"  … and {len(pairs) - PAIRS} more pairs, see --json"


def _verdict(one: Mapping[str, Any]) -> str:
    if one["equivalent"]:
        return f"alike within ±{one['margin']:g}"
    if one["same"] == 1.0:
        return f"the same answers; too few questions to show ±{one['margin']:g} for others"
    return f"not shown to be alike within ±{one['margin']:g}"


def _bare(plain: Mapping[str, Any]) -> str:
    return _way(plain).name.rpartition(",")[0]


def _left(content: Mapping[str, Any]) -> Iterator[str]:
    left = content["left_out"]
    if left:
        yield f"{len(left)} left out, the cheapest first:"
    for one in left[:LEFT]:
        yield f"  {one['n']:,} {_way(one).name}, about {one['expected_s']:.0f} s: {one['why']}"
    if len(left) > LEFT:
        yield f"  … and {len(left) - LEFT} more"
