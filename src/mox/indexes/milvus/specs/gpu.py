"""Indexes on a GPU: they need Milvus' image for one.

They compare by inner product, which of vectors of length 1 is the cosine: Milvus documents that
its GPU indexes have no cosine of their own. Run nowhere here: translated from Milvus'
documentation, and held to what pymilvus sends.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from mox.errors import SpecError
from mox.indexes.milvus.specs.base import (
    INT32,
    MOST_CELLS,
    MOST_HITS,
    MilvusSearch,
    MilvusSpec,
    check_divides,
)
from mox.indexes.milvus.specs.cells import InvertedFile, NprobeSearch
from mox.spec import IndexSpec, SearchSettings

MOST_HITS_GPU = 1_024
"""Hits per query of all but brute force, as documented."""


class GpuSpec(MilvusSpec):
    """An index on a GPU, compared by the inner product of vectors of length 1."""

    metric_type: ClassVar[str] = "IP"
    most_hits: ClassVar[int] = MOST_HITS_GPU


class GpuBruteForce(GpuSpec):
    """No index, on a GPU: exact."""

    most_hits: ClassVar[int] = MOST_HITS
    kind: Literal["GPU_BRUTE_FORCE"] = "GPU_BRUTE_FORCE"


class GpuIvfFlat(InvertedFile, GpuSpec):
    """Cells of whole vectors, on a GPU."""

    newer: ClassVar[frozenset[str]] = frozenset({"kmeans_n_iters", "kmeans_trainset_fraction"})
    kind: Literal["GPU_IVF_FLAT"] = "GPU_IVF_FLAT"
    cache_dataset_on_device: bool = False
    """Keep the whole vectors on the GPU too."""
    kmeans_n_iters: int = Field(20, ge=1, le=INT32)
    """Rounds in which the cells' centroids are learnt."""
    kmeans_trainset_fraction: float = Field(0.5, gt=0, le=1)
    """Share of the rows that they are learnt from."""


class RefineRatio(NprobeSearch):
    """Searches of product quantisation on a GPU."""

    refine_ratio: float = Field(1.0, ge=1)
    """Candidates that are ranked again by the whole vectors, in multiples of k."""


class GpuIvfPq(InvertedFile, GpuSpec):
    """Cells of vectors cut into parts, each rounded to a learnt code, on a GPU."""

    Search: ClassVar[type[SearchSettings]] = RefineRatio
    names: ClassVar[Mapping[str, str]] = {"pq_m": "m", "pq_nbits": "nbits"}
    kind: Literal["GPU_IVF_PQ"] = "GPU_IVF_PQ"
    pq_m: int = Field(0, ge=0, le=MOST_CELLS)
    """Parts that a vector is cut into; divides its dimensions. Milvus' `m`. 0 lets the GPU's
    library choose."""
    pq_nbits: int = Field(8, ge=4, le=8)
    """Bits of a part's code. Milvus' `nbits`."""
    cache_dataset_on_device: bool = False
    """Keep the whole vectors on the GPU too."""

    def check_dims(self, dims: int) -> None:
        check_divides(self, "pq_m", self.pq_m, dims)

    def formula_bytes(self, rows: int, dims: int) -> int:
        """With the library's choice of parts taken for dims / 2."""
        parts = self.pq_m or dims // 2
        return int(rows * (parts * self.pq_nbits / 8 + 8)) + self.nlist * dims * 4


class CagraSearch(MilvusSearch):
    """Searches of a graph on a GPU, or of one that was moved to the processor (`ef`)."""

    itopk_size: int = Field(64, ge=1, le=INT32)
    """Candidates kept while the graph is walked, rounded up to 32: more finds more, more
    slowly."""
    search_width: int = Field(1, ge=1, le=INT32)
    """Nodes from which each round of the walk goes on."""
    min_iterations: int = Field(0, ge=0, le=INT32)
    """Rounds at least; 0 lets the library choose."""
    max_iterations: int = Field(0, ge=0, le=INT32)
    """Rounds at most; 0 lets the library choose."""
    team_size: Literal[0, 2, 4, 8, 16, 32] = 0
    """Threads that compare one vector; 0 lets the library choose."""
    refine_ratio: float = Field(1.0, ge=1)
    """Candidates that are ranked again by the whole vectors, in multiples of k."""
    ef: int | None = Field(None, ge=1, le=INT32)
    """As of HNSW, where the index was built with `adapt_for_cpu`, and only there: of either
    kind of index a sweep takes only its own settings."""

    def on(self, index: IndexSpec, k: int) -> Self:
        if getattr(index, "adapt_for_cpu", False):
            return self.model_validate({"ef": self.ef})
        return super().on(index, k).model_copy(update={"ef": None})

    def check(self, index: IndexSpec, k: int) -> None:
        super().check(index, k)
        on_cpu = getattr(index, "adapt_for_cpu", False)
        if on_cpu != (self.ef is not None):
            raise SpecError(
                f"{index.kind}: adapt_for_cpu = {on_cpu} with ef = {self.ef}.",
                mend="search an index that was adapted for the processor with `ef`, and one on"
                " the GPU without.",
            )
        for name, field in type(self).model_fields.items():
            if on_cpu and name != "ef" and getattr(self, name) != field.default:
                raise SpecError(
                    f"{index.kind}: {name} means nothing to an index on the processor.",
                    mend=f"leave {name} out, or build without `adapt_for_cpu`.",
                )
        if self.ef is not None and self.ef < k:
            raise SpecError(
                f"{index.kind}: ef = {self.ef} cannot fill k = {k} places.",
                mend=f"set ef to {k} or more, or lower k.",
            )
        kept = 32 * max(-(-self.itopk_size // 32), self.search_width)
        if not on_cpu and kept < k:
            raise SpecError(
                f"{index.kind}: itopk_size = {self.itopk_size} and search_width ="
                f" {self.search_width} keep {kept} candidates for k = {k} places.",
                mend=f"set itopk_size to {k} or more, or lower k.",
            )

    def engine_params(self, k: int) -> dict[str, Any]:
        if self.ef is not None:
            return {"ef": self.ef}
        return super().engine_params(k)


class GpuCagra(GpuSpec):
    """A graph, on a GPU."""

    Search: ClassVar[type[SearchSettings]] = CagraSearch
    kind: Literal["GPU_CAGRA"] = "GPU_CAGRA"
    intermediate_graph_degree: int = Field(128, ge=1, le=INT32)
    """Links per node before they are thinned out."""
    graph_degree: int = Field(64, ge=1, le=INT32)
    """Links per node that are left; fewer than before."""
    build_algo: Literal["IVF_PQ", "NN_DESCENT"] = "NN_DESCENT"
    """How near vectors are found when it is built."""
    nn_descent_niter: int = Field(20, ge=1, le=INT32)
    """Rounds of NN_DESCENT."""
    cache_dataset_on_device: bool = False
    """Keep the whole vectors on the GPU too."""
    adapt_for_cpu: bool = False
    """Build on the GPU, search on the processor as HNSW does."""

    @model_validator(mode="after")
    def _check_degrees(self) -> GpuCagra:
        if self.graph_degree >= self.intermediate_graph_degree:
            raise ValueError(
                f"graph_degree = {self.graph_degree} must be less than"
                f" intermediate_graph_degree = {self.intermediate_graph_degree}"
            )
        return self

    def formula_bytes(self, rows: int, dims: int) -> int:
        """On the GPU; while it is built, 1.8 times the whole vectors, as documented."""
        return rows * (dims * 4 + self.graph_degree * 4)
