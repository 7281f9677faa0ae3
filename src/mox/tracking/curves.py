"""What of a growth MLflow is told: parameters, metrics by size, tags, figures, the description."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mox.results.growth import words
from mox.results.growth.report import DRAWN, TIMED
from mox.results.report.content import Picture
from mox.spec import digest
from mox.tracking.keys import (
    OVERFLOW,
    PARAM,
    TAG,
    fitted,
    legal_key,
    shortened,
    text_of,
)
from mox.tracking.report import NOTE, described
from mox.tracking.writing import figure_page

if TYPE_CHECKING:
    from mox.results.report.content import Report
    from mox.tracking.links import Place

PAGE = "growth.html"
TEXT = "growth.md"
DOCUMENT = "growth.json"
WHAT = ("p95_ms", "p50_ms", "qps", "recall", "build_s", "memory_mb", "formula_mb", "index_mb")
"""What is a metric, in the order of the pages."""
STOPS = "pgvector_suffices_until"
"""The metric of a crossing; its interval's ends are called so with `_low` and `_high`."""


def params(content: Mapping[str, Any]) -> dict[str, str]:
    """What was grown, and for which bound. All of it follows from the identity, so that a growth
    that goes on never has to change a param, which MLflow refuses."""
    bound = {name: text_of(value) for name, value in content["bound"].items()}
    parts = {"bound": bound, "embed": content["embed"], "corpora": content["real"],
             "host": content["host"]}  # fmt: skip
    found = {
        legal_key(f"{part}.{name}"): text_of(value)
        for part, values in parts.items()
        for name, value in values.items()
    }
    found |= {name: text_of(content[name]) for name in ("dims", "k", "questions")}
    return {**found, "sizes": ", ".join(map(str, content["sizes"]))}


def series(content: Mapping[str, Any]) -> dict[str, dict[int, float]]:
    """Metric → number of vectors → value, a metric for each configuration and what of it.

    A median where rounds were repeated. Latency and throughput of an INVALID measurement are no
    numbers to be compared, and left out.
    """
    names = _names(content)
    found: dict[str, dict[int, float]] = {}
    for one in content["points"]:
        for what in WHAT:
            value = one.get(what)
            timed = what in (*TIMED, "p50_ms")
            if value is None or (timed and one["invalid"]):
                continue
            number = value["median"] if isinstance(value, Mapping) else value
            key = legal_key(f"{what}/{names[_key(one)]}")
            found.setdefault(key, {})[one["n"]] = float(number)
    return found


def _key(one: Mapping[str, Any]) -> str:
    return digest([one["index"], one["search"], one["clients"]])


def _names(content: Mapping[str, Any]) -> dict[str, str]:
    """Each configuration's name in MLflow's alphabet; what reads the same there gets a hash."""
    found: dict[str, str] = {}
    for one in content["points"]:
        lite = " Milvus Lite" if words.is_lite(one["engine"]) else ""
        said = words.way(one).replace("=", "-").replace(",", "") + lite
        found[_key(one)] = legal_key(said.replace("/", "_"))
    plain = list(found.values())
    return {
        key: name if plain.count(name) == 1 else f"{name} {key[:8]}" for key, name in found.items()
    }


def metrics(content: Mapping[str, Any]) -> dict[str, float]:
    """Where pgvector stops, as far as it is a number, and how whole the growth is."""
    found = {
        "measurements": float(len(content["points"])),
        "left_out": float(len(content["left_out"])),
    }
    stops = content["crossing"] or {}
    ends = {"": "n", "_low": "low", "_high": "high"}
    said = {f"{STOPS}{end}": stops.get(name) for end, name in ends.items()}
    return found | {name: float(value) for name, value in said.items() if value is not None}


def tags(content: Mapping[str, Any]) -> dict[str, str]:
    """What a growth is found by, and its verdict."""
    stops = content["crossing"]
    return {
        "mox.growth": content["growth"],
        "mox.verdict": words.suffices(content),
        "mox.estimate": "true" if stops and stops["estimate"] else "",
        "mox.left_out": str(len(content["left_out"]) or ""),
        "mlflow.source.name": "mox bench growth",
    }


def note(report: Report, place: Place) -> str:
    """The description: the verdict first, as much of the rest as MLflow shows."""
    return described(report, _pages(report, place), page=PAGE, most=NOTE)


def files(content: Mapping[str, Any], report: Report, place: Place) -> dict[str, str | bytes]:
    """The artifacts by path."""
    found: dict[str, str | bytes] = {
        # As bytes, since they are scrubbed already, text by text: a page's markup is left alone.
        PAGE: report.html().encode(),
        TEXT: described(report, _pages(report, place), page=PAGE).encode(),
        DOCUMENT: json.dumps(content, ensure_ascii=False, indent=1),
    }
    found |= {one.file: figure_page(one.figure) for one in _pictures(report)}
    long = {**fitted(params(content), PARAM)[1], **fitted(tags(content), TAG)[1]}
    if long:
        found[OVERFLOW] = json.dumps(long, ensure_ascii=False, indent=1)
    return found


def name(content: Mapping[str, Any]) -> str:
    """What its run is called."""
    return shortened(f"growth {content['growth'][:8]} to {max(content['sizes']):,}", 80)


def _pages(report: Report, place: Place) -> list[tuple[str, str]]:
    pictures = [
        (DRAWN[one.file.removesuffix(".html")], place.artifact(one.file))
        for one in _pictures(report)
    ]
    return [("the whole report", place.artifact(PAGE)), *pictures,
            ("all numbers", place.artifact(DOCUMENT))]  # fmt: skip


def _pictures(report: Report) -> list[Picture]:
    blocks = [block for section in report.sections for block in section.blocks]
    return [block for block in blocks if isinstance(block, Picture) and block.file]
