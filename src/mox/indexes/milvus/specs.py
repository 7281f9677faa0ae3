"""Milvus' index types: their settings, their limits, and which engine has which.

Limits are those that Milvus' own checkers have, unless a docstring says that they are ours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from mox.errors import SpecError
from mox.spec import IndexSpec, SearchSettings

MOST_HITS = 16_384
"""Hits per query that a Milvus server gives at most; it refuses more (measured, 2.3.5)."""
INT32 = 2**31 - 1


class MilvusSearch(SearchSettings):
    """An index whose searches have nothing to set."""

    def check(self, index: IndexSpec, k: int) -> None:
        if k > MOST_HITS:
            raise SpecError(
                f"{index.kind}: k = {k} is more than Milvus gives.", mend=f"set k ≤ {MOST_HITS}."
            )


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


class NprobeSearch(MilvusSearch):
    """Searches of an inverted file."""

    nprobe: int = Field(8, ge=1, le=65_536)
    """Cells that are looked through, of `nlist`: more finds more, more slowly. Few cells may
    hold fewer than k rows. 8 is a server's default (Lite's is 10); more than nlist is refused
    by us, since engines clip it and two settings would be one."""

    def check(self, index: IndexSpec, k: int) -> None:
        super().check(index, k)
        if isinstance(index, InvertedFile) and self.nprobe > index.nlist:
            raise SpecError(
                f"{index.kind}: nprobe = {self.nprobe} is more than its nlist = {index.nlist}.",
                mend=f"set nprobe to {index.nlist} or less, or raise nlist.",
            )


class MilvusSpec(IndexSpec):
    """Build settings of a Milvus index, compared by cosine."""

    Search: ClassVar[type[SearchSettings]] = MilvusSearch
    spellings: ClassVar[Mapping[str, str]] = {}
    """Milvus' own names of our fields, where they can mean only one thing."""

    def engine_params(self) -> dict[str, Any]:
        """Build parameters under the names that Milvus has for them."""
        theirs = {ours: name for name, ours in self.spellings.items()}
        return {
            theirs.get(name, name): value
            for name, value in self.model_dump(exclude={"kind"}).items()
        }

    def formula_bytes(self, rows: int, dims: int) -> int:
        """Bytes of what answers, vectors included. Within 0.1 % of faiss' files (measured)."""
        return rows * dims * 4


class Flat(MilvusSpec):
    """No index in Milvus either: exact, and the yardstick of what the engine itself costs."""

    kind: Literal["FLAT"] = "FLAT"


class AutoIndex(MilvusSpec):
    """Whatever the engine takes by default: another index with another version."""

    kind: Literal["AUTOINDEX"] = "AUTOINDEX"

    def formula_bytes(self, rows: int, dims: int) -> int:
        """As of HNSW with m = 18, which open-source servers resolve it to."""
        return rows * (dims * 4 + 8 * 18 + 16)


class _Graph(MilvusSpec):
    Search: ClassVar[type[SearchSettings]] = EfSearch
    spellings: ClassVar[Mapping[str, str]] = {"M": "m", "efConstruction": "ef_construction"}
    m: int = Field(16, ge=2, le=2048)
    """Links per node: more find more and take more memory. Milvus 2.3.5 accepts 1 and then
    builds for ever, so 2 is the least. 16 is Lite's default; knowhere's is 30."""
    ef_construction: int = Field(200, ge=1, le=INT32)
    """Candidates looked at when a node is linked: more make a better graph, more slowly. 200 is
    Lite's default; knowhere's is 360."""


class Hnsw(_Graph):
    """A graph of whole vectors."""

    kind: Literal["HNSW"] = "HNSW"

    def formula_bytes(self, rows: int, dims: int) -> int:
        return rows * (dims * 4 + 8 * self.m + 16)


class HnswSq(_Graph):
    """A graph of vectors rounded to 8 bits a dimension, the one form that Lite has."""

    kind: Literal["HNSW_SQ"] = "HNSW_SQ"

    def engine_params(self) -> dict[str, Any]:
        return {**super().engine_params(), "sq_type": "SQ8"}

    def formula_bytes(self, rows: int, dims: int) -> int:
        return rows * (dims + 8 * self.m + 16)


class InvertedFile(MilvusSpec):
    """Cells around centroids; a search looks through the nearest few."""

    Search: ClassVar[type[SearchSettings]] = NprobeSearch
    nlist: int = Field(128, ge=1, le=65_536)
    """Cells. At most as many as there are rows, which shows when it is built; some 4·√rows is
    the usual choice, and below 39 rows a cell faiss calls the training thin. 128 is the
    default of all engines but 2.3.5, which has none."""

    def formula_bytes(self, rows: int, dims: int) -> int:
        return rows * (dims * 4 + 8) + self.nlist * dims * 4


class IvfFlat(InvertedFile):
    """Cells of whole vectors."""

    kind: Literal["IVF_FLAT"] = "IVF_FLAT"


class IvfSq8(InvertedFile):
    """Cells of vectors rounded to 8 bits a dimension."""

    kind: Literal["IVF_SQ8"] = "IVF_SQ8"

    def formula_bytes(self, rows: int, dims: int) -> int:
        return rows * (dims + 8) + (self.nlist + 2) * dims * 4


SPECS: tuple[type[MilvusSpec], ...] = (Flat, Hnsw, IvfFlat, IvfSq8, HnswSq, AutoIndex)

_FIRST = {
    "milvus-lite": dict.fromkeys(
        ("FLAT", "HNSW", "IVF_FLAT", "IVF_SQ8", "HNSW_SQ", "AUTOINDEX"), (3, 2)
    ),
    # Cosine came with 2.3, which is why the older types begin there.
    "milvus": {
        **dict.fromkeys(("FLAT", "HNSW", "IVF_FLAT", "IVF_SQ8", "AUTOINDEX"), (2, 3)),
        "HNSW_SQ": (2, 5),
    },
}
"""The first version of each engine that has a type with cosine; measured for Lite 3.2.2 and
Milvus 2.3.5, else as documented."""


def check_engine(spec: IndexSpec, engine: Mapping[str, str]) -> None:
    """Refuse a type that an engine's version lacks.

    Raises:
        SpecError: names what the engine has.
    """
    first = _FIRST.get(engine["engine"], {})
    numbers = re.findall(r"\d+", engine["version"])[:2]
    version = tuple(int(number) for number in numbers)
    has = [kind for kind, since in first.items() if version >= since]
    if spec.kind not in has:
        name = f"{engine['engine']} {engine['version']}"
        raise SpecError(
            f"{name} has no {spec.kind}.",
            mend=f"use one of {', '.join(has)}." if has else "use a newer engine.",
        )
