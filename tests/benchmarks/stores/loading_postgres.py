"""Loading vectors into PostgreSQL: Mox' COPY over the fastest bare loop of psycopg.

Goal: ≥ 0.95 of its rows a second at 100,000 × 384. The bare loop, as pgvector's documentation
writes it, with what made it faster here (one transaction, a plain column, the index afterwards):

    register_vector(connection)
    with connection.transaction():
        connection.execute("create table t (id int4 not null, v vector(384))")
        connection.execute("alter table t alter column v set storage plain")
        statement = "copy t (id, v) from stdin with (format binary, freeze)"
        with connection.cursor().copy(statement) as copy:
            copy.set_types(["int4", "vector"])
            for row in enumerate(vectors):
                copy.write_row(row)

Both sides write to the same embedded server, one right after the other, in an order drawn anew;
both end with the commit. Neither builds an index. CPU is this process', the client alone.

    python tests/benchmarks/stores/loading_postgres.py [--rows 100000] [--rounds 5]

Some 1 minute (extra `pgvector`, and the package `pgvector` for the bare side).
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measuring import head, load, made, ratio, say, spread, table, verdict

from mox.indexes import indexes
from mox.indexes.pgvector.client import connected, server_folder
from mox.indexes.pgvector.specs import PgExact
from mox.services import postgres
from mox.types import Place, Rows

if TYPE_CHECKING:
    from measuring import Floats

LEAST = 0.95


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    head(f"loading {arguments.rows:,} × 384 into PostgreSQL", "psycopg", "pgvector", "numpy")
    vectors, _ = made(arguments.rows, 1)
    with tempfile.TemporaryDirectory() as folder:
        place = Place("mox_loading", Path(folder))
        try:
            rates, client = measured(vectors, place, arguments.rounds)
        finally:
            postgres.stop(server_folder(place))
    compared = ratio(rates["mox"], rates["bare"])
    rows = [(side, spread(rates[side]), spread(client[side], 2)) for side in rates]
    table(rows, ("side", "rows/s", "client CPU s"))
    print(f"mox over bare: {compared} ({verdict(compared.low >= LEAST)}: ≥ {LEAST})")
    load("at the end")


def measured(
    vectors: Floats, place: Place, rounds: int
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Rows a second, and this process' seconds of CPU, of each side and round."""
    sides = {"mox": by_mox, "bare": by_loop}
    rates: dict[str, list[float]] = {side: [] for side in sides}
    client: dict[str, list[float]] = {side: [] for side in sides}
    dice = random.Random(0)  # noqa: S311  the order of the sides
    for at in range(rounds + 1):  # the first warms up
        say(f"round {at} of {rounds}")
        for side in dice.sample(list(sides), len(sides)):
            drop(place)
            cpu = time.process_time()
            took = sides[side](vectors, place)
            if at:
                rates[side].append(len(vectors) / took)
                client[side].append(time.process_time() - cpu)
    return rates, client


def by_mox(vectors: Floats, place: Place) -> float:
    """With all that a build does beside: the table verified and analysed."""
    return indexes[PgExact()].build(PgExact(), Rows(vectors), place).build_s


def by_loop(vectors: Floats, place: Place) -> float:
    import psycopg
    from pgvector.psycopg import register_vector

    with (
        postgres.serving(server_folder(place)) as uri,
        psycopg.connect(uri, autocommit=True) as connection,
    ):
        register_vector(connection)
        began = time.perf_counter()
        with connection.transaction():
            run(connection, f"create table mox.{place.name} (id int4 not null, v vector(384))")
            run(connection, f"alter table mox.{place.name} alter column v set storage plain")
            statement = f"copy mox.{place.name} (id, v) from stdin with (format binary, freeze)"
            with connection.cursor().copy(statement.encode()) as copy:
                copy.set_types(["int4", "vector"])
                for row in enumerate(vectors):
                    copy.write_row(row)
        return time.perf_counter() - began


def run(connection: Any, statement: str) -> None:
    connection.execute(statement.encode())


def drop(place: Place) -> None:
    """The table of the round before; and once, the extension and the schema."""
    from mox.indexes.pgvector.build import provide

    with connected(place) as link:
        provide(link)
        link.do(f"drop table if exists {link.table}")
        link.do("checkpoint")


if __name__ == "__main__":
    main()
