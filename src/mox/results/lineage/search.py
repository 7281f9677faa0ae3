"""Finding the run that reports a trial, by the first letters of the trial's id."""

from __future__ import annotations

from mox.errors import SpecError
from mox.pipeline.store import Store
from mox.registry import nearest
from mox.results.run import Run, every


def newest_with(store: Store, name: str) -> Run:
    """The newest run of a store that has the trial of an id, or of the first letters of one.

    Raises:
        SpecError: no run has one, or the letters fit several trials; names the nearest.
    """
    runs = sorted(every(store), key=lambda run: (run.started, run.id), reverse=True)
    if not runs:
        raise SpecError(
            f"no run is kept in {store.root}.", mend="run an experiment first: `mox run FILE`."
        )
    known = {trial.id for run in runs for trial in run.trials}
    matches = sorted(known & {name}) or sorted(one for one in known if one.startswith(name))
    if len(matches) != 1:
        several = f"{len(matches)} trials begin with {name!r}: {', '.join(matches[:5])}"
        none = f"no trial of the runs in {store.root} begins with {name!r}{_near(name, known)}"
        raise SpecError(
            f"{several if matches else none}.".replace("?.", "?"),
            mend="name one by its id; `mox results FILE` lists an experiment's.",
        )
    return next(run for run in runs for trial in run.trials if trial.id == matches[0])


def _near(name: str, known: set[str]) -> str:
    """The id that begins most like a name; else the one that looks most like it."""
    for length in range(len(name) - 1, 1, -1):
        if found := sorted(one for one in known if one.startswith(name[:length])):
            return f", did you mean {found[0]!r}?"
    return nearest(name, known)
