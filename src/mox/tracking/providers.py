"""A benchmark of providers mirrored to MLflow: one run, found before it is written, completed
where it was cut off.

It is known by its document alone, the one that `mox bench providers` keeps and prints. Figures by
load are metrics with the load as their step, since that is how MLflow draws a curve; what a search
found is at step 0.
"""

from __future__ import annotations

import calendar
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mox.errors import SpecError
from mox.secrets import scrubbed
from mox.spec import digest
from mox.tracking import links, marker, server
from mox.tracking.keys import PARAM, TAG, fitted, legal_key, shortened, text_of
from mox.tracking.marker import Mirrored
from mox.tracking.report import plain
from mox.tracking.writing import Runs, figure_page, made_with, told

if TYPE_CHECKING:
    from mox.pipeline.store import Store

KIND = "providers"
LAYOUT = 5
"""Raised when the mirror of a benchmark looks different: they are then mirrored anew."""
DOCUMENT, PAGE = "providers.json", "providers.html"
FIGURES = {"latency.html": "latency", "cost.html": "cost"}
LATENCIES = ("ttft_ms", "itl_ms", "e2e_ms", "e2e_from_schedule_ms", "tokens_per_s")
"""Whose p50 and p95 are metrics."""
PLAIN = ("usd_per_1k", "usd_per_1k_good", "quality")
WHAT = (
    *(f"{name}_{q}" for name in LATENCIES for q in ("p50", "p95")),
    *PLAIN,
    "errors",
    "attained",
    "highest",
)
"""What is a metric by load."""
PER_STEP = 100
"""Steps are whole numbers: a rate's is a hundred times it."""


def mirrored(store: Store, content: Mapping[str, Any], uri: str) -> Mirrored | None:
    """Where a benchmark is mirrored, whole and as it is now; None where it isn't.

    Doesn't import MLflow.
    """
    return marker.known(store, _name(content), uri, _said(content))


def finish(
    store: Store,
    content: Mapping[str, Any],
    uri: str,
    *,
    page: str = "",
    folder: Path | None = None,
) -> Mirrored | None:
    """Write what MLflow lacks of a benchmark, and note that it is mirrored.

    Args:
        page: its tables as HTML.
        folder: the working tree whose commit is noted; None where it isn't made from one now.

    Returns:
        Where it stands; None where it was mirrored already, and then nothing is written.

    Raises:
        EngineError: the server is lost. What was written stays; the benchmark is in the store.
        SpecError: the experiment was deleted there.
    """
    if mirrored(store, content, uri) is not None:
        return None
    experiment_id = server.prepare(uri, content["name"], store.root)
    with server.speaking(uri), store.lock(f"mirror-{_name(content)}"):
        common = {"mox.run_id": content["benchmark"], "mox.store": store.id}
        runs = Runs(server.client(uri), uri, experiment_id, common)
        run_id = _write(runs, scrubbed(content), page, folder)
    found = Mirrored(_said(content), experiment_id, run_id, {})
    marker.mark(store, _name(content), uri, found)
    return found


def next_links(store: Store, content: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(what, line) for a terminal: how to see it in MLflow. Doesn't import MLflow."""
    uri = server.tracking_uri(store.root)
    found = mirrored(store, content, uri)
    if found is None:
        return [("to MLflow", "mox sync")]
    place = links.Place(found.experiment_id, found.parent_id, content["benchmark"])
    return links.shown(uri, {"its figures": place.parent, "its tables": place.artifact(PAGE)})


def series(content: Mapping[str, Any]) -> dict[str, dict[int, float]]:
    """Metric → load → value. INVALID rows are no numbers to be compared, and left out.

    A search has one point, at 0: the load that it finds is a number of its own (`highest`), since
    another one may be found later, and MLflow's latest value is that of the highest step. So it is
    `search` too: under `slo`, up to layout 3, its step was the load.
    """
    found: dict[str, dict[int, float]] = {}
    for row in content["rows"]:
        load = row["load"]
        if not row["valid"] or load["value"] is None:
            continue
        kind, step, figures = load["kind"], 0, _figures(row)
        if kind == "slo":
            kind, figures = f"search {load['arrival']}", {**figures, "highest": load["value"]}
        else:
            step = round(load["value"] if kind == "closed" else PER_STEP * load["value"])
        of = f"{row['provider']} {row['workload']} {kind}".replace("/", "_")
        for name, value in figures.items():
            if value is not None:
                found.setdefault(legal_key(f"{name}/{of}"), {})[step] = float(value)
    return found


def _figures(row: Mapping[str, Any]) -> dict[str, float | None]:
    """A row's numbers by the names of metrics."""
    found = {f"{name}_{q}": row[name][q]["value"] for name in LATENCIES for q in ("p50", "p95")}
    found |= {name: row[name] for name in PLAIN}
    found["errors"] = float(sum(row["errors"].values()))
    found["attained"] = None if row["attained"] is None else row["attained"]["value"]
    return found


def params(content: Mapping[str, Any]) -> dict[str, str]:
    """What was asked for. MLflow's are write-once, so only what follows from the benchmark's
    identity: what a stopped one lacks, or another machine may be, is a tag."""
    return {
        legal_key(f"slo.{name}"): text_of(value)
        for name, value in (content["slo"] or {}).items()
        if value is not None
    }


def tags(content: Mapping[str, Any]) -> dict[str, str]:
    """What a benchmark is found by, and what must not be overlooked."""
    rows = content["rows"]
    named = {
        f"mox.{name}s": ", ".join(dict.fromkeys(row[name] for row in rows))
        for name in ("provider", "model", "workload")
    }
    host = {
        legal_key(f"mox.host.{name}"): text_of(value)
        for name, value in content["host"].items()
        if value is not None
    }
    return {
        **named,
        **host,
        "mox.time_scale": text_of(content["time_scale"]),
        "mox.benchmark": content["benchmark"],
        "mox.simulated": "true" if content["simulated"] else "",
        "mox.stopped": content["stopped"] or "",
        "mox.invalid": str(sum(not row["valid"] for row in rows) or ""),
        "mox.prices": content["prices"],
        "mlflow.source.name": "mox bench providers",
    }


def note(content: Mapping[str, Any]) -> str:
    """The description: what is simulated first, then who is fastest and who is cheapest."""
    from mox.results.providers import verdict

    rows = content["rows"]
    said = [*verdict(content), f"{len(rows)} conditions of {content['name']}."]
    lines = [plain(line) for line in said]
    if content["simulated"]:
        lines.insert(0, f"**Simulated** at time scale {content['time_scale']:g}: nobody answered.")
    if invalid := sum(not row["valid"] for row in rows):
        lines.append(
            f"{invalid} of them are INVALID: the client measured itself, or got no answer."
        )
    lines += [plain(f"Missing: {one['provider']} {one['workload']}, {one['why']}")
              for one in content["missing"]]  # fmt: skip
    text = "\n\n".join([*lines, f"Tables: `{PAGE}`; all numbers: `{DOCUMENT}`."])
    return shortened(text, TAG, see=DOCUMENT)


def _write(runs: Runs, content: Mapping[str, Any], page: str, folder: Path | None) -> str:
    """All of it, into the run that there is or a new one.

    Args:
        content: without secrets.
    """
    at = 1000 * calendar.timegm(time.strptime(content["at"], "%Y-%m-%dT%H:%M:%SZ"))
    found = next(iter(runs.search(KIND)), None)
    if found is None:
        name = shortened(f"providers {content['benchmark'][:8]}", 80)
        found = runs.create(name, {"mox.kind": KIND, **made_with(folder)}, at)
    run_id = str(found.info.run_id)
    runs.upload(found, _files(content, page))
    asked, _ = fitted(params(content), PARAM)
    said, _ = fitted(tags(content), TAG)
    said["mlflow.note.content"] = note(content)
    metrics = {"conditions": float(len(content["rows"]))}
    metrics |= {f"usd_{who}": float(usd) for who, usd in content["usd"].items()}
    runs.log(found, params=asked, metrics=metrics, tags=said)
    runs.log_steps(found, series(content), own=told(found.data.metrics, WHAT))
    runs.client.set_terminated(run_id, ended(content), end_time=at + 1000 * int(content["seconds"]))
    return run_id


def ended(content: Mapping[str, Any]) -> Literal["FINISHED", "FAILED", "KILLED"]:
    """The status of its run: KILLED by Ctrl-C, FAILED where nothing was answered; a budget that
    stopped it is a proper end."""
    if content["stopped"] == "interrupted":
        return "KILLED"
    return "FINISHED" if any(row["answers"] for row in content["rows"]) else "FAILED"


def _files(content: Mapping[str, Any], page: str) -> dict[str, str | bytes]:
    """The artifacts by path. A figure that there is nothing for is left out."""
    from mox.results.show import providers as drawn

    found: dict[str, str | bytes] = {
        DOCUMENT: json.dumps(content, ensure_ascii=False, indent=1),
    }
    if page:
        found[PAGE] = page
    for path, what in FIGURES.items():
        try:
            found[path] = figure_page(getattr(drawn, what)(content))
        except SpecError:
            continue
    return found


def _name(content: Mapping[str, Any]) -> str:
    return f"providers-{content['benchmark']}"


def _said(content: Mapping[str, Any]) -> str:
    """Digest of what is mirrored: all but how long it took, which is another each time."""
    kept = {name: value for name, value in content.items() if name != "seconds"}
    return digest({"layout": LAYOUT, "providers": kept})
