"""A release: one YAML with every setting, what it was measured on, how it scored, its checksum."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mox.errors import DataError, MissingError, SpecError
from mox.experiment import AXES, Experiment, Trial, load
from mox.pipeline.store import write_whole
from mox.registry import Registry
from mox.results import Results, TrialRun
from mox.source import read
from mox.spec import Spec, digest
from mox.tracking.git import commit
from mox.tracking.secrets import scrubbed

SCHEMA = 1


@dataclass(frozen=True)
class Release:
    """A release as it stands in its file."""

    path: Path
    content: Mapping[str, Any]
    """All of it, its checksum under `sha256`."""

    @property
    def name(self) -> str:
        return str(self.content["name"])

    @property
    def sha256(self) -> str:
        return str(self.content["sha256"])


def promote(
    results: Results,
    *,
    trial: str | None = None,
    out: Path | None = None,
    mlflow: str | None = None,
) -> Release:
    """Write the chosen trial as a release.

    The content depends on the results alone, so promoting again writes the same file.

    Args:
        trial: another trial than the chosen one; the file says so.
        out: the file to write; `releases/NAME-SHA.yaml` in the state folder where None.
        mlflow: the id of the sweep's MLflow run, if it is mirrored.

    Raises:
        SpecError: nothing is chosen, or the trial has no scores.
    """
    taken = _taken(results, trial)
    folder = out.absolute().parent if out else results.store.root / "releases"
    content = _content(results, taken, folder, mlflow)
    content["sha256"] = checksum(content)
    path = out.absolute() if out else folder / f"{_slug(content)}.yaml"
    write_whole(path, dump(content).encode())
    return Release(path, content)


def _taken(results: Results, name: str | None) -> TrialRun:
    if name is None:
        choice = results.choice
        if choice is None or choice.trial is None:
            why = "the experiment asks for no choice" if choice is None else choice.refused
            raise SpecError(
                f"run {results.run.id} has no chosen trial: {why}",
                mend="add `choose:` to the experiment, or name one by `--trial`.",
            )
        return results.trial(choice.trial)
    trial = results.trial(name)
    if trial.status != "FINISHED":
        raise SpecError(
            f"trial {trial.id} is {trial.status} ({trial.error or 'it was not run'}).",
            mend="promote a trial that finished.",
        )
    return trial


def _content(results: Results, trial: TrialRun, folder: Path, mlflow: str | None) -> dict[str, Any]:
    run = results.run
    base = Path(run.file).parent if run.file else Path.cwd()
    at = commit(base)
    choice = results.choice
    chosen = choice is not None and choice.trial == trial.id
    [same] = as_experiment(trial.config, run.settings["corpus"], run.name).trials
    return {
        "schema": SCHEMA,
        "name": run.name,
        "created": run.started,
        "trial": trial.id,
        "config": dict(trial.config),
        "corpus": {
            "spec": scrubbed(run.settings["corpus"]),
            "base": os.path.relpath(base, folder),
            "name": run.corpus["name"],
            "fingerprint": run.corpus["fingerprint"],
            "licence": run.corpus["about"].get("licence", ""),
        },
        "fingerprints": fingerprints(same),
        "environment": dict(run.environment),
        "scores": {
            split: {
                name: {"mean": i.mean, "low": i.low, "high": i.high, "n": i.n}
                for name, i in measures.items()
            }
            for split, measures in results.summary[trial.id].items()
        },
        "costs": {k: v for k, v in results.costs[trial.id].items() if v is not None},
        "choice": {
            "chosen": chosen,
            "reason": choice.reason
            if chosen and choice is not None
            else "named by hand, not by the experiment's rule.",
        },
        "run": {"mox": run.id, "mlflow": mlflow},
        "git": {"commit": at.sha, "dirty": at.dirty} if at else None,
    }


def as_experiment(config: Mapping[str, Any], corpus: Mapping[str, Any], name: str) -> Experiment:
    """The experiment whose one trial has this configuration.

    Raises:
        SpecError: this Mox doesn't know a kind or a setting of it.
    """
    axes = {axis: [config[axis]] for axis in AXES if axis in config}
    return load(
        {
            "name": name,
            "corpus": corpus,
            "tokenizer": config["tokenizer"],
            "axes": axes,
            "measure": "hit@1",  # plays no part in searching; an experiment names something
        }
    )


def fingerprints(trial: Trial) -> dict[str, dict[str, str]]:
    """What the trial's results depend on beyond its settings, by part."""
    from mox.chunking import chunkers
    from mox.embedding import embedders
    from mox.indexes import indexes
    from mox.retrieval import fusions, retrievers

    parts: list[tuple[str, Registry[Any], Spec | None]] = [
        ("chunk", chunkers, trial.chunk),
        ("embed", embedders, trial.embed),
        ("index", indexes, trial.index),
        ("lexical", retrievers, trial.search.retriever),
        ("fusion", fusions, trial.search.fusion),
    ]
    return {name: reg.fingerprint(spec) for name, reg, spec in parts if spec is not None}


def open_release(path: Path) -> Release:
    """Read a release and verify its checksum.

    Raises:
        MissingError: no such file.
        SpecError: not a release, or one of a newer Mox.
        DataError: it was changed after it was written.
    """
    if not path.exists():
        raise MissingError(f"{path}: no such file.", mend="`mox promote` writes releases.")
    content = dict(read(path, what="a release", start=f"schema: {SCHEMA}").settings)
    if "sha256" not in content or "config" not in content:
        raise SpecError(f"{path} is no release.", mend="name a file that `mox promote` wrote.")
    if content.get("schema", 0) > SCHEMA:
        raise SpecError(f"{path} was written by a newer Mox.", mend="upgrade Mox.")
    if checksum(content) != content["sha256"]:
        raise DataError(
            f"{path} was changed after it was written: its checksum differs.",
            mend="promote again; a release is never edited.",
        )
    return Release(path, content)


def checksum(content: Mapping[str, Any]) -> str:
    """SHA-256 of a release's canonical JSON, its own checksum left out."""
    return digest({name: value for name, value in content.items() if name != "sha256"})


def dump(content: Mapping[str, Any]) -> str:
    """A release as YAML."""
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 100
    buffer = io.StringIO()
    yaml.dump(dict(content), buffer)
    return buffer.getvalue()


def _slug(content: Mapping[str, Any]) -> str:
    name = re.sub(r"[^\w.-]+", "-", str(content["name"]))
    return f"{name}-{content['sha256'][:8]}"
