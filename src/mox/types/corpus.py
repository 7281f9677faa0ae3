"""Documents, questions and what answers them; chunks.

Offsets are half-open and count Unicode code points of a document's parsed text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from mox.spec import canonical, digest

if TYPE_CHECKING:
    from mox.types.arrays import Ints


class Span(NamedTuple):
    """Half-open [start, end) of one document's text, in code points."""

    document: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Document:
    """One parsed source. `sha256` is of the source's bytes."""

    id: str
    text: str
    sha256: str
    media_type: str = "text/plain"
    uri: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What answers a question, whatever the chunking: spans, or whole documents with grades.

    `groups`: *all of* these, each *any of* its spans. `grades`: document id → grade (qrels).
    At most one of the two is given; neither means unanswerable.
    """

    groups: tuple[tuple[Span, ...], ...] = ()
    grades: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Question:
    """One labelled question. `group` is the unit of resampling: topic, article or document."""

    id: str
    text: str
    group: str
    evidence: Evidence
    split: str | None = None
    """`dev` or `test`; None where the corpus brings no split."""
    kind: str = ""
    answer: str | None = None

    @property
    def answerable(self) -> bool:
        return bool(self.evidence.groups or self.evidence.grades)


@dataclass(frozen=True)
class Corpus:
    """Documents and questions in order.

    `left_out`: question id → why a loader left it out (never silently).
    """

    name: str
    documents: tuple[Document, ...]
    questions: tuple[Question, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)
    about: Mapping[str, str] = field(default_factory=dict)
    """Licence, source, description: what a report says of it."""

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over all of the documents that a chunker sees: ids, texts, media types and what
        metadata they have, in order. Not over where they lie (`uri`), nor their sources' bytes.
        """
        state = hashlib.sha256()
        for document in self.documents:
            # A document without metadata has the fingerprint that it had before they counted.
            about = f"\0{canonical(dict(document.metadata))}" if document.metadata else ""
            for part in (document.id, document.text, document.media_type + about):
                raw = part.encode()
                state.update(len(raw).to_bytes(8, "little"))
                state.update(raw)
        return state.hexdigest()

    @cached_property
    def questions_fingerprint(self) -> str:
        """SHA-256 over everything that is said of the questions."""
        return digest(
            [
                [q.id, q.text, q.group, q.split, q.kind, q.answer,
                 q.evidence.groups, dict(q.evidence.grades)]
                for q in self.questions
            ]
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Chunk:
    """What is embedded, apart from what is returned: verbatim spans of one document."""

    document: str
    spans: tuple[tuple[int, int], ...]
    text: str
    """The embedded text; the spans' text unless a chunker adds context such as a heading path."""


@dataclass(frozen=True)
class ChunkTable:
    """All chunks of a corpus, column by column, **in tie order**.

    Rows stand by document id descending (trec_eval's order of ties), then by start, then by
    end. So a row number is a chunk's id within the table, and wherever scores are equal the
    lower row comes first; nothing ever sorts hits by anything else.

    `document`: (rows,) index into `documents`. `first`: (rows + 1,) where each row's spans
    begin in `start` and `end`. `texts`: the embedded texts.
    """

    documents: tuple[str, ...]
    document: Ints
    first: Ints
    start: Ints
    end: Ints
    texts: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.texts)

    def spans(self, row: int) -> list[tuple[int, int]]:
        """The returned spans of a row, in order."""
        return [
            (int(self.start[i]), int(self.end[i]))
            for i in range(self.first[row], self.first[row + 1])
        ]
