"""Why trials differ: what each setting does to a measure, and how much of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mox.results.compare.effects import Effect, Level, effects
from mox.results.paired import bounds, measured, plain, ranked_on, rows_of

if TYPE_CHECKING:
    import pandas as pd

    from mox.results.results import Results
    from mox.results.show.figures import Figure


@dataclass(frozen=True)
class Why:
    """Effects of settings on one measure, the one that explains most first.

    `split` and `questions`: what the means are over. `trials`: how many finished.
    """

    measure: str
    split: str
    questions: int
    trials: int
    effects: tuple[Effect, ...]

    @property
    def df(self) -> pd.DataFrame:
        """A row per setting and value: share of variance, trials, mean with bounds, and the
        matched difference to the reference value with bounds, p and cells."""
        import pandas as pd

        return pd.DataFrame([_row(effect, level) for effect in self.effects
                             for level in effect.levels])  # fmt: skip

    def document(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "measure": self.measure,
            "on": self.split,
            "effects": [
                {
                    "setting": effect.setting,
                    "share_of_variance": effect.share,
                    "reference": effect.reference,
                    "values": [_level(level) for level in effect.levels],
                    "notes": list(effect.notes),
                }
                for effect in self.effects
            ],
        }

    def chart(self) -> Figure:
        """The means with their intervals, a panel per setting."""
        from mox.results.show.why_view import chart

        return chart(self)

    def save(self, path: str | Path) -> Path:
        """Write it as an .html file that needs nothing else."""
        from mox.results.show.markup import save_page

        return save_page(path, self._repr_html_(), f"What {self.measure} depends on")

    def _repr_html_(self) -> str:
        from mox.results.show.why_view import drawn

        return drawn(self)

    def __repr__(self) -> str:
        if len(self.effects) == 1:
            return "\n".join([self.about, *lines(self.effects[0]), *self.effects[0].notes])
        from mox.results.show.why_view import CAVEAT

        said = [line for effect in self.effects for line in lines(effect)]
        return "\n".join([self.about, *said, CAVEAT])

    @property
    def about(self) -> str:
        """What the figures are over."""
        where = "all" if self.split == "all" else self.split
        return (
            f"{self.measure} on {where} ({self.questions} questions), {self.trials} finished trials"
        )


def why(results: Results, axis: str | None, measure: str | None) -> Why:
    """What settings do to a measure.

    Args:
        axis: a setting (`chunk.size`), an axis (`chunk`), or None for all settings that vary.
        measure: the one that is chosen by, else the first, where None.

    Raises:
        SpecError: an unknown setting or measure, a setting with one value, no finished trial.
    """
    name = measured(results, measure)
    split = ranked_on(results)
    return Why(
        measure=name,
        split=split,
        questions=len(rows_of(results, split)),
        trials=len(results.finished),
        effects=effects(results, name, axis),
    )


def lines(effect: Effect) -> list[str]:
    """An effect as text."""
    width = max(len(level.value) for level in effect.levels)
    said = [f"{effect.setting}: {100 * effect.share:.0f} % of the variance between trials"]
    for level in effect.levels:
        line = f"  {level.value:<{width}}  {level.mean}  over {level.trials} trials"
        if level.difference:
            i = level.difference.interval
            line += (
                f"; matched with {effect.reference} ({level.cells} cells): {i.mean:+.3f}"
                f"{bounds(i.low, i.high)}"
            )
        said.append(line)
    return said


def _row(effect: Effect, level: Level) -> dict[str, Any]:
    found = level.difference
    return {
        "setting": effect.setting,
        "share": effect.share,
        "value": level.value,
        "trials": level.trials,
        "mean": level.mean.mean,
        "low": level.mean.low,
        "high": level.mean.high,
        "reference": effect.reference,
        "difference": found.interval.mean if found else None,
        "difference low": found.interval.low if found else None,
        "difference high": found.interval.high if found else None,
        "p": found.p if found else None,
        "cells": level.cells,
        "matched": level.matched,
    }


def _level(level: Level) -> dict[str, Any]:
    return {
        "value": level.value,
        "trials": level.trials,
        **plain(level.mean),
        "difference": level.difference.document() if level.difference else None,
        "cells": level.cells,
        "matched": level.matched,
    }
