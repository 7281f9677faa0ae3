"""The nouns that every room shares, and the protocols that rooms hand each other.

Offsets are half-open and count Unicode code points of a document's parsed text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from mox.spec import digest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mox.spec import IndexSpec, SearchSettings, Spec

    Floats = NDArray[np.float32]
    Ints = NDArray[np.int32]
    Arrays = Mapping[str, NDArray[Any]]


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
        """SHA-256 over the documents' ids and texts: equal corpora have equal fingerprints."""
        state = hashlib.sha256()
        for document in self.documents:
            for part in (document.id, document.text, document.media_type):
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


@dataclass(frozen=True)
class Hits:
    """What a search found. Made by `mox.retrieval.hits.ranked` alone, which sets the order.

    `ids`: (queries, k) int32 rows of a chunk table, best first, padded with -1.
    `scores`: (queries, k) float32, higher is better, padded with -inf.
    `least`: the score that no hit of this search could ever be under; None where nobody says.
    """

    ids: Ints
    scores: Floats
    least: float | None = None

    @property
    def k(self) -> int:
        return int(self.ids.shape[1])


class Tokenizer(Protocol):
    """Sizes and cuts, in tokens of a named vocabulary. Exact on any text without surrogates."""

    name: str

    def count(self, text: str) -> int:
        """Number of tokens of a text by itself."""

    def ends(self, text: str) -> Ints:
        """(tokens,) the code-point offset at which each token of `text` ends.

        A character split over several tokens ends with the first of them.
        """


class Embedder(Protocol):
    """A loaded model."""

    dims: int

    def embed(self, texts: Sequence[str]) -> Floats:
        """(texts, dims) float32 vectors of length 1; all zero is legal and comes last."""

    def tokens(self, texts: Sequence[str]) -> Ints:
        """(texts,) tokens of each text as this model counts them, special tokens included."""


@dataclass(frozen=True)
class Rows:
    """What an index is built from. A back end refuses by name what it cannot hold."""

    vectors: Floats | None = None
    """(rows, dims) float32."""
    sparse: Sequence[Mapping[int, float]] | None = None
    texts: Sequence[str] | None = None
    fields: Mapping[str, Ints] = field(default_factory=dict)
    """(rows,) whole numbers by a name that is an identifier: what a filter may ask for."""


@dataclass(frozen=True, slots=True)
class Where:
    """A filter of a search: rows whose number in a field is under a bound."""

    field: str
    """A column of `Rows.fields`."""
    below: int

    def __str__(self) -> str:
        """As Milvus and SQL both read it."""
        return f"{self.field} < {self.below}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a collection lives: its name, and a server's URI or a folder of the state."""

    name: str
    folder: Path
    uri: str | None = None


@dataclass(frozen=True, slots=True)
class Built:
    """What was read back from an engine after a build, and what the build took."""

    rows: int
    parameters: Mapping[str, Any]
    index_bytes: int
    bytes_are: str
    """`measured` where the engine's files were readable, else `formula`."""
    build_s: float


@dataclass(frozen=True, slots=True)
class Asked:
    """Questions by vector and by text."""

    vectors: Floats
    """(queries, dims) float32."""
    texts: Sequence[str]
    """(queries,)"""


class Searcher(Protocol):
    """An opened collection of vectors."""

    def search(
        self, queries: Floats, *, k: int, settings: SearchSettings, where: Where | None = None
    ) -> tuple[Ints, Floats]:
        """(queries, k) row ids and scores as the engine answers, padded with -1 and -inf.

        Scores: higher is better. `where`: only rows that pass it are found.
        """


class TextSearcher(Protocol):
    """An opened collection of texts."""

    def search_texts(
        self, queries: Sequence[str], *, k: int, settings: SearchSettings
    ) -> tuple[Ints, Floats]:
        """(queries, k) row ids and scores, padded with -1 and -inf.

        Scores: higher is better; comparable within one query only. A query none of whose words
        the engine knows finds nothing.
        """


class PairSearcher(Protocol):
    """An opened collection of vectors and texts, whose engine fuses the two sides itself."""

    def search_pairs(
        self, queries: Asked, *, k: int, depth: int, fusion: Spec, settings: SearchSettings
    ) -> tuple[Ints, Floats]:
        """(queries, k) row ids and fused scores, padded with -1 and -inf.

        Args:
            depth: hits of each side that fusion sees, k or more.
        """


class IndexBackend(Protocol):
    """Builds, opens and drops collections of one or more kinds of index."""

    def engine(self, uri: str | None) -> Mapping[str, str]:
        """Name and version of the engine at a URI (None: embedded), as a fingerprint.

        Raises:
            EngineError: it is away; said within seconds.
        """

    def check(self, spec: IndexSpec, engine: Mapping[str, str]) -> None:
        """Refuse what this engine's version cannot build, naming what it has (SpecError)."""

    def build(self, spec: IndexSpec, rows: Rows, place: Place) -> Built:
        """Build a collection, flush it, and verify what the engine says that it built.

        Raises:
            EngineError: the engine is away, refused, or built something else.
        """

    def open(self, spec: IndexSpec, place: Place) -> AbstractContextManager[Any]:
        """Open a built collection for searching; leaving the context gives everything back.

        What is opened is a Searcher, a TextSearcher or a PairSearcher, by what the Spec `holds`.
        """

    def rows(self, place: Place) -> int | None:
        """How many rows the engine has there; None where there is no such collection."""

    def drop(self, place: Place) -> None:
        """Remove a collection; no error where there is none."""


class Writable(Searcher, Protocol):
    """An opened collection that is written to while it is searched.

    Its searches may find rows past those that it was built with.
    """

    def insert(self, ids: Ints, rows: Rows) -> None:
        """Add (n,) rows under numbers past those that it was built with; returns when taken.

        Args:
            rows: n of them, with all fields that the collection has.
        """

    def delete(self, ids: Ints) -> None:
        """Remove rows that were inserted; none that it was built with."""


class IndexWriter(Protocol):
    """What a back end may have besides: collections that take inserts (`load` with `inserts`)."""

    def writable(self, spec: IndexSpec, place: Place) -> AbstractContextManager[Writable]:
        """Open a built collection for searching and writing; see `IndexBackend.open`."""


@dataclass(frozen=True, slots=True)
class Served:
    """A collection that several processes may open at once, and what is known of its engine."""

    place: Place
    """Where they open it."""
    address: str | None = None
    """URI on which the engine listens, by which its process is found."""
    pid: int | None = None
    """The engine's process, where it is known without looking."""
    in_client: bool = False
    """Whether each client is its own engine, so that the two can't be told apart."""
    releases: bool = False
    """Whether an engine gives memory back when a collection is closed."""
    consistency: str = "not stated"
    """What a search is promised to see."""
    cold: str = "every connection opened anew"
    """What closing and opening does to it: what `cold` means there."""
    disk_bytes: int | None = None
    """What the collection takes on disk, texts aside; None where the engine doesn't say."""


class IndexServer(Protocol):
    """What a back end may have besides: collections for separate client processes."""

    def served(self, spec: IndexSpec, place: Place) -> AbstractContextManager[Served]:
        """Have a built collection ready for other processes as long as the context lasts."""


class CorpusLoader(Protocol):
    """Reads a labelled corpus. `base` is the folder that relative paths start from."""

    def __call__(self, spec: Any, base: Path, /) -> Corpus: ...


class Chunker(Protocol):
    """Cuts one document. The caller verifies spans, order and size."""

    def __call__(
        self, spec: Any, document: Document, tokenizer: Tokenizer, /
    ) -> Iterator[Chunk]: ...


class Retriever(Protocol):
    """Searches texts themselves, without vectors: BM25 and its like.

    Returns (queries, texts-at-most k) rows and scores, unordered ties allowed; what scores
    nothing is left out by -1.
    """

    def __call__(
        self, spec: Any, texts: Sequence[str], queries: Sequence[str], /, *, k: int
    ) -> tuple[Ints, Floats]: ...


class Fusion(Protocol):
    """Fuses several hit lists of the same queries into one score matrix' best k."""

    def __call__(self, spec: Any, lists: Sequence[Hits], /, *, k: int) -> Hits: ...


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
