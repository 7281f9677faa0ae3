"""A trial question by question: scores and hits, nothing averaged."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mox.results.run import TrialRun

if TYPE_CHECKING:
    import pandas as pd

    from mox.results.results import Results


@dataclass(frozen=True)
class Hit:
    """One hit: a chunk's returned spans in its document, and its score."""

    document: str
    spans: tuple[tuple[int, int], ...]
    score: float


@dataclass(frozen=True)
class QuestionScore:
    """One question of one trial. `scores` is empty for an unanswerable question."""

    id: str
    text: str
    split: str | None
    kind: str
    scores: Mapping[str, float]
    hits: tuple[Hit, ...]


@dataclass(frozen=True)
class QuestionScores:
    """All questions of one trial, in the corpus' order."""

    trial: str
    rows: tuple[QuestionScore, ...]

    @property
    def df(self) -> pd.DataFrame:
        """A row per question: id, split, kind, text, and a column per measure."""
        import pandas as pd

        return pd.DataFrame(
            [
                {"id": row.id, "split": row.split, "kind": row.kind, "text": row.text, **row.scores}
                for row in self.rows
            ]
        )

    def document(self) -> dict[str, Any]:
        """The JSON form: `{"questions": [{"id", "split", "scores", "hits"}]}`, no padding."""
        return {
            "questions": [
                {
                    "id": row.id,
                    "split": row.split,
                    "scores": dict(row.scores),
                    "hits": [
                        {
                            "document": hit.document,
                            "spans": [list(span) for span in hit.spans],
                            "score": hit.score,
                        }
                        for hit in row.hits
                    ],
                }
                for row in self.rows
            ]
        }

    def _repr_html_(self) -> str:
        return str(self.df._repr_html_())  # type: ignore[operator]


def question_scores(results: Results, trial: TrialRun) -> QuestionScores:
    """Read one finished trial's scores and hits."""
    arrays = results.scores(trial).arrays
    rows = []
    for at, question in enumerate(results.questions_asked):
        scores = {name: float(arrays[name][at]) for name in results.run.measures}
        rows.append(
            QuestionScore(
                id=question.id,
                text=question.text,
                split=question.split,
                kind=question.kind,
                scores={name: value for name, value in scores.items() if not math.isnan(value)},
                hits=question_hits(results, trial, at),
            )
        )
    return QuestionScores(trial.id, tuple(rows))


def question_hits(results: Results, trial: TrialRun, at: int) -> tuple[Hit, ...]:
    """A trial's hits for question number `at`, best first."""
    hits, table = results.hits(trial), results.chunks(trial)
    return tuple(
        Hit(
            document=table.documents[table.document[row]],
            spans=tuple(table.spans(row)),
            score=float(score),
        )
        for row, score in zip(hits.ids[at].tolist(), hits.scores[at].tolist(), strict=True)
        if row >= 0
    )
