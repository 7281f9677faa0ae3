"""Two trials on the same questions: by how much they differ, how sure that is, and where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mox.errors import SpecError
from mox.evaluation.statistics import bootstrap_means, randomisation_p
from mox.registry import nearest

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from mox.results.results import Interval, Results
    from mox.results.run import TrialRun
    from mox.types import Question

EXTREMES = 5
"""Questions shown at either end."""
TIED = 1e-9
"""Scores nearer than this are the same score."""


@dataclass(frozen=True)
class Difference:
    """a less b over the questions of a split: its mean with interval, p, and who won.

    `p`: two-sided, paired randomisation by group; not corrected for looking at several trials.
    """

    split: str
    interval: Interval
    p: float
    won: int
    lost: int
    tied: int


@dataclass(frozen=True)
class Paired:
    """One question's scores under both trials."""

    question: Question
    a: float
    b: float

    @property
    def difference(self) -> float:
        return self.a - self.b


@dataclass(frozen=True)
class Comparison:
    """Trial a against trial b by one measure, question by question.

    `settings`: what differs between the two configurations: name → (a's value, b's value).
    `differences`: over all questions, then dev, then test. `pairs`: answerable questions in the
    corpus' order.
    """

    a: str
    b: str
    labels: tuple[str, str]
    measure: str
    settings: Mapping[str, tuple[Any, Any]]
    differences: tuple[Difference, ...]
    pairs: tuple[Paired, ...]

    @property
    def frame(self) -> pd.DataFrame:
        """A row per question: id, split, kind, text, a, b, difference; a's worst losses first."""
        import pandas as pd

        rows = [
            {
                "id": pair.question.id,
                "split": pair.question.split,
                "kind": pair.question.kind,
                "text": pair.question.text,
                self.a: pair.a,
                self.b: pair.b,
                "difference": pair.difference,
            }
            for pair in sorted(self.pairs, key=lambda pair: pair.difference)
        ]
        return pd.DataFrame(rows)

    @property
    def losses(self) -> list[Paired]:
        """Where a loses most, worst first."""
        found = sorted(self.pairs, key=lambda pair: pair.difference)
        return [pair for pair in found[:EXTREMES] if pair.difference < -TIED]

    @property
    def gains(self) -> list[Paired]:
        """Where a gains most, best first."""
        found = sorted(self.pairs, key=lambda pair: -pair.difference)
        return [pair for pair in found[:EXTREMES] if pair.difference > TIED]

    def save(self, path: str | Path) -> Path:
        """Write it as an .html file that needs nothing else."""
        from mox.results.markup import save_page

        return save_page(path, self._repr_html_(), f"{self.a} against {self.b}")

    def _repr_html_(self) -> str:
        from mox.results.comparison_html import drawn

        return drawn(self)

    def __repr__(self) -> str:
        lines = [
            f"{self.measure}: a {self.a} {self.labels[0]}",
            f"  less b {self.b} {self.labels[1]}",
        ]
        lines += [f"  {line}" for line in map(sentence, self.differences)]
        lines += [f"  {name}: {mine} / {theirs}" for name, (mine, theirs) in self.settings.items()]
        for title, pairs in (("largest losses", self.losses), ("largest gains", self.gains)):
            lines += [f"  {title} of a:"] if pairs else []
            lines += [f"    {p.difference:+.3f} {p.question.id} {p.question.text}" for p in pairs]
        return "\n".join(lines)


def sentence(difference: Difference) -> str:
    """A difference in words."""
    i = difference.interval
    return (
        f"{difference.split}: {i.mean:+.3f} [{i.low:+.3f}, {i.high:+.3f}], p = {difference.p:.2g},"
        f" n = {i.n}: a better on {difference.won}, worse on {difference.lost}, the same on"
        f" {difference.tied}"
    )


def comparison(results: Results, a: TrialRun, b: TrialRun, measure: str | None) -> Comparison:
    """Compare two finished trials.

    Args:
        measure: one that was measured; the one that is chosen by, else the first, where None.

    Raises:
        SpecError: a trial has no scores, or the measure wasn't measured.
    """
    for trial in (a, b):
        if trial.status != "FINISHED":
            raise SpecError(
                f"trial {trial.id} has no scores: it is {trial.status}.",
                mend="name a trial that finished; `results.leaderboard()` lists them.",
            )
    choose = results.run.choose
    name = measure or (choose["maximise"] if choose else results.run.measures[0])
    if name not in results.run.measures:
        raise SpecError(
            f"{name!r} was not measured{nearest(name, results.run.measures)}.",
            mend=f"use one of {', '.join(results.run.measures)}, or add it to `measure:`.",
        )
    ours, theirs = results.scores(a).arrays[name], results.scores(b).arrays[name]
    found = [
        _difference(results, ours - theirs, split)
        for split in (None, "dev", "test")
        if len(results.rows(split))
    ]
    pairs = [
        Paired(results.questions_asked[row], float(ours[row]), float(theirs[row]))
        for row in results.rows(None).tolist()
    ]
    return Comparison(
        a=a.id,
        b=b.id,
        labels=(results.label(a), results.label(b)),
        measure=name,
        settings=_settings(results.params(a), results.params(b)),
        differences=tuple(found),
        pairs=tuple(pairs),
    )


def _difference(results: Results, values: NDArray[np.float64], split: str | None) -> Difference:
    from mox.results.results import Interval

    rows = results.rows(split)
    here = values[rows]
    groups = results.groups(rows)
    seed = results.run.seed
    low, high = bootstrap_means(here[:, None], groups, seed=seed, bounds=(-1.0, 1.0))
    won, lost = int((here > TIED).sum()), int((here < -TIED).sum())
    return Difference(
        split=split or "all",
        interval=Interval(float(here.mean()), float(low[0]), float(high[0]), len(rows)),
        p=randomisation_p(here, groups, seed=seed),
        won=won,
        lost=lost,
        tied=len(rows) - won - lost,
    )


def _settings(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What differs, `–` where a trial hasn't the setting."""
    names = dict.fromkeys([*a, *b])
    return {
        name: (a.get(name, "–"), b.get(name, "–")) for name in names if a.get(name) != b.get(name)
    }
