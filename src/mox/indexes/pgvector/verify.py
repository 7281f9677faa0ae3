"""Whether what was asked for is what was built and what answers, read back from PostgreSQL.

A planner may answer by something else than the index, without a word: so each configuration
that is opened is explained once, and must name it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mox.errors import EngineError
from mox.indexes.pgvector.client import Link
from mox.indexes.pgvector.specs import OPCLASSES, PgSpec

_INDEX = """
select i.indisvalid and i.indisready, m.amname, o.opcname, coalesce(c.reloptions, '{}'),
       pg_get_indexdef(i.indexrelid, 1, true), i.indpred is null
from pg_index i
join pg_class c on c.oid = i.indexrelid
join pg_am m on m.oid = c.relam
join pg_opclass o on o.oid = i.indclass[0]
where i.indrelid = to_regclass($1) and c.relname = $2
"""
_SIZE = """
select pg_relation_size(oid) + coalesce(pg_relation_size(nullif(reltoastrelid, 0)), 0)
from pg_class where oid = to_regclass($1)
"""


def verify(link: Link, spec: PgSpec, rows: int, directed: int) -> Mapping[str, Any]:
    """Read back the column, the index and every parameter of it, and the row count.

    Args:
        rows: how many were sent. directed: how many of them have a direction.

    Returns:
        The build parameters as read back, under our names.

    Raises:
        EngineError: one is absent or another; nothing may be scored.
    """
    found = check_described(link, spec)
    held = link.ask(f"select count(*), count(v), min(id), max(id), sum(id)::int8 from {link.table}")
    sent = (rows, directed, 0, rows - 1, rows * (rows - 1) // 2)
    if held != [sent]:
        raise _other(link, f"rows, vectors and numbers {held[0]} where {sent} were sent")
    return found


def check_described(link: Link, spec: PgSpec) -> dict[str, Any]:
    """Hold the engine's description of column and index to the Spec.

    Raises:
        EngineError: type, operators or a build parameter is absent or another.
    """
    held = columns(link)
    asked = "halfvec" if spec.column == "halfvec" else "vector"
    if held.get("v", "").partition("(")[0] != asked or ("b" in held) != (spec.column == "bit"):
        raise _other(link, f"columns {held} where column = {spec.column} was asked for")
    found: dict[str, Any] = {"column": spec.column}
    if spec.method is None:
        ((indexes,),) = link.ask(
            "select count(*) from pg_index i join pg_class c on c.oid = i.indexrelid"
            " join pg_am m on m.oid = c.relam"
            " where i.indrelid = to_regclass($1) and m.amname in ('hnsw', 'ivfflat')",
            link.table,
        )
        if indexes:
            raise _other(link, f"{indexes} indexes where none was asked for")
        return found
    described = link.ask(_INDEX, link.table, link.index)
    if not described:
        raise _other(link, f"no index {link.index}")
    valid, method, operators, options, on, whole = described[0]
    if not (valid and whole):
        raise _other(link, "an index that is not valid, or not over all rows")
    said = {"method": method, "operators": operators, "on": on}
    wanted = {
        "method": spec.method,
        "operators": OPCLASSES[spec.column],
        "on": "b" if spec.column == "bit" else "v",
    }
    if said != wanted:
        raise _other(link, f"{said} where {wanted} was asked for")
    built = dict(option.split("=", 1) for option in options)
    for name, value in spec.options().items():
        if built.get(name) != str(value):
            raise _other(link, f"{name} = {built.get(name)} where {value} was asked for")
        found[name] = int(built[name])
    return found


def columns(link: Link) -> dict[str, str]:
    """The table's columns and their types; empty where there is no such table."""
    return dict(
        link.ask(
            "select attname, format_type(atttypid, atttypmod) from pg_attribute"
            " where attrelid = to_regclass($1) and attnum > 0 and not attisdropped",
            link.table,
        )
    )


def check_plan(link: Link, spec: PgSpec, query: str, parameters: Sequence[Any]) -> None:
    """Have PostgreSQL say how it would answer a query: by the index, or by reading all rows.

    Raises:
        EngineError: otherwise than the Spec says.
    """
    ((plan,),) = link.ask(f"explain (format json) {query}", *parameters)
    plan = json.loads(plan) if isinstance(plan, str) else plan
    scans = [node for node in nodes(plan[0]["Plan"]) if node.get("Relation Name") == link.name]
    by = [(node["Node Type"], node.get("Index Name")) for node in scans]
    wanted = ("Index Scan", link.index) if spec.method else ("Seq Scan", None)
    if by != [wanted]:
        raise EngineError(
            f"{link.where} would search {link.name} by {by}, not by {wanted}.",
            mend="drop it and build again; if that repeats, this version of PostgreSQL or pgvector"
            " plans otherwise than it should.",
        )


def nodes(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A plan's node and all below it."""
    yield node
    for part in node.get("Plans", ()):
        yield from nodes(part)


def _other(link: Link, what: str) -> EngineError:
    return EngineError(
        f"{link.where} built something else: {link.name} has {what}.",
        mend="drop it and build again; if that repeats, this version of PostgreSQL or pgvector"
        " does not do what is asked of it.",
    )


def index_bytes(link: Link, spec: PgSpec) -> int:
    """Measured bytes of what answers: the index, and the table where its vectors do."""
    parts = [f'mox."{link.index}"'] if spec.method else []
    parts += [link.table] if spec.method is None or spec.column == "bit" else []
    return sum(int(link.ask(_SIZE, part)[0][0]) for part in parts)
