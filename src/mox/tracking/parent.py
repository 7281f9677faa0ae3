"""The parent run: the sweep as a whole, with all that a lead needs to judge it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mox.pipeline.stages import Ref
from mox.pipeline.store import DamagedError
from mox.results.document import document
from mox.results.report.about import yaml_text
from mox.results.report.content import Picture
from mox.secrets import scrubbed
from mox.spec import canonical
from mox.tracking import tables
from mox.tracking.keys import (
    DATASET_DIGEST,
    DATASET_NAME,
    OVERFLOW,
    PARAM,
    TAG,
    fitted,
    legal_key,
    shortened,
    text_of,
)
from mox.tracking.links import PAGE
from mox.tracking.report import FIGURE, NOTE, REPORT, markdown
from mox.tracking.trials import numbers
from mox.tracking.writing import figure_page

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

    from mox.results import Results
    from mox.results.report.content import Report
    from mox.tracking.links import Place

LEADERBOARD = "leaderboard.json"


def params(results: Results) -> dict[str, str]:
    """What was swept and by which rule, flat. All of it follows from the run's id, so that a
    resumed run never has to change a param, which MLflow refuses."""
    run = results.run
    found = {
        "corpus.name": run.corpus["name"],
        "corpus.fingerprint": run.corpus["fingerprint"],
        "questions.fingerprint": run.corpus["questions_fingerprint"],
        "measure": ", ".join(run.measures),
        "baseline": run.baseline,
        "seed": str(run.seed),
        "trials": str(len(run.trials)),
    }
    if run.choose:
        prefer = run.choose.get("prefer") or {}
        way = "maximise" if run.choose.get("maximise") else "minimise"
        found[f"choose.{way}"] = run.goal
        found["choose.within"] = text_of(run.choose["within"])
        if run.choose.get("subject_to"):
            found["choose.subject_to"] = ", ".join(run.choose["subject_to"])
        found |= {f"choose.prefer.{way}": name for way, name in prefer.items() if name}
    return {**found, **_axes(results)}


def _axes(results: Results) -> dict[str, str]:
    """`axes.index.m` → `8, 16`: what the trials differ in, and every kind."""
    seen: dict[str, dict[str, Any]] = {}
    for trial in results.run.trials:
        for name, value in results.params(trial).items():
            if name in results.run.varying or name.endswith(".kind"):
                seen.setdefault(name, {})[text_of(value)] = value
    return {
        legal_key(f"axes.{name}"): ", ".join(
            dict.fromkeys(text_of(scrubbed(value)) for value in values.values())
        )
        for name, values in seen.items()
    }


def metrics(results: Results) -> dict[str, float]:
    """The chosen trial's numbers, and how the sweep went."""
    run = results.run
    failed = sum(trial.status == "FAILED" for trial in run.trials)
    found = {
        "trials_finished": float(len(results.finished)),
        "trials_failed": float(failed),
        "seconds": run.seconds,
    }
    return {**found, **(numbers(results, results.chosen) if results.chosen else {})}


def tags(results: Results) -> dict[str, str]:
    """What a sweep is found by, and how it ended."""
    run, choice = results.run, results.choice
    found = {
        "mox.stopped": run.stopped or "",
        **({"mox.simulated": "true"} if results.simulated else {}),
        "mox.chosen": choice.trial or "" if choice else "",
        "mox.chosen_label": results.label(results.chosen) if results.chosen else "",
        "mox.frontier_by": ", ".join(results.frontier().by) if results.finished else "",
        "mox.frontier": ", ".join(results.frontier().trials) if results.finished else "",
        "mox.refused": choice.refused or "" if choice else "",
        "mlflow.source.name": run.file or "mox.run",
        tables.LOGGED: tables.logged(LEADERBOARD),
    }
    return scrubbed(found)  # type: ignore[no-any-return]


def dataset(results: Results) -> DatasetInput:
    """The corpus as what the sweep was evaluated on."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    corpus = results.run.corpus
    counts = {name: corpus[name] for name in ("documents", "questions", "unanswerable")}
    profile = {**counts, "left_out": len(corpus["left_out"]), "about": corpus["about"]}
    return DatasetInput(
        dataset=Dataset(
            name=shortened(corpus["name"], DATASET_NAME),
            digest=corpus["fingerprint"][:DATASET_DIGEST],
            source_type="local",
            source=canonical({"uri": canonical(scrubbed(results.run.settings["corpus"]))}),
            profile=canonical(scrubbed(profile)),
        ),
        tags=[InputTag(key="mlflow.data.context", value="evaluation")],
    )


def files(results: Results, report: Report, place: Place) -> dict[str, str | bytes]:
    """The parent's artifacts by path."""
    rows = tables.leaderboard(results)
    found: dict[str, str | bytes] = {
        # As bytes, since they are scrubbed already, text by text: a page's markup is left alone.
        PAGE: report.html().encode(),
        REPORT: markdown(report, place, drawn=is_drawn(results)).encode(),
        "leaderboard.csv": tables.as_csv(rows),
        LEADERBOARD: tables.as_table(tables.readable(results)),
        "results.json": _json(document(results)),
        "plan.json": _json(plan(results)),
        "environment.json": _json(dict(results.run.environment)),
        "experiment.yaml": yaml_text(scrubbed(results.run.settings)),
    }
    if is_drawn(results):
        found[FIGURE] = figure_page(results.pareto())
    for one in (block for section in report.sections for block in section.blocks):
        if isinstance(one, Picture) and one.file:
            found[one.file] = figure_page(one.figure)
    _, long = fitted(params(results), PARAM)
    _, long_tags = fitted(tags(results), TAG)
    if long or long_tags:
        found[OVERFLOW] = _json({**long, **long_tags})
    return found


def is_drawn(results: Results) -> bool:
    """Whether there is a figure of quality against size: some finished trial's size is known."""
    return any(costs["index_mb"] is not None for costs in results.costs.values())


def note(results: Results, report: Report, place: Place) -> str:
    """The run's description: the report, as much of it as MLflow shows."""
    return markdown(report, place, drawn=is_drawn(results), most=NOTE)


def plan(results: Results) -> dict[str, Any]:
    """The graph that was run: each stage with its settings and inputs, each trial's stages."""
    run = results.run
    stages: dict[str, dict[str, Any]] = {}
    wanted = [ref for trial in run.trials for ref in trial.roles.values()]
    while wanted:
        ref = wanted.pop()
        if ref.key in stages:
            continue
        stages[ref.key] = said = _stage(results, ref)
        wanted += [Ref(*part) for part in said.get("inputs", {}).values()]
    return {
        "run_id": run.id,
        "stages": [stages[key] for key in sorted(stages, key=lambda k: (stages[k]["stage"], k))],
        "trials": {trial.id: {role: ref.key for role, ref in trial.roles.items()}
                   for trial in run.trials},
        "counts": dict(run.stages),
        "notes": list(run.notes),
    }  # fmt: skip


def _stage(results: Results, ref: Ref) -> dict[str, Any]:
    said: Mapping[str, Any] = {}
    if results.store.has(*ref):
        try:
            said = results.store.sidecar(*ref)
        except DamagedError:
            said = {}  # damaged meanwhile: it counts as not stored, and is redone by the next run
    kept = {name: said[name] for name in ("spec", "inputs", "seconds", "bytes") if name in said}
    return {"stage": ref.kind, "key": ref.key, "stored": bool(said), **kept}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1)
