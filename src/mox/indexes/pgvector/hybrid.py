"""The back end of vectors and texts in one table of PostgreSQL, fused in one statement."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, SerializeAsAny, WithJsonSchema, field_validator

from mox.errors import SpecError
from mox.indexes import indexes
from mox.indexes.fused import EngineRrf, EngineWeighted
from mox.indexes.pairs import Pair, part_of
from mox.indexes.pgvector import build, text_table, verify
from mox.indexes.pgvector.backend import RECIPE as VECTOR_RECIPE
from mox.indexes.pgvector.backend import PgBackend, fingerprint
from mox.indexes.pgvector.client import Link, connected
from mox.indexes.pgvector.hybrid_search import opened_pairs
from mox.indexes.pgvector.specs import PgSpec
from mox.indexes.pgvector.text import PostgresFts
from mox.indexes.pgvector.text_backend import RECIPE as TEXT_RECIPE
from mox.indexes.texts import texts_of
from mox.indexes.vectors import dense, directed
from mox.spec import IndexSpec
from mox.types import Built, PairSearcher, Place, Rows

if TYPE_CHECKING:
    from mox.types import Floats

RECIPE = f"1 vectors {VECTOR_RECIPE} texts {TEXT_RECIPE}"
"""Part of every key: raise it when the same Spec builds or answers otherwise than before."""
_tables = PgBackend()


class PostgresHybrid(Pair):
    """A table of vectors and texts. `engine_hybrid` searches it."""

    kind: Literal["postgres_hybrid"] = "postgres_hybrid"
    vector: Annotated[
        SerializeAsAny[PgSpec], WithJsonSchema({"type": "object", "required": ["kind"]})
    ]
    """The index of the vectors, as under `index`: `{kind: pgvector_hnsw, m: 16}`."""
    text: Annotated[
        SerializeAsAny[PostgresFts], WithJsonSchema({"type": "object", "required": ["kind"]})
    ] = Field(default_factory=PostgresFts)
    """The index of the texts, as under `index`: `{kind: postgres_fts, config: english}`."""

    @field_validator("vector", mode="before")
    @classmethod
    def _vectors(cls, value: Any) -> PgSpec:
        return part_of("vector", value, PgSpec, "an index of vectors of PostgreSQL")

    @field_validator("text", mode="before")
    @classmethod
    def _texts(cls, value: Any) -> PostgresFts:
        return part_of("text", value, PostgresFts, "an index of texts of PostgreSQL")

    @property
    def parts(self) -> tuple[IndexSpec, IndexSpec]:
        return self.vector, self.text


class PgHybridBackend:
    """See `mox.types.IndexBackend`; it opens a PairSearcher."""

    def engine(self, uri: str | None) -> Mapping[str, str]:
        return _tables.engine(uri)

    def check(self, spec: IndexSpec, engine: Mapping[str, str]) -> None:
        _tables.check(_ours(spec).vector, engine)

    def build(self, spec: IndexSpec, rows: Rows, place: Place) -> Built:
        ours = _ours(spec)
        texts = texts_of(rows, kind=spec.kind, most_bytes=text_table.MOST_BYTES, nul=False)
        if rows.fields or rows.vectors is None or len(rows.vectors) != len(texts):
            raise SpecError(
                f"{spec.kind} holds a vector and a text of each row.",
                mend="build it from `Rows(vectors=…, texts=…)` of one length.",
            )
        vectors = dense(Rows(rows.vectors), kind=spec.kind)
        with connected(place) as link:
            build.provide(link)
            text_table.check_case(link, texts)
            started = time.perf_counter()
            parameters = _build(link, ours, vectors, texts)
            took = time.perf_counter() - started
            size, size_is = _bytes(link, ours, vectors)
        return Built(len(texts), parameters, size, size_is, took)

    def open(self, spec: IndexSpec, place: Place) -> AbstractContextManager[PairSearcher]:
        return opened_pairs(_ours(spec), place)

    def rows(self, place: Place) -> int | None:
        return _tables.rows(place)

    def drop(self, place: Place) -> None:
        _tables.drop(place)


def _build(
    link: Link, spec: PostgresHybrid, vectors: Floats, texts: Sequence[str]
) -> dict[str, Any]:
    """Create, fill, index and verify a table, in one transaction.

    Vectors come in binary and texts as they are, each into a table of the session's own, since
    one COPY fills a whole row.

    Returns:
        The build parameters as read back.
    """
    has_direction = directed(vectors)
    count, dims = int(has_direction.sum()), vectors.shape[1]
    alone = Rows(vectors)
    build.check(link, spec.vector, alone, vectors, count)
    whole = "halfvec" if spec.vector.column == "halfvec" else "vector"
    with link.transaction(commits_within_s=build.patience_s(spec.vector, len(texts))):
        build.create(link, spec.vector, alone, dims, text_table.columns_sql(spec.text))
        link.do(f"create temp table mox_v (id int4, v {whole}({dims})) on commit drop")
        link.do("create temp table mox_t (id int4, body text) on commit drop")
        build.copy(link, "pg_temp.mox_v", spec.vector, alone, vectors)
        text_table.copy(link, "pg_temp.mox_t", texts)
        text_table.fill(link, len(texts))
        build.index(link, spec.vector, count, dims)
        text_table.index(link, len(texts))
        link.do(f"analyze {link.table}")
        found = verify.verify(link, spec.vector, len(texts), count)
        text_table.check_described(link, spec.text)
    text = {"kind": spec.text.kind, "config": spec.text.config}
    return {"vector": {"kind": spec.vector.kind, **found}, "text": text}


def _bytes(link: Link, spec: PostgresHybrid, vectors: Floats) -> tuple[int, str]:
    """Bytes of what answers, texts not counted; of a table that is read for its vectors by
    formula, since the texts are in it."""
    words = text_table.text_bytes(link)
    if spec.vector.method is not None and spec.vector.column != "bit":
        return words + verify.index_bytes(link, spec.vector), "measured"
    return words + spec.vector.formula_bytes(*vectors.shape), "formula"


def _ours(spec: IndexSpec) -> PostgresHybrid:
    if not isinstance(spec, PostgresHybrid):
        raise SpecError(
            f"{spec.kind} is no index of vectors and texts of PostgreSQL.",
            mend="ask the back end of its kind.",
        )
    return spec


indexes.register(
    PostgresHybrid,
    fingerprint=lambda spec: {**fingerprint(spec), "recipe": RECIPE},
    service="postgres",
    fusions=(EngineRrf, EngineWeighted),
    parts={"vector": PgSpec, "text": PostgresFts},
)(PgHybridBackend())
