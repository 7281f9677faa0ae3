"""What a metric is shown, and the protocol of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from mox.types.corpus import ChunkTable, Question


@dataclass(frozen=True, slots=True)
class Passage:
    """One hit as its reader sees it: the verbatim text within the cut."""

    document: str
    spans: tuple[tuple[int, int], ...]
    """What is seen of the document; the last passage of a token budget may be cut short."""
    text: str
    """The spans' text, joined by nothing."""
    score: float
    """The search's own; higher is better."""
    row: int
    """The chunk's row in `Shown.chunks`."""


@dataclass(frozen=True, slots=True)
class Shown:
    """All that a metric may look at: one question and what a search shows its reader."""

    question: Question
    passages: tuple[Passage, ...]
    """Best first, up to the cut; empty where nothing was found."""
    cut: int
    """What the measure asks for: `cut` hits, or passages until `cut` tokens are spent."""
    unit: str
    """`hits` or `tokens`."""
    chunks: ChunkTable
    """The whole table that was searched: what could have been found."""
    documents: Mapping[str, str]
    """Text of each document by its id."""


class Metric(Protocol):
    """Judges what one answerable question is shown: a value in [0, 1], more is better."""

    def __call__(self, spec: Any, shown: Shown, /) -> float: ...
