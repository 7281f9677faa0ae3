"""Graphs on a disk: rounded vectors in memory find candidates, whole ones on the disk rank them.

Run nowhere here (the wheel's server is built without): translated from Milvus' documentation,
and held to what pymilvus sends.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from mox.errors import SpecError
from mox.indexes.milvus.specs.base import INT32, MilvusSearch, MilvusSpec
from mox.spec import IndexSpec, SearchSettings

GIB = 1 << 30


class SearchList(MilvusSearch):
    """Searches of DISKANN."""

    search_list: int = Field(100, ge=1, le=INT32)
    """Candidates kept while the graph is walked: more finds more, more slowly. At least k."""
    beamwidth: int | None = Field(None, ge=1, le=128)
    """Reads from the disk at once. Null leaves it to the server, whose own file may overrule
    what a search asks."""

    def check(self, index: IndexSpec, k: int) -> None:
        super().check(index, k)
        if self.search_list < k:
            raise SpecError(
                f"{index.kind}: search_list = {self.search_list} cannot fill k = {k} places.",
                mend=f"set search_list to {k} or more, or lower k.",
            )


class DiskAnn(MilvusSpec):
    """A graph on a fast disk. What is null stands in the server's own file: before 2.6 nothing
    can be set for one index."""

    Search: ClassVar[type[SearchSettings]] = SearchList
    kind: Literal["DISKANN"] = "DISKANN"
    max_degree: int | None = Field(None, ge=1, le=2048)
    """Links per node; a server's file says 56 where nobody changed it."""
    search_list_size: int | None = Field(None, ge=1, le=INT32)
    """Candidates looked at when a node is linked; a server's file says 100."""
    pq_code_budget_gb_ratio: float | None = Field(None, gt=0, le=0.25)
    """Memory for the rounded vectors, as a share of the whole ones; a server's file says
    0.125."""
    search_cache_budget_gb_ratio: float | None = Field(None, ge=0, lt=0.3)
    """Memory for nodes that are often passed, as a share of the whole vectors; a server's file
    says 0.1."""

    def formula_bytes(self, rows: int, dims: int) -> int:
        codes = 0.125 if self.pq_code_budget_gb_ratio is None else self.pq_code_budget_gb_ratio
        cache = self.search_cache_budget_gb_ratio
        return int((codes + (0.1 if cache is None else cache)) * rows * dims * 4)

    def disk_bytes(self, rows: int, dims: int) -> int:
        return rows * (dims * 4 + (self.max_degree or 56) * 4)


class AisaqSearch(MilvusSearch):
    """Searches of AISAQ."""

    search_list: int = Field(100, ge=1, le=512)
    """Candidates kept while the graph is walked: more finds more, more slowly. At least k."""
    beamwidth: int = Field(2, ge=1, le=16)
    """Nodes that are read from the disk at once."""
    vectors_beamwidth: int = Field(1, ge=1, le=4)
    """Whole vectors that are read from the disk at once."""

    def check(self, index: IndexSpec, k: int) -> None:
        super().check(index, k)
        if self.search_list < k:
            raise SpecError(
                f"{index.kind}: search_list = {self.search_list} cannot fill k = {k} places.",
                mend=f"set search_list to {k} or more (512 at most), or lower k.",
            )


class Aisaq(MilvusSpec):
    """As DISKANN, with the rounded vectors on the disk too: next to no memory."""

    Search: ClassVar[type[SearchSettings]] = AisaqSearch
    most_hits: ClassVar[int] = 512
    kind: Literal["AISAQ"] = "AISAQ"
    max_degree: int = Field(48, ge=1, le=512)
    """Links per node."""
    search_list_size: int = Field(100, ge=1, le=512)
    """Candidates looked at when a node is linked."""
    inline_pq: int = Field(-1, ge=-1, le=2048)
    """Neighbours whose rounded vectors lie beside a node; -1 lets the engine fit them, and more
    than `max_degree` are none."""
    pq_cache_size: int = Field(0, ge=0, le=GIB)
    """Bytes of memory for rounded vectors."""
    rearrange: bool = True
    """Order the rounded vectors on the disk by nearness."""
    pq_read_io_engine: Literal["aio", "uring"] = "aio"
    """How they are read from the disk."""
    num_entry_points: int = Field(100, ge=0, le=1000)
    """Nodes where a search may begin."""
    pq_read_page_cache_size: int = Field(5 << 20, ge=0, le=32 << 20)
    """Bytes of memory for pages that were read."""

    def formula_bytes(self, rows: int, dims: int) -> int:
        """The memory that it is given for rounded vectors; pages and entry points apart."""
        return self.pq_cache_size

    def disk_bytes(self, rows: int, dims: int) -> int:
        """Whole vectors and links; what `inline_pq` adds depends on the engine."""
        return rows * (dims * 4 + self.max_degree * 4)
