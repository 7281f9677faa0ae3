"""Building a table in PostgreSQL: made, filled, indexed, verified and only then committed.

All of it is one transaction, so that a build that is killed, wherever, leaves nothing: there is
never half a table, nor a whole one without its index. COPY in binary, the index afterwards.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mox.errors import EngineError, SpecError
from mox.indexes.pgvector import sizes, wire
from mox.indexes.pgvector.client import ANSWERS_WITHIN_S, SCHEMA, Link, driver
from mox.indexes.pgvector.specs import OPCLASSES, Ivfflat, PgHnsw, PgSpec
from mox.indexes.pgvector.verify import verify
from mox.indexes.vectors import directed
from mox.types import Rows

if TYPE_CHECKING:
    from mox.types import Floats

LONGEST_NAME = 63 - len("_index")
"""PostgreSQL cuts longer names off, silently."""
MOST_MEMORY = 0.75
"""Share of this machine's memory that one build may ask for."""
OVERFLOW = "no longer fits into maintenance_work_mem"
"""pgvector's notice of a graph that it goes on building on disk, many times as slowly."""


def patience_s(spec: PgSpec, rows: int) -> float:
    """How long an index may take, and the COMMIT of its table: 20 times as long as measured for
    an index, 2,000 nodes/s."""
    wider = spec.ef_construction / 64 if isinstance(spec, PgHnsw) else 1
    return 120 + rows / 100 * max(1, wider)


def build(link: Link, spec: PgSpec, rows: Rows, vectors: Floats) -> dict[str, Any]:
    """Create, fill, index and verify a table, in one transaction.

    Returns:
        The build parameters as read back.

    Raises:
        SpecError: more dimensions, or cells than rows, than it can have.
        EngineError: there is such a table, nothing has a direction, or the index isn't what was
            asked for.
    """
    has_direction = directed(vectors)
    count = int(has_direction.sum())
    check(link, spec, rows, vectors, count)
    with link.transaction(commits_within_s=patience_s(spec, len(vectors))):
        create(link, spec, rows, vectors.shape[1])
        copy(link, link.table, spec, rows, vectors)
        index(link, spec, count, vectors.shape[1])
        # Of the numbers alone and by 300 rows: which plan it is doesn't hang on what they say, and
        # by its default PostgreSQL would read 30,000 vectors.
        link.do("set local default_statistics_target = 1")
        link.do(f"analyze {link.table} (id)")
        return dict(verify(link, spec, len(vectors), count))


def check(link: Link, spec: PgSpec, rows: Rows, vectors: Floats, count: int) -> None:
    """Refuse (SpecError, EngineError) what a table cannot be built of.

    Args:
        count: how many of the vectors have a direction.
    """
    spec.check_dims(vectors.shape[1])
    if not count:
        raise EngineError(
            f"none of the {len(vectors)} vectors for {link.name} has a direction.",
            mend="use an embedder that knows these texts.",
        )
    if isinstance(spec, Ivfflat) and spec.lists > count:
        raise SpecError(
            f"{spec.kind}: lists = {spec.lists} cells for {count} vectors.",
            mend=f"set lists to {count} or less; {max(1, count // 1000)} is usual.",
        )
    for name in (link.name, *(column(field) for field in rows.fields)):
        if len(name.encode()) > LONGEST_NAME or '"' in name:
            raise SpecError(
                f"{name!r} is no name for PostgreSQL.", mend="use a shorter, plain one."
            )


def column(field: str) -> str:
    """The column of a field, whose name may be one of ours."""
    return f"f_{field}"


def provide(link: Link) -> None:
    """The extension and the schema, where they are missing; several may do it at once."""
    psycopg = driver()
    for what, name, there in (
        ("extension", "vector", "select 1 from pg_extension where extname = $1"),
        ("schema", SCHEMA, "select 1 from pg_namespace where nspname = $1"),
    ):
        if link.ask(there, name):
            continue
        statement = f"create {what} if not exists {name}"
        try:
            link.do(statement)
        except (psycopg.errors.UniqueViolation, psycopg.errors.DuplicateObject):
            continue  # another process was faster
        except psycopg.errors.InsufficientPrivilege as error:
            raise EngineError(
                f"{link.where}: this user may not `{statement}` ({error.diag.message_primary}).",
                mend=f"have the database's owner run `{statement}`, and for the schema `grant"
                f" usage, create on schema {SCHEMA} to` this user.",
            ) from None
    link.prepare()


def create(link: Link, spec: PgSpec, rows: Rows, dims: int, more: Sequence[str] = ()) -> None:
    """Create an empty table.

    Args:
        more: SQL of further columns.

    Raises:
        EngineError: there is such a table.
    """
    if link.ask("select to_regclass($1)::text", link.table) != [(None,)]:
        raise EngineError(f"{link.where} has {link.name} already.", mend="drop it first.")
    whole = "halfvec" if spec.column == "halfvec" else "vector"
    columns = ["id int4 not null", *(f'"{column(name)}" int8 not null' for name in rows.fields)]
    columns += [f"v {whole}({dims})"]
    if spec.column == "bit":
        columns += [f"b bit({dims}) generated always as (binary_quantize(v)::bit({dims})) stored"]
    columns += more
    # It is never written again, so there is nothing to vacuum beside somebody's measurement.
    link.do(f"create table {link.table} ({', '.join(columns)}) with (autovacuum_enabled = off)")
    if sizes.row(dims, spec.column, len(rows.fields)) <= sizes.PAGE - 64:
        # Else vectors of over 2 kB would lie in another table, each search fetching them there.
        link.do(f"alter table {link.table} alter column v set storage plain")


def copy(link: Link, table: str, spec: PgSpec, rows: Rows, vectors: Floats) -> None:
    """Fill numbers, fields and vectors of a table that was made in this transaction."""
    names = ", ".join(["id", *(f'"{column(name)}"' for name in rows.fields), "v"])
    statement = f"copy {table} ({names}) from stdin with (format binary, freeze)"
    limit_s = ANSWERS_WITHIN_S + len(vectors) / 1_000
    chunks = wire.copied(vectors, directed(vectors), rows.fields, half=spec.column == "halfvec")
    with link.limited(limit_s), link.connection.cursor().copy(statement.encode()) as out:
        for chunk in chunks:
            out.write(chunk)


def index(link: Link, spec: PgSpec, rows: int, dims: int) -> None:
    """The index of the vectors, where the Spec has one."""
    if spec.method is None:
        return
    on = "b" if spec.column == "bit" else "v"
    options = ", ".join(f"{name} = {value}" for name, value in spec.options().items())
    with _memory(link, spec.memory_bytes(rows, dims)):
        link.notices.clear()
        with link.limited(patience_s(spec, rows)):
            link.connection.execute(
                f'create index "{link.index}" on {link.table} using {spec.method}'
                f" ({on} {OPCLASSES[spec.column]}) with ({options})".encode()
            )
    said = next((notice for notice in link.notices if OVERFLOW in notice), None)
    if said:
        raise EngineError(
            f"{link.where} ran out of memory for {link.name} and went on on disk ({said}).",
            mend=f"let the server give {spec.memory_bytes(rows, dims) / 1e6:.0f} MB and more to"
            " maintenance_work_mem, or lower m.",
        )


@contextmanager
def _memory(link: Link, needed: int) -> Iterator[None]:
    """At least so much working memory for one build; the session's again afterwards."""
    _check_memory(link, needed)
    ((now,),) = link.ask("select pg_size_bytes(current_setting('maintenance_work_mem'))")
    if needed > now:
        link.do(f"set local maintenance_work_mem = '{needed // 1024}kB'")
    yield


def _check_memory(link: Link, needed: int) -> None:
    """Refuse what this machine would be out of memory for; another machine's isn't known."""
    if link.place.uri is not None:
        return
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > MOST_MEMORY * memory:
        raise EngineError(
            f"{link.name} needs {needed / 1e9:.1f} GB to be built in memory, and this machine has"
            f" {memory / 1e9:.1f} GB.",
            mend="use `column: halfvec` or `column: bit`, fewer vectors, or a larger machine by"
            " MOX_POSTGRES_URI.",
        )
