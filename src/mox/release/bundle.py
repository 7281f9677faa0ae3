"""A release: one YAML that holds the chosen trial, what it stands on, and its own checksum."""

from __future__ import annotations

import io
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mox.errors import DataError, MoxError, SpecError, StoreError
from mox.pipeline.plan import ENDS
from mox.pipeline.store import write_whole
from mox.release.corpus import verified
from mox.release.runtime import runtime_of
from mox.release.trial import engine_of, fingerprints, folded, trial_of
from mox.results import Interval, Results, TrialRun
from mox.results.git import commit
from mox.secrets import scrubbed
from mox.services.running import located
from mox.settings import DISTRIBUTION, settings
from mox.source import read
from mox.spec import digest
from mox.tracking.marker import Mirrored
from mox.types import Corpus

SCHEMA = 1
CHECKSUM = "sha256"
HEAD = (
    f"# A release of Mox ({DISTRIBUTION}). Its checksum covers every value: don't edit it."
    " `mox ask` opens it.\n"
)


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
        return str(self.content[CHECKSUM])


def promote(
    results: Results,
    *,
    trial: str | None = None,
    out: Path | None = None,
    mlflow: Mirrored | None = None,
) -> Release:
    """Write a trial as a release. The same results give the same bytes.

    Args:
        trial: promote this one instead of the chosen one; the release says so.
        out: the file to write; `releases/NAME-SHA.yaml` in the state folder where None.
        mlflow: where the run stands in MLflow, to be named in the release.

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
        "mlflow": _mlflow(mlflow, taken),
        "git": _git(results),
    }
    verified(content, folder, results.store)
    content[CHECKSUM] = digest(content)
    slug = re.sub(r"[^\w.-]+", "-", results.run.name).strip("-.") or "release"
    path = out.absolute() if out else folder / f"{slug}-{content[CHECKSUM][:10]}.yaml"
    write_whole(path, dump(content).encode())
    return Release(path, content)


def read_release(path: Path) -> Release:
    """Read a release and verify its checksum.

    Raises:
        MissingError: no such file.
        DataError: it isn't a release, or was changed after it was written.
        StoreError: it was written by a newer Mox.
    """
    content = dict(read(path, what="a release", start="schema: 1").settings)
    if not _is_one(content):
        raise DataError(f"{path} is no release.", mend="name a file that `mox promote` wrote.")
    schema = content["schema"]
    if schema > SCHEMA:
        raise StoreError(
            f"{path} was written by a newer Mox (schema {schema}; this one knows {SCHEMA}).",
            mend="upgrade Mox.",
        )
    said = content.pop(CHECKSUM)
    found = digest(content)
    if said != found:
        raise DataError(
            f"{path} was changed after it was written: it says {CHECKSUM} {str(said)[:12]}, and"
            f" its content has {found[:12]}.",
            mend="promote the trial again, or take the file from where it was registered.",
        )
    return Release(path.absolute(), {**content, CHECKSUM: said})


def _is_one(content: Mapping[str, Any]) -> bool:
    """Whether a file's settings are a release's, changed or not."""
    return isinstance(content.get("schema"), int) and CHECKSUM in content


def dump(content: Mapping[str, Any]) -> str:
    """A release as YAML."""
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 4096  # a folded line would be harder to compare
    yaml.representer.ignore_aliases = lambda *_: True
    buffer = io.StringIO()
    yaml.dump(_quoted(content), buffer)
    return HEAD + buffer.getvalue()


def _quoted(value: Any) -> Any:
    """The same, a text with a break of YAML 1.1 in quotes, where it is escaped: plain, it is read
    as a space or a line's end."""
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    if isinstance(value, Mapping):
        return {_quoted(name): _quoted(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_quoted(part) for part in value]
    if isinstance(value, str) and any(sign in value for sign in "\x85\u2028\u2029"):
        return DoubleQuotedScalarString(value)
    return value


def promotable(results: Results, *, trial: str | None, out: Path | None) -> TrialRun:
    """The trial that `promote` would write; nothing is written.

    Raises:
        SpecError: there is none, or the file is something else.
    """
    taken = _taken(results, trial)
    if out is not None and out.is_file() and not _may_be_replaced(out):
        raise SpecError(
            f"{out} is there already, and is no release.",
            mend="name another file, or move that one away.",
        )
    return taken


def _may_be_replaced(file: Path) -> bool:
    try:
        return _is_one(read(file, what="a release", start="schema: 1").settings)
    except MoxError:
        return False


def _taken(results: Results, name: str | None) -> TrialRun:
    """The trial to promote, or why there is none."""
    run, choice = results.run, results.choice
    if name is not None:
        taken = results.trial(name)
        if taken.status != "FINISHED":
            said = f": {taken.error}" if taken.error else ""
            raise SpecError(
                f"trial {taken.id} is {taken.status}{said}.", mend="promote one that finished."
            )
        return taken
    if run.stopped:
        raise SpecError(
            f"run {run.id} was stopped ({run.stopped}) before all its trials were compared.",
            mend="run it again, which resumes it; or name a finished trial by `--trial`.",
        )
    if choice is None:
        raise SpecError(
            f"run {run.id} chooses nothing: its experiment has no `choose`.",
            mend="add `choose:` and run again (nothing is redone), or name a trial by `--trial`.",
        )
    if results.chosen is None:
        raise SpecError(
            f"run {run.id} chose nothing: {choice.refused}",
            mend="mend that and run again, or name a trial by `--trial`.",
        )
    return results.chosen


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
    spec = _plain(run.settings["corpus"])
    if scrubbed(spec) != spec:
        raise SpecError(
            f"the corpus' settings of run {run.id} carry credentials, which no release may hold.",
            mend="leave them to the environment, and run again.",
        )
    return {
        "settings": spec,
        "base": Path(os.path.relpath(run.folder, folder)).as_posix(),
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


def _mlflow(mirrored: Mirrored | None, taken: TrialRun) -> dict[str, Any] | None:
    if mirrored is None:
        return None
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
