"""A growth for whoever reads it in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mox.results.growth import words

PAIRS = 6
"""Pairs of stores that are compared in words, those most alike first."""
LEFT = 12
"""Lines of what was left out, before the rest is only counted."""


def text(content: Mapping[str, Any]) -> str:
    """The points by configuration and size, where pgvector stops, what was left out."""
    return "\n".join(
        [
            f"{content['experiment']}: {words.about(content)}",
            *_mixed(content),
            *_table(content),
            words.suffices(content),
            *words.decided(content),
            *_estimated(content),
            *_alike(content),
            *_left(content),
            *(f"note: {note}" for note in words.notes(content)),
        ]
    )


def _mixed(content: Mapping[str, Any]) -> Iterator[str]:
    first, *sizes = words.mixed(content)
    yield first
    yield from (f"  {line}" for line in sizes)


def _table(content: Mapping[str, Any]) -> Iterator[str]:
    by_way: dict[str, list[Mapping[str, Any]]] = {}
    for point in content["points"]:
        lite = " (Milvus Lite)" if words.is_lite(point["engine"]) else ""
        by_way.setdefault(words.way(point) + lite, []).append(point)
    for name, points in by_way.items():
        yield name
        yield (
            f"  {'vectors':>10} {'p95 ms':>22} {'q/s':>8} {'recall':>7} {'build s':>8}"
            f" {'memory MB':>10} {'formula MB':>11} {'index MB':>9}"
        )
        for point in points:
            p95, qps = point.get("p95_ms"), point.get("qps")
            spread = (
                "–" if not p95 else (f"{p95['median']:.3g} [{p95['low']:.3g}, {p95['high']:.3g}]")
            )
            yield (
                f"  {point['n']:>10,} {spread:>22} {_whole(qps):>8}"
                f" {point['recall']:>7.3f} {point['build_s']:>8.1f}"
                f" {words.megabytes(point.get('memory_mb')):>10}"
                f" {words.megabytes(point.get('formula_mb')):>11} {point['index_mb']:>9.1f}"
                f"{'  INVALID: ' + point['invalid'] if point['invalid'] else ''}"
            )


def _whole(spread: Mapping[str, float] | None) -> str:
    return f"{spread['median']:.0f}" if spread else "–"


def _estimated(content: Mapping[str, Any]) -> Iterator[str]:
    found = list(words.estimated(content))
    if found:
        yield "memory at sizes that were not run:"
    yield from (f"  {line}" for line in found)


def _alike(content: Mapping[str, Any]) -> Iterator[str]:
    yield from _some(list(words.alike(content)), PAIRS, "pairs, see --json")


def _left(content: Mapping[str, Any]) -> Iterator[str]:
    found = list(words.left_out(content))
    if found:
        yield f"{len(found)} left out, the cheapest first:"
    yield from _some([f"  {line}" for line in found], LEFT, "")


def _some(lines: Sequence[str], most: int, what: str) -> Iterator[str]:
    yield from lines[:most]
    if len(lines) > most:
        yield f"  … and {len(lines) - most} more {what}".rstrip()
