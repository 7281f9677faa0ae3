"""What is searched and what is found: rows, hits, and the protocols of indexes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from mox.spec import IndexSpec, SearchSettings, Spec
    from mox.types.arrays import Floats, Ints


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
    """Seconds of making, filling, indexing, loading (where that is a step of its own) and
    verifying a collection; those of connecting, and of starting an embedded engine, are not."""


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
    """What the collection takes on disk, texts aside; None where it can't be told."""
    no_disk: str = "its back end doesn't say"
    """Why it can't be told, where it can't."""


class IndexServer(Protocol):
    """What a back end may have besides: collections for separate client processes."""

    def served(self, spec: IndexSpec, place: Place) -> AbstractContextManager[Served]:
        """Have a built collection ready for other processes as long as the context lasts."""
