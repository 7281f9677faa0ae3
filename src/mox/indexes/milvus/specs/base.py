"""What all index types of Milvus share: their names on the wire, and what a search may ask.

Limits are those that Milvus' own checkers have, unless a docstring says that they are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from mox.errors import SpecError
from mox.spec import IndexSpec, SearchSettings

if TYPE_CHECKING:
    from mox.types import Floats

MOST_HITS = 16_384
"""Hits per query that a Milvus server gives at most; it refuses more (measured, 2.3.5)."""
MOST_CELLS = 65_536
INT32 = 2**31 - 1
ROW_BYTES = 40
"""What a server keeps for each row beside its index: the id, the row's number and the time of its
insertion, 8 bytes each, and a pair of id and place, 16, by which it finds a row of an id."""
PAGE_BYTES = 4_096
"""What a system gives memory out in."""
BITS = {"SQ4": 4, "SQ4U": 4, "SQ6": 6, "SQ8": 8, "FP16": 16, "BF16": 16, "FP32": 32}
"""Bits of a dimension under each rounding."""


class MilvusSearch(SearchSettings):
    """An index whose searches have nothing to set."""

    def check(self, index: IndexSpec, k: int) -> None:
        most = index.most_hits if isinstance(index, MilvusSpec) else MOST_HITS
        if k > most:
            raise SpecError(
                f"{index.kind}: k = {k} is more than Milvus gives.", mend=f"set k ≤ {most}."
            )

    def engine_params(self, k: int) -> dict[str, Any]:
        """What is sent with a search for k hits, under Milvus' names; unset ones are left out."""
        return {name: value for name, value in self.model_dump().items() if value is not None}


class MilvusSpec(IndexSpec):
    """Build settings of a Milvus index of whole or rounded vectors, compared by cosine."""

    Search: ClassVar[type[SearchSettings]] = MilvusSearch
    names: ClassVar[Mapping[str, str]] = {}
    """Milvus' names of our fields, where they differ."""
    spellings: ClassVar[Mapping[str, str]] = {}
    """Of these, Milvus' → ours where it can mean only one thing; made from `names`."""
    newer: ClassVar[frozenset[str]] = frozenset()
    """Fields that are younger than the type: at their default they are not sent."""
    data_type: ClassVar[str] = "FLOAT_VECTOR"
    metric_type: ClassVar[str] = "COSINE"
    most_hits: ClassVar[int] = MOST_HITS

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        theirs = {name: ours for ours, name in cls.names.items()}
        cls.spellings = {n: ours for n, ours in theirs.items() if n not in cls.model_fields}

    @property
    def sent_metric(self) -> str:
        """The metric under which the engine builds and answers."""
        return self.metric_type

    @property
    def least(self) -> float:
        """What no score is under: that of a cosine."""
        return -1.0

    def engine_params(self) -> dict[str, Any]:
        """Build parameters under the names that Milvus has for them.

        Booleans go out as text: of Python's `True` Milvus 2.3.5 makes `True`, which its index
        node cannot read and tries for ever.
        """
        sent = {}
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            default = name in self.newer and value == field.default
            if name not in ("kind", "metric") and value is not None and not default:
                value = str(value).lower() if isinstance(value, bool) else value
                sent[self.names.get(name, name)] = value
        return sent

    def check_rows(self, rows: int) -> None:
        """Refuse (SpecError) to be built of so few rows, which shows only then."""

    def pack(self, vectors: Floats) -> Any:
        """(rows, dims) float32 as the engine takes them, one item a row."""
        return vectors

    def scores(self, distances: Floats, dims: int) -> Floats:
        """The engine's distances as scores, higher is better: here they are cosines already."""
        return distances

    def formula_bytes(self, rows: int, dims: int) -> int:
        """Bytes in memory of what answers. Within 0.1 % of faiss' files where those were read:
        FLAT, IVF_FLAT, IVF_SQ8, IVF_PQ, IVF_RABITQ, HNSW, HNSW_SQ and HNSW_PQ."""
        return rows * dims * 4

    def resident_bytes(self, rows: int, dims: int) -> int:
        """Bytes that a server's process holds of a loaded collection: what answers, what it
        keeps for each row, and what an allocator rounds up. Fields beside id and vector, 8
        bytes a row each, come on top."""
        return self.formula_bytes(rows, dims) + rows * ROW_BYTES

    def disk_bytes(self, rows: int, dims: int) -> int:
        """Bytes of what answers from the disk beside that."""
        return 0


class RefineK(MilvusSearch):
    """Searches of rounded vectors that may be ranked again by better ones."""

    refine_k: float = Field(1.0, ge=1)
    """Candidates that are ranked again by the refined copy, in multiples of k. Of an index
    without one (`refine: true` makes it) a sweep takes 1."""

    def on(self, index: IndexSpec, k: int) -> Self:
        found = super().on(index, k)
        if getattr(index, "refine", True):
            return found
        return found.model_copy(update={"refine_k": 1.0})

    def check(self, index: IndexSpec, k: int) -> None:
        super().check(index, k)
        if self.refine_k > 1 and not getattr(index, "refine", True):
            raise SpecError(
                f"{index.kind}: refine_k = {self.refine_k:g} has no refined copy to rank by.",
                mend="build it with `refine: true`, or leave refine_k at 1.",
            )

    def engine_params(self, k: int) -> dict[str, Any]:
        # At 1 it changes nothing, and servers older than the setting never see it.
        sent = super().engine_params(k)
        return sent if self.refine_k > 1 else {n: v for n, v in sent.items() if n != "refine_k"}


class Refined(MilvusSpec):
    """Rounded vectors, with or without a second, better copy that ranks the candidates again."""

    newer: ClassVar[frozenset[str]] = frozenset({"refine"})
    refine: bool = False
    """Keep a second copy, by which searches rank their candidates again."""
    refine_type: Literal["SQ6", "SQ8", "FP16", "BF16", "FP32"] = "FP32"
    """How precise the second copy is; at least as the first. Of no meaning without `refine`."""

    @property
    def code_bits(self) -> float:
        """Bits of a dimension in the first copy, where that is fixed; else 0."""
        return 0

    @model_validator(mode="after")
    def _check_refined(self) -> Refined:
        if not self.refine and self.refine_type != "FP32":
            raise ValueError(f"refine_type = {self.refine_type} needs `refine: true`")
        if BITS[self.refine_type] < self.code_bits:
            raise ValueError(
                f"refine_type = {self.refine_type} is coarser than the {self.code_bits:g} bits"
                " a dimension that it would refine"
            )
        return self

    def engine_params(self) -> dict[str, Any]:
        sent = super().engine_params()
        return sent if self.refine else {n: v for n, v in sent.items() if n != "refine_type"}

    def refined_bytes(self, rows: int, dims: int) -> int:
        """Bytes of the second copy."""
        return rows * dims * BITS[self.refine_type] // 8 if self.refine else 0


def check_divides(spec: IndexSpec, field: str, part: int, dims: int) -> None:
    """Refuse parts that do not cut the dimensions evenly.

    Raises:
        SpecError: names the nearest that do.
    """
    if part and dims % part:
        fit = [n for n in range(1, dims + 1) if dims % n == 0]
        near = sorted(sorted(fit, key=lambda n: abs(n - part))[:3])
        raise SpecError(
            f"{spec.kind}: {field} = {part} does not divide the {dims} dimensions of the vectors.",
            mend=f"set {field} to {', '.join(map(str, near))}, say.",
        )


def check_codes(spec: IndexSpec, bits: int, rows: int) -> None:
    """Refuse to learn more codes than there are rows.

    Raises:
        SpecError: product quantisation learns 2**bits codes, each from one row at least.
    """
    if rows < 2**bits:
        raise SpecError(
            f"{spec.kind}: pq_nbits = {bits} makes {2**bits} codes of {rows} vectors.",
            mend=f"set pq_nbits to {max(1, rows.bit_length() - 1)} or less, or use no codes.",
        )
