"""A trial by kind of question, beside the baseline: where it is good, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mox.results.paired import (
    Difference,
    bounds,
    difference,
    mean,
    measured,
    plain,
    ranked_on,
    reported_on,
    rows_of,
    scored,
)

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from mox.results.reading import Interval
    from mox.results.results import Results
    from mox.results.run import TrialRun

    Rows = NDArray[np.intp]

FEW = 20
"""A kind of fewer questions or groups than this carries a warning."""
UNNAMED = "(no kind)"


@dataclass(frozen=True)
class Kind:
    """One kind of question: the trial's mean, the baseline's, and the paired difference.

    `baseline` and `difference` are None where the baseline has no scores or is the trial itself.
    """

    kind: str
    groups: int
    mean: Interval
    baseline: Interval | None
    difference: Difference | None

    @property
    def few(self) -> bool:
        """Whether there are too few questions or groups to say much."""
        return min(self.groups, self.mean.n) < FEW

    def document(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "kind": self.kind,
            "groups": self.groups,
            **plain(self.mean),
            "baseline": None if self.baseline is None else plain(self.baseline),
            "difference": None if self.difference is None else self.difference.document(),
            "few": self.few,
        }


@dataclass(frozen=True)
class ByKind:
    """A trial by kind of question, kinds with most questions first.

    `split`: which questions: `test` where a choice was made on dev, so that it isn't flattered.
    """

    trial: str
    label: str
    measure: str
    split: str
    rows: tuple[Kind, ...]

    @property
    def warning(self) -> str:
        """What to bear in mind; empty where every kind has questions enough."""
        few = [row.kind for row in self.rows if row.few]
        if not few:
            return ""
        return (
            f"Fewer than {FEW} questions or groups of {', '.join(few)}: take "
            f"{'that' if len(few) == 1 else 'those'} as a hint only."
        )

    @property
    def df(self) -> pd.DataFrame:
        """A row per kind: n, groups, mean, low, high, baseline, difference with bounds, p, few."""
        import pandas as pd

        table = []
        for row in self.rows:
            against = row.difference
            table.append(
                {
                    "kind": row.kind,
                    "n": row.mean.n,
                    "groups": row.groups,
                    "mean": row.mean.mean,
                    "low": row.mean.low,
                    "high": row.mean.high,
                    "baseline": row.baseline.mean if row.baseline else None,
                    "difference": against.interval.mean if against else None,
                    "difference low": against.interval.low if against else None,
                    "difference high": against.interval.high if against else None,
                    "p": against.p if against else None,
                    "few": row.few,
                }
            )
        return pd.DataFrame(table).set_index("kind")

    def document(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "trial": self.trial,
            "measure": self.measure,
            "on": self.split,
            "kinds": [row.document() for row in self.rows],
        }

    def save(self, path: str | Path) -> Path:
        """Write it as an .html file that needs nothing else."""
        from mox.results.show.markup import save_page

        return save_page(path, self._repr_html_(), f"{self.trial} by kind of question")

    def _repr_html_(self) -> str:
        from mox.results.show.kinds_html import drawn

        return drawn(self)

    def __repr__(self) -> str:
        width = max(len(row.kind) for row in self.rows)
        lines = [f"{self.measure} of {self.trial} {self.label}, by kind, on {self.split}:"]
        for row in self.rows:
            said = f"  {row.kind:<{width}}  {row.mean}  n = {row.mean.n}"
            if row.difference:
                i = row.difference.interval
                said += f"  against the baseline {i.mean:+.3f}{bounds(i.low, i.high)}"
            lines.append(f"{said}{'  (few)' if row.few else ''}")
        return "\n".join([*lines, *([f"  {self.warning}"] if self.warning else [])])


def by_kind(
    results: Results, trial: TrialRun, measure: str | None, split: str | None = None
) -> ByKind:
    """Break a trial's mean down by kind of question.

    Args:
        measure: the one that is chosen by, else the first, where None.
        split: `dev`, `test` or `all`; where None `test` for a choice made on dev, else as ranked.

    Raises:
        SpecError: the trial has no scores, or the measure wasn't measured.
    """
    name = measured(results, measure)
    where = split or reported_on(results)
    ours = results.scores(scored(trial)).arrays[name]
    base = results.trial(results.run.baseline)
    theirs = None
    if base.status == "FINISHED" and base.id != trial.id:
        theirs = results.scores(base).arrays[name]
    found = [
        Kind(
            kind=kind,
            groups=len(set(results.groups(rows))),
            mean=mean(results, ours, rows),
            baseline=None if theirs is None else mean(results, theirs, rows),
            difference=None
            if theirs is None
            else difference(results, ours - theirs, rows, over=kind, measure=name),
        )
        for kind, rows in kinds_of(results, rows_of(results, where)).items()
    ]
    return ByKind(trial.id, results.label(trial), name, where, tuple(found))


def kinds_of(results: Results, rows: Rows) -> dict[str, Rows]:
    """Kind → those of the questions that are of it, kinds with most questions first."""
    import numpy as np

    found: dict[str, list[int]] = {}
    for row in rows.tolist():
        found.setdefault(results.questions_asked[row].kind or UNNAMED, []).append(row)
    ordered = sorted(found.items(), key=lambda pair: (-len(pair[1]), pair[0]))
    return {kind: np.array(at, dtype=np.intp) for kind, at in ordered}


def shown_kinds(results: Results) -> ByKind | None:
    """The chosen trial by kind, else the best one's; None where all questions are of one kind."""
    if not results.finished:
        return None
    trial = results.chosen or results.ranked()[0]
    split = reported_on(results) if results.chosen else ranked_on(results)
    if len(kinds_of(results, rows_of(results, split))) < 2:
        return None
    return by_kind(results, trial, None, split)
