"""What a reader gets to see of one trial's hits for one question, by the evaluation's own code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from mox.evaluation.measures import Measure
from mox.evaluation.ours import OURS
from mox.types import ChunkTable, Hits, Question

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mox.evaluation.cuts import TokenEnds
    from mox.evaluation.relevance import Relevance
    from mox.results.results import Results
    from mox.results.run import TrialRun

    Whole = NDArray[np.int64]


OF_CHUNKS = ("omega", "set_omega")
"""Our metrics of a chunking: of all the chunks that touch evidence, found or not."""


@dataclass(frozen=True)
class Closely:
    """One question's hits by themselves.

    `rows`: (hits,) their rows in the trial's chunk table, by rank. `table`: only those rows and
    those that touch the evidence, or the whole; `hits` counts in it. `ends`: their tokens, made
    from the documents' text. `sources`: text of each document by id, for third parties' metrics.
    """

    question: Question
    rows: tuple[int, ...]
    table: ChunkTable
    hits: Hits
    ends: TokenEnds | None
    sources: Mapping[str, str]

    @cached_property
    def relevance(self) -> Relevance:
        from mox.evaluation.relevance import prepare

        return prepare(self.table, [self.question], ends=self.ends, sources=self.sources)

    def nothing(self, measure: Measure) -> bool:
        """Whether there is nothing to measure: no hit, or no chunk where chunks are measured.

        What a third party's metric makes of no hit is its own affair.
        """
        if measure.metric not in OURS:
            return False
        return not (len(self.table) if measure.metric in OF_CHUNKS else self.rows)

    def value(self, measure: Measure) -> float:
        """The measure by the evaluation's own code; NaN for an unanswerable question."""
        from mox.evaluation.score import score

        if self.nothing(measure):
            return 0.0 if self.question.answerable else float("nan")
        return float(score(self.relevance, [measure], self.hits).values[str(measure)][0])

    def kept(self, measure: Measure) -> tuple[int, ...]:
        """(hits,) code points that the measure sees of each hit's returned text."""
        import numpy as np

        from mox.evaluation.cuts import first_hits, within_tokens

        if not self.rows:
            return ()
        texts, local = self.relevance.texts, self.hits.ids.astype(np.int64)
        if measure.unit == "tokens":
            context, _ = within_tokens(texts, local, measure.cut)
            found = context.kept[0]
        elif self.question.evidence.groups:
            found = np.zeros(len(self.rows), dtype=np.int64)
            found[: measure.cut] = first_hits(texts, local, measure.cut).kept[0]
        else:
            first = _in_first_documents(self.table, local[0], measure.cut)
            found = np.where(first, texts.length[local[0]], 0)
        return tuple(found.tolist())


def closely(
    results: Results, trial: TrialRun, at: int, *, tokens: bool, whole: bool = False
) -> Closely:
    """A trial's hits for question number `at`, by themselves.

    Args:
        tokens: whether to measure their tokens, which a context budget is cut by.
        whole: whether to keep the whole chunk table, which third parties' metrics are shown.
    """
    import numpy as np

    from mox.retrieval.hits import ranked

    question = results.questions_asked[at]
    found = results.hits(trial)
    ids, scores = found.ids[at], found.scores[at]
    ids, scores = ids[ids >= 0].astype(np.int64), scores[ids >= 0]
    chunks = results.chunks(trial)
    rows = np.arange(len(chunks)) if whole else np.union1d(ids, _touching(chunks, question))
    table = part_of(chunks, rows)
    sources = {name: document.text for name, document in results.documents.items()}
    ends = _token_ends(results, trial, table) if tokens and len(rows) else None
    here = ranked(np.searchsorted(rows, ids)[None], scores[None], k=max(1, len(ids)))
    return Closely(question, tuple(ids.tolist()), table, here, ends, sources)


def seen(
    results: Results, trial: TrialRun, at: int, measure: Measure
) -> tuple[tuple[int, ...], float]:
    """How far a measure looks down a trial's hits for question number `at`.

    Returns:
        Code points seen of each hit's returned text, 0 beyond the cut; and the measure's value,
        NaN for an unanswerable question.
    """
    found = closely(results, trial, at, tokens=measure.unit == "tokens")
    return found.kept(measure), found.value(measure)


def part_of(table: ChunkTable, rows: Whole) -> ChunkTable:
    """Some rows of a chunk table, ascending, as a table."""
    import numpy as np

    from mox.evaluation.arrays import ranges

    first = table.first.astype(np.int64)
    _, spans = ranges(first[rows], first[rows + 1])
    sizes = first[rows + 1] - first[rows]
    return ChunkTable(
        documents=table.documents,
        document=table.document[rows],
        first=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32),
        start=table.start[spans],
        end=table.end[spans],
        texts=tuple(table.texts[row] for row in rows.tolist()),
    )


def _touching(table: ChunkTable, question: Question) -> Whole:
    """Rows that share a character with the question's evidence, or merely touch it."""
    import numpy as np

    row = np.repeat(np.arange(len(table)), np.diff(table.first))
    document = table.document[row]
    touched = np.zeros(len(row), dtype=bool)
    for one in (span for group in question.evidence.groups for span in group):
        same = document == table.documents.index(one.document)
        touched |= same & (table.start <= one.end) & (table.end >= one.start)
    return np.unique(row[touched])


def _token_ends(results: Results, trial: TrialRun, table: ChunkTable) -> TokenEnds:
    """The tokens of each row's returned text, as the stage `tokens` makes them."""
    import numpy as np

    from mox.chunking.tokenizers import open_tokenizer
    from mox.evaluation.cuts import TokenEnds
    from mox.pipeline.work import returned_text

    tokenizer = open_tokenizer(trial.config["tokenizer"])
    texts = {name: document.text for name, document in results.documents.items()}
    ends = [tokenizer.ends(returned_text(table, row, texts)) for row in range(len(table))]
    first = np.cumsum([0, *map(len, ends)])
    return TokenEnds(first.astype(np.int32), np.concatenate(ends))


def _in_first_documents(table: ChunkTable, rows: Whole, cut: int) -> NDArray[np.bool_]:
    """(hits,) whether a hit is of one of the first `cut` documents: what a rank cut counts
    where evidence is whole documents."""
    import numpy as np

    documents = table.document[rows]
    _, first = np.unique(documents, return_index=True)
    allowed = documents[np.sort(first)[:cut]]
    return np.isin(documents, allowed)
