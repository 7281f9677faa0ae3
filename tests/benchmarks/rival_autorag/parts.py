"""CPU seconds by part and texts embedded, from what the probe noted."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rival_autorag.job import question_hashes

CORPUS = "embedding the corpus, each text once"
AGAIN = "embedding questions and what was embedded before"
START = "start, imports, loading the model"
CHUNKING = "chunking"
SWEEP = "retrieval, fusion, scoring"
REST = "planning, store, results"
PARTS = (CORPUS, AGAIN, START, CHUNKING, SWEEP, REST)

Note = dict[str, Any]


class Embedded(NamedTuple):
    """Texts that were given to the model. `calls` of `encode`, as the library is called."""

    texts: int
    distinct: int
    of_corpus: int
    calls: int


class Taken(NamedTuple):
    """What one run of one side took."""

    parts: Mapping[str, float]
    """CPU seconds by part; they add up to the whole."""
    embedded: Embedded
    peak_mb: float
    wall_s: float

    def document(self) -> dict[str, Any]:
        """For the table and for JSON.

        `outside`: CPU seconds besides the first embedding of the corpus; `work`: besides that,
        and besides starting, importing and loading the model that embeds.
        """
        total = sum(self.parts.values())
        outside = total - self.parts[CORPUS]
        return {
            "cpu_s": dict(self.parts),
            "total": total,
            "outside": outside,
            "work": outside - self.parts[START],
            "embedded": self.embedded._asdict(),
            "peak_mb": self.peak_mb,
            "wall_s": self.wall_s,
        }


def read(path: Path) -> list[Note]:
    """The probe's lines; none where no process had anything to note."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def of_kind(notes: Iterable[Note], *kinds: str) -> list[Note]:
    return [note for note in notes if note["what"] in kinds]


def covered(notes: Iterable[Note]) -> float:
    """CPU seconds that passed in their processes while any of these calls was under way.

    Calls in several threads overlap, and each one's own clock counts what the others do.
    """
    total = 0.0
    by_process: dict[int, list[tuple[float, float]]] = {}
    for note in notes:
        spans = by_process.setdefault(note["pid"], [])
        spans.append((note["so_far"] - note["cpu"], note["so_far"]))
    for spans in by_process.values():
        reached = 0.0
        for begin, end in sorted(spans):
            total += max(0.0, end - max(begin, reached))
            reached = max(reached, end)
    return total


def embeddings(notes: Sequence[Note], corpus: Path) -> tuple[float, float, Embedded]:
    """CPU seconds of the corpus' first embedding and of all other, and the count of texts.

    A call that brings a text of the corpus for the first time is counted whole as the first
    embedding; both sides embed their corpora in large calls.
    """
    asked = question_hashes(corpus)
    calls = of_kind(notes, "encode")
    seen: Counter[str] = Counter()
    first, other = [], []
    for call in calls:
        fresh = [text for text in call["texts"] if text not in seen and text not in asked]
        (first if fresh else other).append(call)
        seen.update(call["texts"])
    corpus_s = covered(first)
    return (
        corpus_s,
        covered(calls) - corpus_s,
        Embedded(
            texts=sum(seen.values()),
            distinct=len(seen),
            of_corpus=sum(count for text, count in seen.items() if text not in asked),
            calls=len(calls),
        ),
    )
