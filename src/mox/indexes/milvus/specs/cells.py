"""Inverted files: cells around centroids, of which a search looks through the nearest few."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field

from mox.errors import SpecError
from mox.indexes.milvus.specs.base import (
    BITS,
    INT32,
    MOST_CELLS,
    PAGE_BYTES,
    MilvusSearch,
    MilvusSpec,
    Refined,
    RefineK,
    check_codes,
    check_divides,
)
from mox.spec import IndexSpec, SearchSettings


class NprobeSearch(MilvusSearch):
    """Searches of an inverted file."""

    nprobe: int = Field(8, ge=1, le=MOST_CELLS)
    """Cells that are looked through, of `nlist`: more finds more, more slowly. Few cells may
    hold fewer than k rows. 8 is a server's default (Lite's is 10); more than nlist is refused
    by us, since engines clip it and two settings would be one."""

    def check(self, index: IndexSpec, k: int) -> None:
        super().check(index, k)
        nlist = getattr(index, "nlist", MOST_CELLS)
        if self.nprobe > nlist:
            raise SpecError(
                f"{index.kind}: nprobe = {self.nprobe} is more than its nlist = {nlist}.",
                mend=f"set nprobe to {nlist} or less, or raise nlist.",
            )


class RefinedNprobe(RefineK, NprobeSearch):
    """Searches of an inverted file of rounded vectors."""


class RabitqSearch(RefinedNprobe):
    """Searches of an inverted file of sign bits."""

    rbq_query_bits: int = Field(0, ge=0, le=8)
    """Bits that a query's dimensions are rounded to; 0 leaves them whole."""

    def engine_params(self, k: int) -> dict[str, Any]:
        # Milvus documents one name and its engine reads the other, and what a search doesn't
        # know it ignores.
        return {**super().engine_params(k), "rbq_bits_query": self.rbq_query_bits}


class ReorderSearch(NprobeSearch):
    """Searches of SCANN."""

    reorder_k: int | None = Field(None, ge=1, le=INT32)
    """Candidates that are ranked again by the raw vectors: at least k, which null stands for.
    Of an index without them a sweep takes null."""

    def on(self, index: IndexSpec, k: int) -> Self:
        raw = getattr(index, "with_raw_data", True)
        update = {"reorder_k": (self.reorder_k or k) if raw else None}
        return super().on(index, k).model_copy(update=update)

    def check(self, index: IndexSpec, k: int) -> None:
        super().check(index, k)
        if self.reorder_k is None:
            return
        if self.reorder_k < k:
            raise SpecError(
                f"{index.kind}: reorder_k = {self.reorder_k} cannot fill k = {k} places.",
                mend=f"set reorder_k to {k} or more, or lower k.",
            )
        if not getattr(index, "with_raw_data", True):
            raise SpecError(
                f"{index.kind}: reorder_k = {self.reorder_k} has no raw data to rank by.",
                mend="build it with `with_raw_data: true`, or leave reorder_k out.",
            )

    def engine_params(self, k: int) -> dict[str, Any]:
        return {"nprobe": self.nprobe, "reorder_k": self.reorder_k or k}


class InvertedFile(MilvusSpec):
    """Cells around centroids; a search looks through the nearest few."""

    Search: ClassVar[type[SearchSettings]] = NprobeSearch
    nlist: int = Field(128, ge=1, le=MOST_CELLS)
    """Cells. At most as many as there are rows, which shows when it is built; some 4·√rows is
    the usual choice, and below 39 rows a cell faiss calls the training thin. 128 is the
    default of all engines but 2.3.5, which has none."""

    def check_rows(self, rows: int) -> None:
        if self.nlist > rows:
            raise SpecError(
                f"{self.kind}: nlist = {self.nlist} cells for {rows} vectors.",
                mend=f"set nlist to {rows} or less; some {round(4 * rows**0.5)} is usual.",
            )

    def formula_bytes(self, rows: int, dims: int) -> int:
        return rows * (dims * 4 + 8) + self.nlist * dims * 4

    def resident_bytes(self, rows: int, dims: int) -> int:
        # The codes of each cell are a block of their own. A large one begins and ends inside a
        # page; a small one is rounded up to one of four sizes in each doubling.
        rounded = min(self.nlist * PAGE_BYTES, self.formula_bytes(rows, dims) // 8)
        return super().resident_bytes(rows, dims) + rounded


class IvfFlat(InvertedFile):
    """Cells of whole vectors."""

    kind: Literal["IVF_FLAT"] = "IVF_FLAT"


class IvfSq8(Refined, InvertedFile):
    """Cells of vectors rounded to 8 bits a dimension, or to fewer on newer servers."""

    Search: ClassVar[type[SearchSettings]] = RefinedNprobe
    newer: ClassVar[frozenset[str]] = frozenset({"refine", "sq_type"})
    kind: Literal["IVF_SQ8"] = "IVF_SQ8"
    sq_type: Literal["SQ4", "SQ6", "SQ8"] = "SQ8"
    """Bits a dimension is rounded to."""

    @property
    def code_bits(self) -> float:
        return BITS[self.sq_type]

    def formula_bytes(self, rows: int, dims: int) -> int:
        codes = rows * dims * BITS[self.sq_type] // 8 + rows * 8
        return codes + (self.nlist + 2) * dims * 4 + self.refined_bytes(rows, dims)


class IvfPq(Refined, InvertedFile):
    """Cells of vectors cut into parts, each rounded to the nearest of a few learnt codes."""

    Search: ClassVar[type[SearchSettings]] = RefinedNprobe
    names: ClassVar[Mapping[str, str]] = {"pq_m": "m", "pq_nbits": "nbits"}
    kind: Literal["IVF_PQ"] = "IVF_PQ"
    pq_m: int = Field(ge=1, le=MOST_CELLS)
    """Parts that a vector is cut into; divides its dimensions. Milvus' `m`. Without `refine`
    it is what limits recall: 0.71 at dims / 8, whatever nprobe (measured)."""
    pq_nbits: int = Field(8, ge=1, le=24)
    """Bits of a part's code: 2**pq_nbits are learnt, of as many rows at least. Milvus' `nbits`;
    its CPU code is made for 8."""

    def check_dims(self, dims: int) -> None:
        check_divides(self, "pq_m", self.pq_m, dims)

    def check_rows(self, rows: int) -> None:
        super().check_rows(rows)
        check_codes(self, self.pq_nbits, rows)

    def formula_bytes(self, rows: int, dims: int) -> int:
        codes = rows * (self.pq_m * self.pq_nbits / 8 + 8)
        learnt = self.nlist * dims * 4 + (1 << self.pq_nbits) * dims * 4
        return int(codes) + learnt + self.refined_bytes(rows, dims)


class IvfRabitq(Refined, InvertedFile):
    """Cells of the signs of rotated vectors, a bit a dimension; good from some 128 dimensions
    on, and with `refine`."""

    Search: ClassVar[type[SearchSettings]] = RabitqSearch
    newer: ClassVar[frozenset[str]] = frozenset({"refine", "rbq_bits"})
    kind: Literal["IVF_RABITQ"] = "IVF_RABITQ"
    rbq_bits: int = Field(1, ge=1, le=9)
    """Bits a dimension is rounded to."""

    @property
    def code_bits(self) -> float:
        return self.rbq_bits

    def formula_bytes(self, rows: int, dims: int) -> int:
        codes = rows * dims * self.rbq_bits // 8 + rows * 16
        return codes + self.nlist * dims * 4 + self.refined_bytes(rows, dims)


class Scann(InvertedFile):
    """Cells of 4-bit codes for few dimensions each, compared many at a time by the processor."""

    Search: ClassVar[type[SearchSettings]] = ReorderSearch
    newer: ClassVar[frozenset[str]] = frozenset({"sub_dim"})
    kind: Literal["SCANN"] = "SCANN"
    with_raw_data: bool = True
    """Keep the whole vectors too, by which searches rank their candidates again. Sent as text:
    of a boolean Milvus 2.3.5 makes what it cannot read, and builds for ever."""
    sub_dim: int = Field(2, ge=1, le=MOST_CELLS)
    """Dimensions to a code; divides those of the vectors."""

    def check_dims(self, dims: int) -> None:
        check_divides(self, "sub_dim", self.sub_dim, dims)

    def formula_bytes(self, rows: int, dims: int) -> int:
        codes = rows * dims // (2 * self.sub_dim) + rows * 8
        raw = rows * dims * 4 if self.with_raw_data else 0
        return codes + self.nlist * dims * 4 + raw
