"""A table for separate client processes, and one that is written to while it is searched."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mox.indexes.pgvector import wire
from mox.indexes.pgvector.build import column
from mox.indexes.pgvector.client import connected, server_folder
from mox.indexes.pgvector.search import PgSearcher, opened
from mox.indexes.pgvector.specs import PgSpec
from mox.indexes.vectors import OWN_ROWS, check_written
from mox.services import postgres
from mox.spec import SearchSettings
from mox.types import Place, Rows, Served, Where

if TYPE_CHECKING:
    from mox.types import Floats, Ints


@contextmanager
def served(place: Place) -> Iterator[Served]:
    """See `mox.types.IndexServer`: the embedded server is kept running meanwhile."""
    embedded = place.uri is None
    serving = postgres.serving(server_folder(place)) if embedded else nullcontext(place.uri or "")
    with serving as uri:
        at = replace(place, uri=uri)
        with connected(at) as link:
            ((size,),) = link.ask("select pg_total_relation_size(to_regclass($1))", link.table)
        yield Served(
            at,
            address=uri,
            consistency="read committed",
            cold="every connection opened anew; pages stay in the server's and the system's cache",
            disk_bytes=int(size),
        )


@dataclass(frozen=True)
class PgWritable:
    """See `mox.types.Writable`."""

    searcher: PgSearcher

    def search(
        self, queries: Floats, *, k: int, settings: SearchSettings, where: Where | None = None
    ) -> tuple[Ints, Floats]:
        """See `mox.types.Searcher`; rows of a writer may be among what is found."""
        return self.searcher.search(queries, k=k, settings=settings, where=where)

    def insert(self, ids: Ints, rows: Rows) -> None:
        """See `mox.types.Writable`: committed, and in the index, when this returns."""
        link, spec = self.searcher.link, self.searcher.spec
        vectors = check_written(spec, ids, rows, self.searcher.fields)
        kind = "halfvec" if spec.column == "halfvec" else "vector"
        names = ["id", *(f'"{column(name)}"' for name in rows.fields), "v"]
        places = ", ".join(f"${at + 1}" for at in range(len(names)))
        query = f"insert into {link.table} ({', '.join(names)}) values ({places}) returning id"
        with link.said(), link.transaction():
            for at, row in enumerate(ids.tolist()):
                vector = wire.parameter(kind, vectors[at : at + 1])
                numbers = [int(values[at]) for values in rows.fields.values()]
                link.ask(query, row, *numbers, vector)

    def delete(self, ids: Ints) -> None:
        """See `mox.types.Writable`: gone for whoever searches, still to be vacuumed."""
        link = self.searcher.link
        query = f"delete from {link.table} where id = any($1::int4[]) returning id"
        with link.said():
            link.ask(query, ids.tolist())


@contextmanager
def writable(spec: PgSpec, place: Place) -> Iterator[PgWritable]:
    """A table opened for searching and writing. See `search.opened`.

    Tables are built not to be vacuumed, since nothing is written to them; to this one it is.
    """
    with opened(spec, place) as searcher:
        searcher.link.do(f"alter table {searcher.link.table} set (autovacuum_enabled = on)")
        yield PgWritable(replace(searcher, rows=searcher.rows + OWN_ROWS))
