"""A growth's points as flat rows: a frame's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SPREAD = ("p95_ms", "p50_ms", "qps")
SINGLE = ("recall", "build_s", "memory_mb", "formula_mb", "index_mb")


def rows(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row per point: settings as `index.m` and `search.ef`; None for what wasn't measured.

    A median's `_low` and `_high` are the least and the most that its rounds came to.
    """
    every = [_settings(point) for point in content["points"]]
    names = dict.fromkeys(name for settings in every for name in settings)
    return [
        _row(point, {name: settings.get(name) for name in names})
        for point, settings in zip(content["points"], every, strict=True)
    ]


def _settings(point: Mapping[str, Any]) -> dict[str, Any]:
    return {
        f"{part}.{name}": value
        for part in ("index", "search")
        for name, value in point[part].items()
        if name != "kind"
    }


def _row(point: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {"index": point["index"]["kind"], **settings}
    row |= {"clients": point["clients"], "n": point["n"], "mixed": point["mixed"]}
    for what in SPREAD:
        found = point.get(what) or dict.fromkeys(("median", "low", "high"))
        row |= {what: found["median"], f"{what}_low": found["low"], f"{what}_high": found["high"]}
    row |= {what: point.get(what) for what in SINGLE}
    engine = point["engine"]
    return {
        **row,
        "engine": engine.get("engine"),
        "version": engine.get("version"),
        "invalid": point["invalid"],
    }
