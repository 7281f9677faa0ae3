"""Which trial is promoted, and what refuses it before anything is written."""

from __future__ import annotations

from pathlib import Path

from mox.errors import MoxError, SpecError
from mox.release.file import is_one
from mox.results import Results, TrialRun
from mox.source import read


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
        return is_one(read(file, what="a release", start="schema: 1").settings)
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
