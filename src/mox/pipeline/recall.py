"""Recall under load: of all that was answered, not of one calm pass before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mox.evaluation.agreement import DIFFERS, recall_by_id, recall_of_exact
from mox.loadgen import Round
from mox.types import Hits

if TYPE_CHECKING:
    from mox.types import Floats, Ints


@dataclass(frozen=True)
class Truth:
    """What exact search finds, and by what it compares."""

    hits: Hits
    """(queries, >=k)."""
    vectors: Floats
    queries: Floats
    k: int


def under_load(rounds: Sequence[Round], truth: Truth) -> dict[str, Any]:
    """Recall by id and tie-aware over all answers, and how many were short.

    Rows past those that the index was built with are a writer's: of an answer that has w of them
    the other k − w places are judged, against the k − w nearest of the built rows.

    Returns:
        `recall` {`by_id`, `tie_aware`, `differ`: whether by more than `DIFFERS`}, None for both
        without an answer; `short_answers`: those with fewer hits than there were rows to find.
    """
    import numpy as np

    query = np.concatenate([one.query for one in rounds])
    ids = np.concatenate([one.ids for one in rounds])[:, : truth.k]
    if not len(query):
        return {"recall": {"by_id": None, "tie_aware": None, "differ": False}, "short_answers": 0}
    # Most answers repeat, so each is judged once.
    rows, times = np.unique(np.column_stack([query, ids]), axis=0, return_counts=True)
    asked, found = rows[:, 0], rows[:, 1:]
    there = (truth.hits.ids[:, : truth.k] >= 0).sum(axis=1)[asked]
    short = int(times[(found >= 0).sum(axis=1) < there].sum())
    foreign = (found >= len(truth.vectors)).sum(axis=1)
    sums, counted = np.zeros(2), 0
    for w in np.unique(foreign[foreign < truth.k]).tolist():
        some = foreign == w
        one = _judged(asked[some], _own(found[some], len(truth.vectors)), truth, truth.k - w)
        sums += [(part * times[some]).sum() for part in one]
        counted += int(times[some].sum())
    by_id, tied = (float(value) / counted if counted else None for value in sums)
    differ = by_id is not None and tied is not None and abs(by_id - tied) > DIFFERS
    return {
        "recall": {"by_id": by_id, "tie_aware": tied, "differ": differ},
        "short_answers": short,
    }


def _own(found: Ints, rows: int) -> Ints:
    """Hits that the index was built with, moved up over the others."""
    import numpy as np

    kept = np.where(found >= rows, -1, found)
    order = np.argsort(kept < 0, axis=1, kind="stable")
    moved: Ints = np.take_along_axis(kept, order, axis=1)
    return moved


def _judged(asked: Ints, found: Ints, truth: Truth, k: int) -> tuple[Any, Any]:
    import numpy as np

    exact = Hits(truth.hits.ids[asked], truth.hits.scores[asked])
    hits = Hits(found, np.zeros(found.shape, dtype=np.float32))
    queries = truth.queries[asked]
    return (
        recall_by_id(hits, exact, k=k),
        recall_of_exact(hits, exact, k=k, vectors=truth.vectors, queries=queries),
    )
