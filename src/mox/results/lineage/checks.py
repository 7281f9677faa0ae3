"""What is stored of a trial, held against what it comes to when it is worked out anew."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from mox.results.lineage.asked import TOLERANCE
from mox.results.lineage.chain import Link

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mox.results.lineage.explain import Measured
    from mox.results.results import Results
    from mox.results.run import TrialRun

    Values = NDArray[np.float64]


def chain_problems(links: Sequence[Link]) -> Iterator[str]:
    """Damaged artifacts, and those whose key isn't of what is noted of them."""
    for link in links:
        name = f"{link.ref.kind} {link.ref.key[:12]}"
        if link.damage:
            yield f"{name}: {link.damage}; its experiment run again redoes it"
        if link.proved is False:
            yield f"{name}: its key is not the hash of what is noted of its making"


def worked_out(
    results: Results, trial: TrialRun, links: Sequence[Link]
) -> tuple[dict[str, Values], list[str]]:
    """(questions,) values by measure, worked out from hits and evidence; and which differ."""
    import numpy as np

    from mox.evaluation.cuts import TokenEnds
    from mox.evaluation.measures import Measure
    from mox.evaluation.relevance import prepare
    from mox.evaluation.score import score

    [link] = (link for link in links if link.ref == trial.roles["score"])
    ends = None
    if "tokens" in link.inputs:
        arrays = results.store.read(*link.inputs["tokens"]).arrays
        ends = TokenEnds(arrays["first"], arrays["ends"])
    sources = {document.id: document.text for document in results.documents.values()}
    relevance = prepare(results.chunks(trial), results.questions_asked, ends=ends, sources=sources)
    measures = [Measure.parse(name) for name in results.run.measures]
    anew = score(relevance, measures, results.hits(trial)).values
    stored = results.scores(trial).arrays
    said = []
    for name, values in anew.items():
        same = np.isclose(stored[name], values, rtol=0, atol=TOLERANCE, equal_nan=True)
        if not same.all():
            at = int(np.flatnonzero(~same)[0])
            why = f" ({link.outdated})" if link.outdated else ""
            said.append(
                f"{name}: {int((~same).sum())} of {len(same)} questions come to other values than"
                f" are stored{why}, first {results.questions_asked[at].id}: {values[at]:.6f},"
                f" stored {stored[name][at]:.6f}"
            )
    return anew, said


def mean_problems(measures: Sequence[Measured]) -> Iterator[str]:
    """Means that are reported otherwise than the values worked out anew come to."""
    for one in measures:
        for split, found in one.splits.items():
            if not math.isclose(found.interval.mean, found.anew, rel_tol=0, abs_tol=TOLERANCE):
                yield (
                    f"{one.measure} on {split}: the mean is reported as {found.interval.mean:.6f}"
                    f" and comes to {found.anew:.6f}"
                )


def corpus_problems(results: Results) -> Iterator[str]:
    """Whether the stored documents and questions are those that the run's record names."""
    from mox.types import Corpus

    said = results.run.corpus
    found = Corpus(said["name"], tuple(results.documents.values()), results.questions_asked)
    for name in ("fingerprint", "questions_fingerprint"):
        if getattr(found, name) != said[name]:
            yield f"the corpus' {name.replace('_', ' ')} is not what the run's record says"
