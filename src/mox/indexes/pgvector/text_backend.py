"""The back end of full text: tables of the embedded PostgreSQL, or of the server at a URI."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager

from mox.errors import EngineError, SpecError
from mox.indexes import indexes
from mox.indexes.pgvector import text_table
from mox.indexes.pgvector.backend import PgBackend, fingerprint
from mox.indexes.pgvector.build import patience_s, provide
from mox.indexes.pgvector.client import Link, connected
from mox.indexes.pgvector.specs import PgExact
from mox.indexes.pgvector.text import PostgresFts
from mox.indexes.pgvector.text_search import opened_texts
from mox.indexes.texts import texts_of
from mox.spec import IndexSpec
from mox.types import Built, Place, Rows, TextSearcher

RECIPE = "1"
"""Part of every key: raise it when the same Spec builds or answers otherwise than before."""
_tables = PgBackend()


class FtsBackend:
    """See `mox.types.IndexBackend`; it opens a TextSearcher."""

    def engine(self, uri: str | None) -> Mapping[str, str]:
        return _tables.engine(uri)

    def check(self, spec: IndexSpec, engine: Mapping[str, str]) -> None:
        _ours(spec)  # every PostgreSQL that has pgvector has full text

    def build(self, spec: IndexSpec, rows: Rows, place: Place) -> Built:
        ours = _ours(spec)
        texts = texts_of(rows, kind=spec.kind, most_bytes=text_table.MOST_BYTES, nul=False)
        if rows.fields or rows.vectors is not None:
            raise SpecError(
                f"{spec.kind} holds texts alone.",
                mend="build it from `Rows(texts=…)`; `postgres_hybrid` holds vectors too.",
            )
        with connected(place) as link:
            provide(link)
            text_table.check_case(link, texts)
            started = time.perf_counter()
            with link.transaction(commits_within_s=patience_s(PgExact(), len(texts))):
                check_absent(link)
                columns = ", ".join(["id int4 not null", *text_table.columns_sql(ours)])
                link.do(f"create table {link.table} ({columns}) with (autovacuum_enabled = off)")
                text_table.copy(link, link.table, texts)
                text_table.index(link, len(texts))
                link.do(f"analyze {link.table}")
                text_table.check_described(link, ours)
                if link.ask(f"select count(*) from {link.table}") != [(len(texts),)]:
                    raise text_table.other(link, f"other than the {len(texts)} rows sent")
            took = time.perf_counter() - started
            size = text_table.text_bytes(link)
        parameters = ours.model_dump(exclude={"kind"})
        return Built(len(texts), parameters, size, "measured", took)

    def open(self, spec: IndexSpec, place: Place) -> AbstractContextManager[TextSearcher]:
        return opened_texts(_ours(spec), place)

    def rows(self, place: Place) -> int | None:
        return _tables.rows(place)

    def drop(self, place: Place) -> None:
        _tables.drop(place)


def check_absent(link: Link) -> None:
    """Refuse to build what is there already (EngineError)."""
    if link.ask("select to_regclass($1)::text", link.table) != [(None,)]:
        raise EngineError(f"{link.where} has {link.name} already.", mend="drop it first.")


def _ours(spec: IndexSpec) -> PostgresFts:
    if not isinstance(spec, PostgresFts):
        raise SpecError(f"{spec.kind} is no full text.", mend="ask the back end of its kind.")
    return spec


indexes.register(
    PostgresFts,
    fingerprint=lambda spec: {**fingerprint(spec), "text recipe": RECIPE},
    service="postgres",
)(FtsBackend())
