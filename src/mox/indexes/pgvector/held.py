"""Which tables of Mox a PostgreSQL has, whether or not an artifact stands for them."""

from __future__ import annotations

from collections.abc import Iterator

from mox.indexes.pgvector.client import SCHEMA, connected, server_folder
from mox.services import postgres
from mox.types import Place


def tables(place: Place, prefix: str) -> Iterator[tuple[str, int]]:
    """Name and bytes of each table of Mox' schema that a prefix begins, its index included.

    Args:
        place: a folder whose embedded server is meant, or a URI; its name plays no part.

    Raises:
        EngineError: it is away.
    """
    if place.uri is None and not postgres.made(server_folder(place)):
        return
    with connected(place) as link:
        found = link.ask(
            "select c.relname, pg_total_relation_size(c.oid) from pg_class c"
            " join pg_namespace n on n.oid = c.relnamespace"
            " where n.nspname = $1 and c.relkind = 'r' and starts_with(c.relname, $2)"
            " order by 1",
            SCHEMA,
            prefix,
        )
    yield from ((str(name), int(size)) for name, size in found)
