"""Fusions that fail where they are told to, and a retriever that says little of itself."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np

from mox.registry import versions
from mox.retrieval import fusions, retrievers
from mox.retrieval.hits import ranked
from mox.spec import Spec
from mox.types import Hits


class Plain(Spec):
    """The first list, scored anew; takes one setting at a time."""

    kind: Literal["toy-plain"] = "toy-plain"
    number: int = 0
    """What row 0 is worth."""


class Many(Spec):
    """The same, for several settings at once; `wrong` says what goes wrong with this one."""

    kind: Literal["toy-many"] = "toy-many"
    number: int = 0
    """What row 0 is worth."""
    wrong: Literal["no", "raise", "crash"] = "no"
    """Nothing, an error, or the end of the process."""


@fusions.register(Plain, fingerprint=lambda _: versions("mox-toy"))
def plain(spec: Plain | Many, lists: Sequence[Hits], /, *, k: int) -> Hits:
    """Fuse, or fail."""
    wrong = getattr(spec, "wrong", "no")
    if wrong == "raise":
        raise ZeroDivisionError(f"toy {spec.number}")
    if wrong == "crash":
        os._exit(3)
    scores = np.where(lists[0].ids == 0, np.float32(spec.number), lists[0].scores)
    return ranked(lists[0].ids, scores, k=k)


def many(specs: Sequence[Many], lists: Sequence[Hits], /, *, k: int) -> Iterator[Hits]:
    """`plain` for each."""
    for spec in specs:
        yield plain(spec, lists, k=k)


fusions.register(Many, fingerprint=lambda _: versions("mox-toy"), many=many)(plain)


class Words(Spec):
    """Words that text and query share."""

    kind: Literal["toy-words"] = "toy-words"


@retrievers.register(Words, fingerprint=lambda _: versions("mox-toy"))
def words(_: Words, texts: Sequence[str], queries: Sequence[str], /, *, k: int) -> Any:
    """Count them."""
    bags = [set(text.split()) for text in texts]
    counts = np.array([[len(bag & set(q.split())) for bag in bags] for q in queries], dtype=float)
    counts = counts.reshape(len(queries), len(texts))
    hits = ranked(np.tile(np.arange(len(texts)), (len(queries), 1)),
                  np.where(counts > 0, counts, -np.inf), k=k)  # fmt: skip
    return hits.ids, hits.scores
