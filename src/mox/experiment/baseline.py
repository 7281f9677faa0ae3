"""The baseline: the trial of a sweep that others are compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mox.errors import SpecError
from mox.experiment.checks import mapping, only
from mox.experiment.trials import AXES, Trial, flatten
from mox.registry import nearest
from mox.source import Source


def baseline(source: Source, trials: Sequence[Trial]) -> str:
    """The id of the first trial that agrees with every setting that `baseline` names.

    The first of all where it is left out.

    Raises:
        SpecError: no trial agrees; names the line and the nearest trial.
    """
    raw = source.settings.get("baseline")
    if raw is None:
        return trials[0].id
    wanted = mapping(source, ("baseline",), raw)
    only(source, ("baseline",), wanted, AXES)
    flat = dict(flatten({axis: wanted[axis] for axis in wanted}))
    for trial in trials:
        if not _unlike(trial, flat):
            return trial.id
    near = min(trials, key=lambda trial: len(_unlike(trial, flat)))
    unlike = _unlike(near, flat)
    said = ", ".join(
        f"{name} = {near.params[name]!r}" if name in near.params else f"no {name}"
        for name in unlike
    )
    raise source.error(
        ("baseline", *unlike[0].split(".")),
        SpecError(
            f"baseline matches no trial: {_lacking(trials, flat)}. The nearest one ({near.id}) has"
            f" {said}.",
            mend="name settings that one trial of `axes` has together.",
        ),
    )


def _unlike(trial: Trial, flat: Mapping[str, Any]) -> list[str]:
    """Settings in which a trial differs."""
    return [name for name, value in flat.items() if trial.params.get(name) != value]


def _lacking(trials: Sequence[Trial], flat: Mapping[str, Any]) -> str:
    """The settings that no trial has at all; else that none has them together."""
    for name, value in flat.items():
        if not any(trial.params.get(name) == value for trial in trials):
            had = list(dict.fromkeys(str(t.params[name]) for t in trials if name in t.params))
            if not had:
                known = sorted({name for trial in trials for name in trial.params})
                return f"no trial has a setting {name!r}{nearest(name, known)}"
            return f"none has {name} = {value!r}, it is {' or '.join(had)}"
    return "no trial has all its settings together"
