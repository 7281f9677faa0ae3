"""The back end of vectors and texts in one Milvus collection, which Milvus fuses itself.

Rows without direction keep their texts: they are inserted under another row's vector and marked,
and the dense side asks for the others only, where there are any.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, SerializeAsAny, WithJsonSchema, field_validator

from mox.errors import FieldError, SpecError
from mox.indexes import indexes
from mox.indexes.fused import EngineRrf, EngineWeighted
from mox.indexes.milvus import backend, build, lite, specs, text, text_build, verify
from mox.indexes.milvus.client import Link, server_engine
from mox.indexes.milvus.collection import drop, rows_of, whole
from mox.indexes.milvus.hybrid_search import opened_pairs
from mox.indexes.milvus.specs import MilvusSpec
from mox.indexes.milvus.text import MOST_BYTES, MilvusText, SparseInvertedIndex
from mox.indexes.pairs import Pair, PairSearch, part_of
from mox.indexes.texts import texts_of
from mox.indexes.vectors import dense
from mox.registry import versions
from mox.spec import IndexSpec, SearchSettings
from mox.types import Built, PairSearcher, Place, Rows

if TYPE_CHECKING:
    from mox.types import Floats

RECIPE = f"1 vectors {backend.RECIPE}"
"""Part of every key: raise it when the same Spec builds or answers otherwise than before."""


class MilvusHybrid(Pair):
    """A collection of vectors and texts. `engine_hybrid` searches it."""

    kind: Literal["milvus_hybrid"] = "milvus_hybrid"
    vector: Annotated[
        SerializeAsAny[MilvusSpec], WithJsonSchema({"type": "object", "required": ["kind"]})
    ]
    """The index of the vectors, as under `index`: `{kind: HNSW, m: 16}`."""
    text: Annotated[
        SerializeAsAny[MilvusText], WithJsonSchema({"type": "object", "required": ["kind"]})
    ] = Field(default_factory=lambda: SparseInvertedIndex.model_validate({}))
    """The index of the texts, as under `index`: `{kind: SPARSE_INVERTED_INDEX, bm25_k1: 1.2}`."""

    @field_validator("vector", mode="before")
    @classmethod
    def _vectors(cls, value: Any) -> MilvusSpec:
        found = part_of("vector", value, MilvusSpec, "an index of vectors of Milvus")
        if found.data_type != "FLOAT_VECTOR":
            raise FieldError(
                f"vector: {found.kind} holds bits, and a hybrid collection whole vectors.",
                mend="name an index of whole or rounded vectors.",
                field="vector",
            )
        return found

    @field_validator("text", mode="before")
    @classmethod
    def _texts(cls, value: Any) -> MilvusText:
        return part_of("text", value, MilvusText, "an index of texts of Milvus")

    @property
    def parts(self) -> tuple[IndexSpec, IndexSpec]:
        return self.vector, self.text


class MilvusHybridBackend:
    """See `mox.types.IndexBackend`; it opens a PairSearcher."""

    def engine(self, uri: str | None) -> Mapping[str, str]:
        return lite.engine() if uri is None else server_engine(uri)

    def check(self, spec: IndexSpec, engine: Mapping[str, str]) -> None:
        ours = _ours(spec)
        specs.check_engine(ours.vector, engine)
        text.check_engine(ours.text, engine)

    def build(self, spec: IndexSpec, rows: Rows, place: Place) -> Built:
        ours = _ours(spec)
        texts = texts_of(rows, kind=spec.kind, most_bytes=MOST_BYTES)
        if rows.fields or rows.vectors is None or len(rows.vectors) != len(texts):
            raise SpecError(
                f"{spec.kind} holds a vector and a text of each row.",
                mend="build it from `Rows(vectors=…, texts=…)` of one length.",
            )
        vectors = dense(Rows(rows.vectors), kind=spec.kind)
        ours.check_dims(vectors.shape[1])
        ours.vector.check_rows(len(texts))

        def begin(link: Link) -> None:
            self.check(ours, link.engine)
            text_build.create(link, ours.text, vectors.shape[1])

        (found, size), took = whole(place, begin, lambda link: _fill(link, ours, vectors, texts))
        parameters = {"vector": {"kind": ours.vector.kind, **found}, "text": ours.text.model_dump()}
        size += ours.text.formula_bytes(texts)
        # A sum of measured and worked out bytes is worked out.
        return Built(len(texts), parameters, size, "formula", took)

    def open(self, spec: IndexSpec, place: Place) -> AbstractContextManager[PairSearcher]:
        ours = _ours(spec)
        return opened_pairs(ours, place, lambda link: check_described(link, ours))

    def rows(self, place: Place) -> int | None:
        return rows_of(place)

    def drop(self, place: Place) -> None:
        drop(place)


def _fill(
    link: Link, spec: MilvusHybrid, vectors: Floats, texts: Sequence[str]
) -> tuple[Mapping[str, Any], int]:
    """Insert, flush, index, load and verify a created collection.

    Returns:
        The parameters of the index of vectors as read back, and its bytes.
    """
    rows = len(texts)
    text_build.insert(link, texts, vectors)
    build.index(link, spec.vector, rows, build.patience_s(rows))
    text_build.index_texts(link, spec.text, rows)
    build.load(link, rows)
    check_described(link, spec)
    found = verify.verify(link, spec.vector, rows)
    size, _ = verify.index_bytes(link, spec.vector, rows, vectors.shape[1])
    return found, size


def check_described(link: Link, spec: MilvusHybrid) -> None:
    """Hold what the engine says of both indexes and of the function to the Spec.

    Raises:
        EngineError: one is absent or another; nothing may be scored.
    """
    verify.check_described(link, spec.vector)
    text_build.check_described(link, spec.text)


def check_search(spec: MilvusHybrid, settings: SearchSettings, engine: Mapping[str, str]) -> None:
    """Refuse search settings that an engine's version lacks.

    Raises:
        SpecError: names the setting.
    """
    if isinstance(settings, PairSearch):
        text.check_search(spec.text, settings.of(spec.text), engine)


def _ours(spec: IndexSpec) -> MilvusHybrid:
    if not isinstance(spec, MilvusHybrid):
        raise SpecError(
            f"{spec.kind} is no index of vectors and texts of Milvus.",
            mend="ask the back end of its kind.",
        )
    return spec


indexes.register(
    MilvusHybrid,
    fingerprint=lambda _: versions("pymilvus", "bm25s", recipe=RECIPE),
    service="milvus",
    check_search=check_search,
    fusions=(EngineRrf, EngineWeighted),
    parts={"vector": MilvusSpec, "text": MilvusText},
)(MilvusHybridBackend())
