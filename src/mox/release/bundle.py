"""A release: one YAML that holds the chosen trial, what it stands on, and its own checksum."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mox.errors import SpecError, StoreError
from mox.pipeline.disk import write_whole
from mox.pipeline.plan import ENDS
from mox.release.corpus import verified
from mox.release.file import CHECKSUM, SCHEMA, Release, dump, read_release
from mox.release.runtime import runtime_of
from mox.release.taken import promotable
from mox.release.trial import engine_of, fingerprints, folded, trial_of
from mox.results import Interval, Results, TrialRun
from mox.results.git import commit
from mox.secrets import scrubbed
from mox.services.running import located
from mox.settings import settings
from mox.spec import digest
from mox.tracking.marker import Mirrored
from mox.types import Corpus

__all__ = ["Release", "dump", "promote", "read_release"]


def promote(
    results: Results,
    *,
    trial: str | None = None,
    out: Path | None = None,
    mlflow: Callable[[], Mirrored] | None = None,
) -> Release:
    """Write a trial as a release. The same results give the same bytes.

    Args:
        trial: promote this one instead of the chosen one; the release says so.
        out: the file to write; `releases/NAME-SHA.yaml` in the state folder where None.
        mlflow: says where the run stands in MLflow, to be named in the release, and may mirror it
            for that: asked once nothing refuses the release.

    Raises:
        SpecError: nothing is chosen, the run was stopped, the trial failed, the file is there
            already and no release, or the corpus' settings carry credentials.
        StoreError: what the trial stands on has changed since it was run.
        DataError: the corpus has, so that the release could not be opened.
    """
    taken = promotable(results, trial=trial, out=out)
    folder = (out.parent if out else results.store.root / "releases").absolute()
    content = {
        **_measured(results, taken),
        "corpus": _corpus(results, folder),
        "choice": _choice(results, taken),
        "run": _run(results, taken),
        "mlflow": None,
        "git": _git(results),
    }
    verified(content, folder, results.store)
    content["mlflow"] = _mlflow(mlflow(), taken) if mlflow else None
    content[CHECKSUM] = digest(content)
    slug = re.sub(r"[^\w.-]+", "-", results.run.name).strip("-.") or "release"
    path = out.absolute() if out else folder / f"{slug}-{content[CHECKSUM][:10]}.yaml"
    write_whole(path, dump(content).encode())
    return Release(path, content)


def _measured(results: Results, taken: TrialRun) -> dict[str, Any]:
    """What is released: every setting, what it was measured with, and how it scored."""
    run = results.run
    return {
        "schema": SCHEMA,
        "name": run.name,
        "created": run.started,
        "trial": taken.id,
        "label": results.label(taken),
        "config": _plain(taken.config),
        "runtime": _plain(runtime_of(run, taken.config)),
        "fingerprints": _fingerprints(results, taken),
        "environment": dict(run.environment),
        "scores": {
            split: {name: _interval(interval) for name, interval in measures.items()}
            for split, measures in results.summary[taken.id].items()
        },
        "costs": _plain(results.costs[taken.id]),
    }


def _fingerprints(results: Results, taken: TrialRun) -> dict[str, dict[str, str]]:
    """Versions and file hashes that made the trial: known to be those of now, since its stages
    still have the very same keys."""
    trial = trial_of(taken.config)
    engine = engine_of(trial, located(settings()))
    documents = tuple(results.documents.values())
    corpus = Corpus(results.run.corpus["name"], documents, results.questions_asked)
    _, planned, _ = folded(trial, corpus, engine)
    changed = [
        role
        for role, ref in taken.roles.items()
        # A latency doesn't travel, and what is released is as good elsewhere.
        if role not in ENDS and planned.roles.get(role) != ref
    ]
    if changed or trial.id != taken.id:
        raise StoreError(
            f"what trial {taken.id} stands on has changed since it was run"
            f" ({', '.join(changed) or 'its settings'}): its scores may not hold any more.",
            mend="run the experiment again with what is installed now, then promote.",
        )
    return fingerprints(trial, engine)


def _corpus(results: Results, folder: Path) -> dict[str, Any]:
    """Where the corpus is, as seen from the release's folder, and what it has to be."""
    run = results.run
    # As the system walks it: `..` of a linked folder is the parent of what it links to.
    base = os.path.relpath(run.folder.resolve(), folder.resolve())
    spec = _plain(run.settings["corpus"])
    if scrubbed(spec) != spec:
        raise SpecError(
            f"the corpus' settings of run {run.id} carry credentials, which no release may hold.",
            mend="leave them to the environment, and run again.",
        )
    return {
        "settings": spec,
        "base": Path(base).as_posix(),
        "name": run.corpus["name"],
        "fingerprint": run.corpus["fingerprint"],
        "questions_fingerprint": run.corpus["questions_fingerprint"],
        "documents": run.corpus["documents"],
        "questions": run.corpus["questions"],
        "about": _plain(run.corpus["about"]),
    }


def _choice(results: Results, taken: TrialRun) -> dict[str, Any]:
    """Why this trial: the experiment's rule, or a hand that overruled it."""
    choice = results.choice
    if choice is None:
        return {"by": "hand", "reason": f"{results.label(taken)} was named by hand; no rule."}
    said = {
        "by": "rule" if choice.trial == taken.id else "hand",
        "reason": choice.reason,
        "rule": _plain(results.run.choose),
        "rule_chose": choice.trial,
        "candidates": len(choice.candidates),
        "of": len(results.finished),
        "qualifies": taken.id in choice.candidates,
        "test_looks": choice.test_looks,
    }
    if choice.trial == taken.id:
        return {**said, "may_lose": choice.may_lose, "vs_baseline": _plain(choice.vs_baseline)}
    instead = f"chose {choice.trial}" if choice.trial else "chose nothing"
    said["reason"] = f"{results.label(taken)} was named by hand; the rule {instead}."
    return said


def _run(results: Results, taken: TrialRun) -> dict[str, Any]:
    run = results.run
    return {
        "id": run.id,
        "store": results.store.id,
        "trials": len(run.trials),
        "finished": len(results.finished),
        "stopped": run.stopped,
        "stages": {role: ref.key for role, ref in taken.roles.items()},
    }


def _mlflow(mirrored: Mirrored, taken: TrialRun) -> dict[str, Any]:
    return {
        "experiment_id": mirrored.experiment_id,
        "run_id": mirrored.parent_id,
        "trial_run_id": mirrored.trials.get(taken.id),
    }


def _git(results: Results) -> dict[str, Any] | None:
    """The commit of the working tree at promotion; None outside of one."""
    found = commit(results.run.folder)
    return {"commit": found.sha, "dirty": found.dirty} if found else None


def _interval(interval: Interval) -> dict[str, Any]:
    found = {"mean": interval.mean, "low": interval.low, "high": interval.high, "n": interval.n}
    return {name: _finite(value) for name, value in found.items()}


def _finite(value: Any) -> Any:
    """A number that YAML and JSON agree on; none where a single question gives no bound."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _plain(value: Any) -> Any:
    """Plain mappings and lists, so that a file read back has the very content written."""
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return _finite(value)
