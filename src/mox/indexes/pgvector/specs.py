"""pgvector's indexes: their settings and limits, as pgvector 0.8 has them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from mox.errors import SpecError
from mox.indexes.pgvector import sizes
from mox.spec import IndexSpec, SearchSettings

Column = Literal["vector", "halfvec", "bit"]
OPCLASSES: Mapping[Column, str] = {
    "vector": "vector_cosine_ops",
    "halfvec": "halfvec_cosine_ops",
    "bit": "bit_hamming_ops",
}
INDEXED_DIMS: Mapping[Column, int] = {"vector": 2_000, "halfvec": 4_000, "bit": 64_000}
"""Dimensions that an index takes at most."""
HELD_DIMS = 16_000
"""Dimensions that a column takes at most."""
LEAST_VERSION = (0, 8)
"""The first with iterative scans."""
MOST_HITS = 16_384
"""Ours, the same as Milvus': beyond it a search is an export."""
SCANNED = 20_000
"""pgvector's default of `hnsw.max_scan_tuples`."""


class PgSearch(SearchSettings):
    """Searches of a table. `rerank` is for bits alone."""

    rerank: int | None = Field(None, ge=1, le=MOST_HITS)
    """Candidates by the bits' Hamming distance that are compared again by their whole vectors
    (`column: bit` only; of no effect elsewhere). Ten for each place where it is not set."""

    def on(self, index: IndexSpec, k: int) -> Self:
        bits = isinstance(index, PgSpec) and index.column == "bit"
        rerank = (self.rerank or self._usual(k)) if bits else None
        return self.model_copy(update={"rerank": rerank})

    def _usual(self, k: int) -> int:
        return min(10 * k, MOST_HITS)

    def asked(self, k: int) -> int:
        """How many rows the index itself is asked for."""
        return self.rerank or k

    def check(self, index: IndexSpec, k: int) -> None:
        if k > MOST_HITS:
            raise SpecError(f"{index.kind}: k = {k} is an export.", mend=f"set k ≤ {MOST_HITS}.")
        if self.rerank is not None and self.rerank < k:
            raise SpecError(
                f"{index.kind}: rerank = {self.rerank} candidates cannot fill k = {k} places.",
                mend=f"set rerank to {k} or more, or lower k.",
            )


class HnswSearch(PgSearch):
    """Searches of a graph."""

    rerank: int | None = Field(None, ge=1, le=MOST_HITS)
    """Candidates by the bits' Hamming distance that are compared again by their whole vectors
    (`column: bit` only; of no effect elsewhere). Where it is not set, all `ef_search` candidates,
    k at least; ten for each place where scans are iterative."""
    ef_search: int = Field(40, ge=1, le=1_000)
    """Candidates kept while the graph is walked: more finds more, more slowly. At least k, and
    at least `rerank` on bits, unless scans are iterative: PostgreSQL gives no more rows than
    these, whatever its LIMIT. 40 is pgvector's default."""
    iterative: Literal["off", "strict_order", "relaxed_order"] = "off"
    """Whether a scan goes on where a filter left too few: `strict_order` keeps the order of
    distances, `relaxed_order` finds more (Mox sorts what comes)."""
    max_scan_tuples: int | None = Field(None, ge=1, le=2**31 - 1)
    """Rows after which an iterative scan gives up, 20,000 where it is not set; of no effect
    where scans aren't iterative. Memory never ends a scan before."""

    def on(self, index: IndexSpec, k: int) -> Self:
        scanned = None if self.iterative == "off" else self.max_scan_tuples or SCANNED
        return super().on(index, k).model_copy(update={"max_scan_tuples": scanned})

    def _usual(self, k: int) -> int:
        return super()._usual(k) if self.iterative != "off" else max(self.ef_search, k)

    def check(self, index: IndexSpec, k: int) -> None:
        super().check(index, k)
        asked, what = self.asked(k), "rerank" if self.rerank else "k"
        if self.iterative == "off" and self.ef_search < asked:
            raise SpecError(
                f"{index.kind}: ef_search = {self.ef_search} cannot give {what} = {asked} rows.",
                mend=f"set ef_search to {asked} or more (1,000 at most), lower {what}, or let scans"
                " be `iterative`.",
            )


class IvfflatSearch(PgSearch):
    """Searches of an inverted file."""

    probes: int = Field(1, ge=1, le=32_768)
    """Cells that are looked through, of `lists`: more finds more, more slowly. 1 is pgvector's
    default; some √lists is the usual choice."""
    iterative: Literal["off", "relaxed_order"] = "off"
    """Whether more cells are looked through where a filter left too few."""
    max_probes: int | None = Field(None, ge=1, le=32_768)
    """Cells after which an iterative scan gives up, all of them where it is not set; of no
    effect where scans aren't iterative."""

    def on(self, index: IndexSpec, k: int) -> Self:
        lists = index.lists if isinstance(index, Ivfflat) else None
        most = None if self.iterative == "off" else self.max_probes or lists
        return super().on(index, k).model_copy(update={"max_probes": most})

    def check(self, index: IndexSpec, k: int) -> None:
        super().check(index, k)
        if not isinstance(index, Ivfflat):
            return
        for name, cells in (("probes", self.probes), ("max_probes", self.max_probes)):
            if cells is not None and cells > index.lists:
                raise SpecError(
                    f"{index.kind}: {name} = {cells} is more than its lists = {index.lists}.",
                    mend=f"set {name} to {index.lists} or less, or raise lists.",
                )
        if self.max_probes is not None and self.max_probes < self.probes:
            raise SpecError(
                f"{index.kind}: max_probes = {self.max_probes} is under probes = {self.probes}.",
                mend="raise max_probes, or lower probes.",
            )


class PgSpec(IndexSpec):
    """Build settings of a table of pgvector, compared by cosine."""

    Search: ClassVar[type[SearchSettings]] = PgSearch
    method: ClassVar[str | None] = None
    """The access method of its index; None where it has none."""
    column: Column = "vector"
    """How vectors are held: whole, rounded to 16 bits a dimension, or (beside the whole ones) as
    one bit a dimension, whose best are compared again by the whole ones."""

    def options(self) -> dict[str, int]:
        """The index' own settings, under pgvector's names."""
        return {}

    def check_dims(self, dims: int) -> None:
        """Refuse (SpecError) vectors of more dimensions than it can hold."""
        most = INDEXED_DIMS[self.column] if self.method else HELD_DIMS
        most = min(most, HELD_DIMS)  # whole vectors stand beside the bits
        if dims > most:
            raise SpecError(
                f"{self.kind} with column: {self.column} takes {most:,} dimensions at most, not"
                f" {dims:,}.",
                mend="use `column: halfvec` (4,000) or `column: bit`, another embedder, or an index"
                " of Milvus.",
            )

    def formula_bytes(self, rows: int, dims: int) -> int:
        """Bytes of what answers, vectors included: pages as PostgreSQL fills them."""
        return sizes.table(rows, dims, self.column)

    def memory_bytes(self, rows: int, dims: int) -> int:
        """Working memory that a build needs, to be done at once and in memory."""
        return 0


class PgExact(PgSpec):
    """No index: each query is compared with every row, and with bits with every row's bits."""

    kind: Literal["pgvector"] = "pgvector"


class PgHnsw(PgSpec):
    """A graph of vectors."""

    kind: Literal["pgvector_hnsw"] = "pgvector_hnsw"
    Search: ClassVar[type[SearchSettings]] = HnswSearch
    method: ClassVar[str | None] = "hnsw"
    m: int = Field(16, ge=2, le=100)
    """Links per node, twice as many in the lowest layer: more find more and take more memory."""
    ef_construction: int = Field(64, ge=4, le=1_000)
    """Candidates looked at when a node is linked, 2 × m at least: more make a better graph, more
    slowly."""

    @model_validator(mode="after")
    def _wide_enough(self) -> Self:
        if self.ef_construction < 2 * self.m:
            raise ValueError(
                f"ef_construction = {self.ef_construction} is under 2 × m = {2 * self.m},"
                " which pgvector refuses"
            )
        return self

    def options(self) -> dict[str, int]:
        return {"m": self.m, "ef_construction": self.ef_construction}

    def formula_bytes(self, rows: int, dims: int) -> int:
        beside = sizes.table(rows, dims, self.column) if self.column == "bit" else 0
        return beside + sizes.graph(rows, dims, self.column, self.m)

    def memory_bytes(self, rows: int, dims: int) -> int:
        return sizes.graph_memory(rows, dims, self.column, self.m)


class Ivfflat(PgSpec):
    """Cells around centroids; a search looks through the nearest few."""

    kind: Literal["pgvector_ivfflat"] = "pgvector_ivfflat"
    Search: ClassVar[type[SearchSettings]] = IvfflatSearch
    method: ClassVar[str | None] = "ivfflat"
    lists: int = Field(100, ge=1, le=32_768)
    """Cells, at most as many as there are rows; rows / 1,000 is the usual choice. 100 is
    pgvector's default."""

    def options(self) -> dict[str, int]:
        return {"lists": self.lists}

    def formula_bytes(self, rows: int, dims: int) -> int:
        beside = sizes.table(rows, dims, self.column) if self.column == "bit" else 0
        return beside + sizes.cells(rows, dims, self.column, self.lists)

    def memory_bytes(self, rows: int, dims: int) -> int:
        return sizes.cells_memory(rows, dims, self.column, self.lists)


SPECS: tuple[type[PgSpec], ...] = (PgExact, PgHnsw, Ivfflat)


def check_engine(spec: IndexSpec, engine: Mapping[str, str]) -> None:
    """Refuse an engine without pgvector, or with one that is too old.

    Raises:
        SpecError: names what the engine has.
    """
    version = engine.get("pgvector", "")
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    if numbers < LEAST_VERSION:
        has = f"pgvector {version}" if version else "no pgvector"
        raise SpecError(
            f"{spec.kind} needs pgvector 0.8.0 or newer; this PostgreSQL"
            f" ({engine['version']}) has {has}.",
            mend="install it on the server and run `alter extension vector update`, or unset"
            " MOX_POSTGRES_URI to use the embedded one.",
        )
