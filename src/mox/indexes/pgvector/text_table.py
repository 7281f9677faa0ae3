"""A table's column of full text: made, filled, indexed, and read back."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mox.errors import DataError, EngineError
from mox.indexes.pgvector.build import patience_s
from mox.indexes.pgvector.client import ANSWERS_WITHIN_S, Link, driver
from mox.indexes.pgvector.specs import PgExact
from mox.indexes.pgvector.text import PostgresFts
from mox.indexes.pgvector.verify import columns

MOST_BYTES = 2**30 - 2**20
"""Of a text; what it is cut into may be larger than PostgreSQL takes long before."""
_GENERATED = """
select pg_get_expr(d.adbin, d.adrelid) from pg_attribute a
join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
where a.attrelid = to_regclass($1) and a.attname = 't' and a.attgenerated = 's'
"""
_INDEX = """
select i.indisvalid and i.indisready and i.indpred is null, m.amname,
       pg_get_indexdef(i.indexrelid, 1, true)
from pg_index i join pg_class c on c.oid = i.indexrelid join pg_am m on m.oid = c.relam
where i.indrelid = to_regclass($1) and c.relname = $2
"""


def index_name(link: Link) -> str:
    """The GIN index beside a table's index of vectors."""
    return f"{link.name}_words"


def columns_sql(spec: PostgresFts) -> list[str]:
    """Columns of a text and of its words, which PostgreSQL itself keeps in step."""
    return [
        "body text not null",
        f"t tsvector generated always as (to_tsvector('{spec.config}'::regconfig, body)) stored",
    ]


def copy(link: Link, table: str, texts: Sequence[str]) -> None:
    """Fill (id, body) of a table made in this transaction.

    Raises:
        DataError: a text has more words than a tsvector holds; names its row.
    """
    psycopg = driver()
    limit_s = ANSWERS_WITHIN_S + sum(map(len, texts)) / 1e5
    statement = f"copy {table} (id, body) from stdin (format binary, freeze)"
    try:
        with link.limited(limit_s), link.connection.cursor().copy(statement.encode()) as out:
            out.set_types(["int4", "text"])
            for row in enumerate(texts):
                out.write_row(row)
    except psycopg.errors.ProgramLimitExceeded as error:
        raise too_long(error) from None


def fill(link: Link, rows: int) -> None:
    """Fill a table's rows from `mox_v` and `mox_t`, in the order of their numbers.

    Raises:
        DataError: a text has more words than a tsvector holds.
    """
    psycopg = driver()
    try:
        with link.limited(ANSWERS_WITHIN_S + rows / 200):
            link.do(
                f"insert into {link.table} (id, v, body) select id, v, body"
                " from pg_temp.mox_v join pg_temp.mox_t using (id) order by id"
            )
    except psycopg.errors.ProgramLimitExceeded as error:
        raise too_long(error) from None


def too_long(error: object) -> DataError:
    """What PostgreSQL says of a text that it cannot hold as words."""
    diag = getattr(error, "diag", None)
    line = re.search(r"line (\d+)", getattr(diag, "context", "") or "")
    row = f"row {int(line[1]) - 1}" if line else "a row"
    return DataError(
        f"postgres_fts: the text of {row} is too large ({getattr(diag, 'message_primary', '')}).",
        mend="use smaller chunks; nothing is cut off unasked.",
    )


def index(link: Link, rows: int) -> None:
    """The GIN index."""
    with link.limited(patience_s(PgExact(), rows)):
        link.do(f'create index "{index_name(link)}" on {link.table} using gin (t)')


def check_described(link: Link, spec: PostgresFts) -> None:
    """Hold what PostgreSQL says of the words and their index to the Spec.

    Raises:
        EngineError: one is absent or another; nothing may be scored.
    """
    held = columns(link)
    if held.get("t") != "tsvector" or held.get("body") != "text":
        raise other(link, f"columns {held} where a text and its words were asked for")
    generated = link.ask(_GENERATED, link.table)
    wanted = f"to_tsvector('{spec.config}'::regconfig, body)"
    if generated != [(wanted,)]:
        raise other(link, f"words made by {generated} where {wanted} was asked for")
    described = link.ask(_INDEX, link.table, index_name(link))
    if described != [(True, "gin", "t")]:
        raise other(link, f"the index {described} where a valid GIN of all words was asked for")


def check_case(link: Link, texts: Sequence[str]) -> None:
    """Refuse a database that knows no lower case of letters which the texts have.

    Raises:
        EngineError: `Über` and `über` would be two words to it. How it parts words follows from
            the database's locale, which no version says, so results would differ under one key.
    """
    if all(text.isascii() for text in texts):
        return
    if link.ask("select to_tsvector('simple', 'ÜBER')::text") != [("'über':1",)]:
        raise EngineError(
            f"{link.where}: this database knows no lower case beyond ASCII, and the texts do.",
            mend="create one with a locale that does (`create database … template template0"
            " locale_provider builtin builtin_locale 'C.UTF-8'`), and name it in"
            " MOX_POSTGRES_URI.",
        )


def text_bytes(link: Link) -> int:
    """Measured bytes of what answers: the GIN index and the words, the texts themselves not."""
    ((words,),) = link.ask(f"select coalesce(sum(pg_column_size(t)), 0)::int8 from {link.table}")
    ((gin,),) = link.ask("select pg_relation_size(to_regclass($1))", f'mox."{index_name(link)}"')
    return int(words) + int(gin)


def other(link: Link, what: str) -> EngineError:
    """The engine built something else."""
    return EngineError(
        f"{link.where} built something else: {link.name} has {what}.",
        mend="drop it and build again; if that repeats, this version of PostgreSQL does not do"
        " what is asked of it.",
    )
