"""Graphs: each vector is linked to near ones, and a search walks from link to link."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from mox.errors import SpecError
from mox.indexes.milvus.specs.base import (
    BITS,
    INT32,
    MOST_CELLS,
    MilvusSearch,
    MilvusSpec,
    Refined,
    RefineK,
    check_codes,
    check_divides,
)
from mox.spec import IndexSpec, SearchSettings


class EfSearch(MilvusSearch):
    """Searches of a graph."""

    ef: int = Field(64, ge=1, le=INT32)
    """Candidates kept while the graph is walked: more finds more, more slowly. At least k: a
    server refuses less, and Milvus Lite answers it worse without a word. 64 is Lite's default;
    a server's depends on its version."""

    def check(self, index: IndexSpec, k: int) -> None:
        super().check(index, k)
        if self.ef < k:
            raise SpecError(
                f"{index.kind}: ef = {self.ef} cannot fill k = {k} places.",
                mend=f"set ef to {k} or more, or lower k.",
            )


class RefinedEf(RefineK, EfSearch):
    """Searches of a graph of rounded vectors."""


_NAMES: Mapping[str, str] = {"m": "M", "ef_construction": "efConstruction"}
_PQ_NAMES: Mapping[str, str] = {**_NAMES, "pq_m": "m", "pq_nbits": "nbits"}


class _Graph(MilvusSpec):
    Search: ClassVar[type[SearchSettings]] = EfSearch
    names: ClassVar[Mapping[str, str]] = _NAMES
    m: int = Field(16, ge=2, le=2048)
    """Links per node: more find more and take more memory. Milvus' `M`. Milvus 2.3.5 accepts 1
    and then builds for ever, so 2 is the least. 16 is Lite's default; knowhere's is 30."""
    ef_construction: int = Field(200, ge=1, le=INT32)
    """Candidates looked at when a node is linked: more make a better graph, more slowly. 200 is
    Lite's default; knowhere's is 360."""

    def graph_bytes(self, rows: int, codes: float) -> int:
        """Bytes of the links, and of codes of so many bytes a row."""
        return int(rows * (codes + 8 * self.m + 16))


class Hnsw(_Graph):
    """A graph of whole vectors."""

    kind: Literal["HNSW"] = "HNSW"

    def formula_bytes(self, rows: int, dims: int) -> int:
        return self.graph_bytes(rows, dims * 4)


class _RefinedGraph(Refined, _Graph):
    Search: ClassVar[type[SearchSettings]] = RefinedEf
    refine_type: Literal["SQ4U", "SQ6", "SQ8", "FP16", "BF16", "FP32"] = "FP32"  # type: ignore[assignment]
    """How precise the second copy is; at least as the first. Of no meaning without `refine`."""


class HnswSq(_RefinedGraph):
    """A graph of vectors rounded to a few bits a dimension; Milvus Lite has 8 alone."""

    kind: Literal["HNSW_SQ"] = "HNSW_SQ"
    sq_type: Literal["SQ4U", "SQ6", "SQ8", "BF16", "FP16"] = "SQ8"
    """What a dimension is rounded to: whole numbers of 4, 6 or 8 bits, or floats of 16."""

    @property
    def code_bits(self) -> float:
        return BITS[self.sq_type]

    def formula_bytes(self, rows: int, dims: int) -> int:
        codes = dims * BITS[self.sq_type] / 8
        return self.graph_bytes(rows, codes) + self.refined_bytes(rows, dims)


class HnswPq(_RefinedGraph):
    """A graph of vectors cut into parts, each rounded to the nearest of a few learnt codes."""

    names: ClassVar[Mapping[str, str]] = _PQ_NAMES
    kind: Literal["HNSW_PQ"] = "HNSW_PQ"
    pq_m: int = Field(32, ge=1, le=MOST_CELLS)
    """Parts that a vector is cut into; divides its dimensions. Milvus' `m`, which here would
    be taken for the links."""
    pq_nbits: int = Field(8, ge=1, le=24)
    """Bits of a part's code: 2**pq_nbits are learnt, of as many rows at least."""

    def check_dims(self, dims: int) -> None:
        check_divides(self, "pq_m", self.pq_m, dims)

    def check_rows(self, rows: int) -> None:
        check_codes(self, self.pq_nbits, rows)

    def formula_bytes(self, rows: int, dims: int) -> int:
        codes = self.pq_m * self.pq_nbits / 8
        learnt = (1 << self.pq_nbits) * dims * 4
        return self.graph_bytes(rows, codes) + learnt + self.refined_bytes(rows, dims)


class HnswPrq(_RefinedGraph):
    """As HNSW_PQ, and what a code leaves over is rounded again, `nrq` times in all: finer, and
    the slowest of the family to build."""

    names: ClassVar[Mapping[str, str]] = _PQ_NAMES
    kind: Literal["HNSW_PRQ"] = "HNSW_PRQ"
    pq_m: int = Field(2, ge=1, le=MOST_CELLS)
    """Parts that a vector is cut into; divides its dimensions. Milvus' `m`, which here would
    be taken for the links."""
    nrq: int = Field(2, ge=1, le=16)
    """Times that a part is rounded, each time what the last one left."""
    pq_nbits: int = Field(8, ge=1, le=24)
    """Bits of a part's code: 2**pq_nbits are learnt, of as many rows at least."""

    def check_dims(self, dims: int) -> None:
        check_divides(self, "pq_m", self.pq_m, dims)

    def check_rows(self, rows: int) -> None:
        check_codes(self, self.pq_nbits, rows)

    def formula_bytes(self, rows: int, dims: int) -> int:
        codes = self.pq_m * self.nrq * self.pq_nbits / 8
        learnt = self.nrq * (1 << self.pq_nbits) * dims * 4
        return self.graph_bytes(rows, codes) + learnt + self.refined_bytes(rows, dims)
