"""The back end: tables of the embedded PostgreSQL, or of the server at a URI."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager

from mox.errors import MissingError, SpecError
from mox.indexes import indexes
from mox.indexes.pgvector.build import build, provide
from mox.indexes.pgvector.client import connected, server_engine, server_folder
from mox.indexes.pgvector.search import opened
from mox.indexes.pgvector.serve import served, writable
from mox.indexes.pgvector.specs import SPECS, PgSpec, check_engine
from mox.indexes.pgvector.verify import columns, index_bytes
from mox.indexes.vectors import LEAST_COSINE, dense
from mox.registry import missing_package, versions
from mox.services import postgres
from mox.spec import IndexSpec
from mox.types import Built, Place, Rows, Searcher, Served, Writable

RECIPE = "1"
"""Part of every key: raise it when the same Spec builds or answers otherwise than before."""


class PgBackend:
    """See `mox.types.IndexBackend`."""

    def engine(self, uri: str | None) -> Mapping[str, str]:
        return postgres.engine() if uri is None else server_engine(uri)

    def check(self, spec: IndexSpec, engine: Mapping[str, str]) -> None:
        check_engine(_ours(spec), engine)

    def build(self, spec: IndexSpec, rows: Rows, place: Place) -> Built:
        ours = _ours(spec)
        vectors = dense(rows, kind=spec.kind)
        with connected(place) as link:
            provide(link)
            # From here on: an embedded server may have been made first, which is no build.
            started = time.perf_counter()
            parameters = build(link, ours, rows, vectors)
            took = time.perf_counter() - started
            size = index_bytes(link, ours)
        return Built(len(vectors), parameters, size, "measured", took)

    def open(self, spec: IndexSpec, place: Place) -> AbstractContextManager[Searcher]:
        return opened(_ours(spec), place)

    def served(self, spec: IndexSpec, place: Place) -> AbstractContextManager[Served]:
        """See `mox.types.IndexServer`."""
        return served(place)

    def writable(self, spec: IndexSpec, place: Place) -> AbstractContextManager[Writable]:
        """See `mox.types.IndexWriter`."""
        return writable(_ours(spec), place)

    def rows(self, place: Place) -> int | None:
        if place.uri is None and not postgres.made(server_folder(place)):
            return None
        with connected(place) as link:
            if not columns(link):
                return None
            return int(link.ask(f"select count(*) from {link.table}")[0][0])

    def drop(self, place: Place) -> None:
        drop_table(place)


def drop_table(place: Place) -> None:
    """Remove a table; no error where there is none, nor a server.

    Raises:
        EngineError: the server is away, or another session holds the table.
    """
    if place.uri is None and not postgres.made(server_folder(place)):
        return
    with connected(place) as link:
        link.do(f"drop table if exists {link.table}")


def _ours(spec: IndexSpec) -> PgSpec:
    if not isinstance(spec, PgSpec):
        raise SpecError(f"{spec.kind} is no pgvector.", mend="ask the back end of its kind.")
    return spec


def fingerprint(_: object) -> dict[str, str]:
    try:
        return versions("psycopg", recipe=RECIPE)
    except MissingError:
        raise missing_package("psycopg", extra=postgres.EXTRA) from None


_backend = PgBackend()
for _spec in SPECS:
    indexes.register(
        _spec, fingerprint=fingerprint, least=lambda _: LEAST_COSINE, service="postgres"
    )(_backend)
