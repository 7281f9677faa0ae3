"""Indexes of bits: the signs of a vector's numbers, a bit a dimension, 32 times smaller.

A bit is set where the number is above 0. What these indexes call near is near in signs, so
their recall is the share of the *cosine's* neighbours that the signs find: what is lost by the
rounding counts, and ties between equal distances fall as the engine lets them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from mox.errors import SpecError
from mox.indexes.milvus.specs.base import INT32, MilvusSearch, MilvusSpec
from mox.indexes.milvus.specs.cells import InvertedFile, NprobeSearch
from mox.spec import IndexSpec, SearchSettings

if TYPE_CHECKING:
    from mox.types import Floats


class BinFlat(MilvusSpec):
    """No index of bits: exact by them."""

    data_type: ClassVar[str] = "BINARY_VECTOR"
    kind: Literal["BIN_FLAT"] = "BIN_FLAT"
    metric: Literal["HAMMING", "JACCARD"] = "HAMMING"
    """HAMMING counts the bits that differ: a score is 1 - 2·differing / dims, the cosine of the
    signs, in [-1, 1]. JACCARD is the share of the set bits that both have: a score in [0, 1],
    and 0 to all where no number is above 0."""

    @property
    def sent_metric(self) -> str:
        return self.metric

    @property
    def least(self) -> float:
        return -1.0 if self.metric == "HAMMING" else 0.0

    def check_dims(self, dims: int) -> None:
        if dims % 8:
            raise SpecError(
                f"{self.kind}: bits of {dims} dimensions do not fill whole bytes.",
                mend="use an embedder whose dimensions are a multiple of 8.",
            )

    def pack(self, vectors: Floats) -> list[bytes]:
        """(rows, dims) float32 → dims / 8 bytes a row, the first dimension in the highest bit."""
        import numpy as np

        return [row.tobytes() for row in np.packbits(vectors > 0, axis=1)]

    def scores(self, distances: Floats, dims: int) -> Floats:
        found: Floats = 1 - distances * (2 / dims if self.metric == "HAMMING" else 1)
        return found

    def formula_bytes(self, rows: int, dims: int) -> int:
        return rows * dims // 8


class BinIvfFlat(BinFlat, InvertedFile):
    """Cells of bits."""

    Search: ClassVar[type[SearchSettings]] = NprobeSearch
    kind: Literal["BIN_IVF_FLAT"] = "BIN_IVF_FLAT"  # type: ignore[assignment]

    def formula_bytes(self, rows: int, dims: int) -> int:
        return rows * dims // 8 + rows * 8 + self.nlist * dims // 8


class MinHashSearch(MilvusSearch):
    """Searches of MinHash signatures."""

    mh_search_with_jaccard: bool = False
    """Rank candidates again by the signatures themselves."""
    refine_k: int = Field(1, ge=1, le=INT32)
    """Candidates that are ranked again, in multiples of k."""
    mh_lsh_batch_search: bool = False
    """Look many queries up at once."""

    def check(self, index: IndexSpec, k: int) -> None:
        super().check(index, k)
        if self.mh_search_with_jaccard and not getattr(index, "with_raw_data", True):
            raise SpecError(
                f"{index.kind}: mh_search_with_jaccard has no signatures to rank by.",
                mend="build it with `with_raw_data: true`.",
            )


class MinHashLsh(MilvusSpec):
    """Texts that share many shingles, by MinHash signatures. Translated, and refused: a
    signature is made of a text's shingles, and an embedder makes none."""

    Search: ClassVar[type[SearchSettings]] = MinHashSearch
    data_type: ClassVar[str] = "BINARY_VECTOR"
    metric_type: ClassVar[str] = "MHJACCARD"
    kind: Literal["MINHASH_LSH"] = "MINHASH_LSH"
    mh_lsh_band: int = Field(1, ge=1, le=INT32)
    """Bands that a signature is cut into; divides its length."""
    mh_element_bit_width: int = Field(8, ge=8, le=256)
    """Bits of one element of a signature."""
    mh_lsh_aligned_block_size: int = Field(4096, ge=4096, le=INT32)
    """Bytes of a block on the disk."""
    mh_lsh_code_in_mem: bool = True
    """Keep the bands' hashes in memory."""
    mh_lsh_shared_bloom_filter: bool = False
    """One filter for all bands."""
    mh_lsh_bloom_false_positive_prob: float = Field(0.01, gt=0, lt=1)
    """Share of absent hashes that a filter lets through."""
    with_raw_data: bool = False
    """Keep the signatures, by which searches may rank again."""

    def check_dims(self, dims: int) -> None:
        elements, rest = divmod(dims, self.mh_element_bit_width)
        if rest or elements % self.mh_lsh_band:
            raise SpecError(
                f"{self.kind}: {dims} bits are no {self.mh_lsh_band} bands of elements of"
                f" {self.mh_element_bit_width} bits.",
                mend="set mh_element_bit_width and mh_lsh_band to what the signatures have.",
            )

    def formula_bytes(self, rows: int, dims: int) -> int:
        """Some 16 bytes a band, filters apart; signatures where they are kept."""
        return rows * (16 * self.mh_lsh_band + (dims // 8 if self.with_raw_data else 0))
