"""What a report says last: what was tried, on what, with which versions, and how to do it again."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mox.pipeline.stages import TITLES
from mox.results.report.content import Commands, Folded, Lines, Section, Table

if TYPE_CHECKING:
    from mox.results.results import Results


def about(results: Results) -> Iterator[Section]:
    """The sections that say where the numbers come from."""
    yield Section("What was tried", tuple(_tried(results)), weight=6)
    yield Section("What was asked", (Lines(tuple(_asked(results))),), weight=5)
    yield Section("Do it again", tuple(_again(results)), weight=8)


def _tried(results: Results) -> Iterator[Table]:
    run = results.run
    values: dict[str, dict[str, None]] = {}
    for trial in run.trials:
        for name, value in results.params(trial).items():
            if name in run.varying or name.endswith(".kind"):
                values.setdefault(name, {})[str(value)] = None
    rows = tuple((name, ", ".join(found)) for name, found in values.items())
    yield Table(f"{len(run.trials)} trials over these settings", ("setting", "values"), rows, 2)
    counts = [(TITLES[kind], row) for kind, row in run.stages["by_kind"].items()]
    counts.append(("all stages", run.stages))
    head = ("stage", "in all", "run", "stored before", "failed", "not run")
    names = ("total", "run", "stored", "failed", "left")
    yield Table(
        f"Stages of the plan, in {run.seconds:.0f} s",
        head,
        tuple((title, *(f"{row[name]:,}" for name in names)) for title, row in counts),
    )


def _asked(results: Results) -> Iterator[str]:
    run = results.run
    corpus = run.corpus
    yield (
        f"Corpus {corpus['name']}: {corpus['documents']:,} documents, {corpus['questions']:,}"
        f" questions ({corpus['unanswerable']} unanswerable, {len(corpus['left_out'])} left out);"
        f" fingerprint {corpus['fingerprint'][:12]}, questions"
        f" {corpus['questions_fingerprint'][:12]}."
    )
    if licence := corpus["about"].get("licence"):
        yield f"Licence: {' '.join(licence.split()).rstrip('.')}."
    sides = [(split, results.rows(split)) for split in ("dev", "test")]
    if any(len(rows) for _, rows in sides):
        said = "; ".join(
            f"{split} {len(rows)} in {len(set(results.groups(rows)))} groups"
            for split, rows in sides
        )
        yield f"Questions with evidence: {said}."
    if engines := dict.fromkeys(_engines(results)):
        yield f"Engines: {'; '.join(engines)}."
    yield f"Measured: {', '.join(run.measures)}. Intervals are 95 %, over groups of questions."
    yield from run.notes


def _engines(results: Results) -> Iterator[str]:
    """`postgresql 18.4 (pgvector 0.8.5)`, once for each trial that one answered."""
    for trial in results.finished:
        if found := dict(results.engine(trial) or {}):
            name = f"{found.pop('engine')} {found.pop('version', '')}".strip()
            more = ", ".join(f"{part} {version}" for part, version in found.items())
            yield f"{name} ({more})" if more else name


def _again(results: Results) -> Iterator[Commands | Folded | Lines]:
    run = results.run
    file = place(results)
    lines = [f"mox run {file or 'experiment.yaml'}", f"mox results {run.id}"]
    if results.chosen is not None:
        lines += [f"mox explain {results.chosen.id}", f"mox promote {run.id}"]
    yield Commands("\n".join(lines))
    git = run.environment.get("commit", "not known")
    yield Lines((f"Run {run.id}, begun {run.started}; seed {run.seed}; git commit {git}.",))
    yield Folded("The experiment as it was run", (Commands(yaml_text(run.settings)),))
    rows = tuple(run.environment.items())
    yield Folded("Versions", (Table("Versions", ("what", "version"), rows, 2),))


def place(results: Results) -> str:
    """The experiment's file as one would type it: from the folder that holds the state folder."""
    if results.run.file is None:
        return ""
    file, base = Path(results.run.file), results.store.root.parent
    return str(file.relative_to(base)) if file.is_relative_to(base) else file.name


def yaml_text(value: Any) -> str:
    """Settings as YAML."""
    from ruamel.yaml import YAML

    buffer = io.StringIO()
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 100
    yaml.dump(value, buffer)
    return buffer.getvalue()
