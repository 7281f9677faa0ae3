"""Two trials on the same questions: what differs, by how much, how sure that is, and where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mox.results.compare.kinds import kinds_of
from mox.results.paired import TIED, Difference, bounds, difference, measured, scored

if TYPE_CHECKING:
    import pandas as pd

    from mox.results.results import Results
    from mox.results.run import TrialRun
    from mox.types import Question

EXTREMES = 5
"""Questions shown at either end."""


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
class Diff:
    """Trial a against trial b by one measure, question by question.

    `settings`: what differs between the two configurations: name → (a's value, b's value).
    `differences`: over all questions, then dev, then test. `kinds`: by kind of question, over
    all of them. `pairs`: answerable questions, those where a loses most first.
    """

    a: str
    b: str
    labels: tuple[str, str]
    measure: str
    settings: Mapping[str, tuple[Any, Any]]
    differences: tuple[Difference, ...]
    kinds: tuple[Difference, ...]
    pairs: tuple[Paired, ...]

    @property
    def df(self) -> pd.DataFrame:
        """A row per question: id, split, kind, text, a, b, difference; a's worst losses first.

        `results.inspect(id, a, b)` opens one.
        """
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
            for pair in self.pairs
        ]
        return pd.DataFrame(rows)

    @property
    def losses(self) -> list[Paired]:
        """Where a loses most, worst first."""
        return [pair for pair in self.pairs[:EXTREMES] if pair.difference < -TIED]

    @property
    def gains(self) -> list[Paired]:
        """Where a gains most, best first."""
        found = sorted(self.pairs, key=lambda pair: -pair.difference)
        return [pair for pair in found[:EXTREMES] if pair.difference > TIED]

    def document(self) -> dict[str, Any]:
        """The JSON of `mox results RUN --diff A B`: differences are a's scores less b's."""
        return {
            "schema": 1,
            "a": self.a,
            "b": self.b,
            "measure": self.measure,
            "settings": {name: list(pair) for name, pair in self.settings.items()},
            "differences": [found.document() for found in self.differences],
            "kinds": [found.document() for found in self.kinds],
            "questions": [
                {
                    "id": pair.question.id,
                    "split": pair.question.split,
                    "kind": pair.question.kind,
                    "a": pair.a,
                    "b": pair.b,
                    "difference": pair.difference,
                }
                for pair in self.pairs
            ],
        }

    def save(self, path: str | Path) -> Path:
        """Write it as an .html file that needs nothing else."""
        from mox.results.show.markup import save_page

        return save_page(path, self._repr_html_(), f"{self.a} against {self.b}")

    def _repr_html_(self) -> str:
        from mox.results.show.diff_html import drawn

        return drawn(self)

    def __repr__(self) -> str:
        lines = [
            f"{self.measure}: a {self.a} {self.labels[0]}",
            f"  less b {self.b} {self.labels[1]}",
        ]
        lines += [f"  {sentence(found)}" for found in self.differences]
        lines += ["  by kind:"] if self.kinds else []
        lines += [f"    {sentence(found)}" for found in self.kinds]
        lines += [f"  {name}: {mine} / {theirs}" for name, (mine, theirs) in self.settings.items()]
        for title, pairs in (("largest losses", self.losses), ("largest gains", self.gains)):
            lines += [f"  {title} of a:"] if pairs else []
            lines += [f"    {p.difference:+.3f} {p.question.id} {p.question.text}" for p in pairs]
        first = next(iter([*self.losses, *self.gains]), None)
        if first is not None:
            opened = f"results.inspect({first.question.id!r}, {self.a!r}, {self.b!r})"
            lines.append(f"  look at one: {opened}")
        return "\n".join(lines)


def sentence(found: Difference) -> str:
    """A difference in words."""
    i = found.interval
    return (
        f"{found.over}: {i.mean:+.3f}{bounds(i.low, i.high)}, p = {found.p:.2g},"
        f" n = {i.n}: a better on {found.won}, worse on {found.lost}, the same on {found.tied}"
    )


def diff(results: Results, a: TrialRun, b: TrialRun, measure: str | None) -> Diff:
    """Compare two finished trials.

    Args:
        measure: one that was measured; the one that is chosen by, else the first, where None.

    Raises:
        SpecError: a trial has no scores, or the measure wasn't measured.
    """
    name = measured(results, measure)
    ours, theirs = (results.scores(scored(trial)).arrays[name] for trial in (a, b))
    values = ours - theirs
    splits = ((None, "all"), ("dev", "dev"), ("test", "test"))
    found = [
        difference(results, values, results.rows(split), over=said, measure=name)
        for split, said in splits
        if len(results.rows(split))
    ]
    every = results.rows(None)
    kinds = kinds_of(results, every)
    pairs = [
        Paired(results.questions_asked[row], float(ours[row]), float(theirs[row]))
        for row in every.tolist()
    ]
    return Diff(
        a=a.id,
        b=b.id,
        labels=(results.label(a), results.label(b)),
        measure=name,
        settings=_settings(results.params(a), results.params(b)),
        differences=tuple(found),
        kinds=tuple(
            difference(results, values, rows, over=kind, measure=name)
            for kind, rows in kinds.items()
        )
        if len(kinds) > 1
        else (),
        pairs=tuple(sorted(pairs, key=lambda pair: pair.difference)),
    )


def _settings(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What differs, `–` where a trial hasn't the setting."""
    names = dict.fromkeys([*a, *b])
    return {
        name: (a.get(name, "–"), b.get(name, "–")) for name in names if a.get(name) != b.get(name)
    }
