"""What a single search through Mox costs over the same search by the bare driver.

Goal: ≤ 3 % more than bare pymilvus. Each query is asked by all sides, one right after the other in
an order drawn anew; wall time, and CPU of this process (the client alone: the engine is another).
Both are given one query as a (1, dims) array and end with its ids and scores. `as array` is what
pymilvus' user writes who has an embedder's array; `as list` has lists of Python numbers made
beforehand, outside the clock, which is the least that pymilvus can cost.

    python tests/benchmarks/stores/client_overhead.py [--stores milvus,pgvector] [--queries N]

Some 2 minutes. Starts Milvus 2.3.5 and PostgreSQL for itself (extras `milvus-server`, `pgvector`).
"""

from __future__ import annotations

import argparse
import gc
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measuring import head, load, made, milvus, ratio, say, table, verdict

from mox.indexes import indexes
from mox.spec import IndexSpec, SearchSettings
from mox.types import Place, Rows

if TYPE_CHECKING:
    from measuring import Floats

K = 10
MOST = 1.03
BLOCK = 100
"""Queries that make one pair of medians."""
WARM_UP = 100

Ask = Callable[[int], Any]
Sides = Mapping[str, Ask]


def main() -> None:
    arguments = parsed()
    head(
        f"single searches, k = {K}: {arguments.rows:,} rows, {arguments.queries:,} queries a side",
        "pymilvus", "grpcio", "psycopg", "numpy",
    )  # fmt: skip
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.stores.split(","):
            say(f"{name}: building")
            with STORES[name](Path(folder), arguments) as sides:
                say(f"{name}: searching")
                rows += compared(name, measured(sides, arguments.queries))
    table(rows, ("mox over", "wall ms", "mox", "ratio", "CPU ms", "mox", "ratio", ""))
    load("at the end")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--stores", default="milvus,pgvector")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--queries", type=int, default=2_000)
    parser.add_argument("--milvus", metavar="URI", help="a server that runs already")
    return parser.parse_args()


@contextmanager
def on_milvus(folder: Path, arguments: argparse.Namespace) -> Iterator[Sides]:
    from mox.indexes.milvus.specs import EfSearch, Hnsw

    vectors, queries = made(arguments.rows, arguments.queries)
    spec, settings = Hnsw(m=16, ef_construction=100), EfSearch(ef=64)
    with milvus(folder / "milvus", arguments.milvus) as uri:
        place = Place("mox_overhead", folder, uri)
        with built(spec, vectors, place) as searcher:
            yield {"mox": through(searcher, queries, settings), **pymilvus(uri, place, queries)}


def pymilvus(uri: str, place: Place, queries: Floats) -> Sides:
    """Bare searches; both ask for what Mox asks for, and read what Mox returns."""
    from pymilvus import MilvusClient

    client = MilvusClient(uri, timeout=10)
    params = {"params": {"ef": 64}}
    arrays = [queries[at : at + 1] for at in range(len(queries))]
    lists = [array.tolist() for array in arrays]

    def ask(data: Sequence[Any]) -> Any:
        hits = client.search(
            place.name, data=data, anns_field="vector", limit=K, search_params=params
        )[0]
        return [hit["id"] for hit in hits], [hit["distance"] for hit in hits]

    return {
        "pymilvus, as array": lambda at: ask(arrays[at]),
        "pymilvus, as list": lambda at: ask(lists[at]),
    }


@contextmanager
def on_pgvector(folder: Path, arguments: argparse.Namespace) -> Iterator[Sides]:
    from mox.indexes.pgvector.specs import HnswSearch, PgHnsw
    from mox.services.postgres import serving, stop

    vectors, queries = made(arguments.rows, arguments.queries)
    place = Place("mox_overhead", folder)
    server = folder / "postgres"
    spec, settings = PgHnsw(m=16, ef_construction=100), HnswSearch(ef_search=64)
    try:
        with (
            serving(server) as uri,
            built(spec, vectors, place) as searcher,
            psycopg(uri, place, queries) as bare,
        ):
            yield {"mox": through(searcher, queries, settings), **bare}
    finally:
        stop(server)


@contextmanager
def psycopg(uri: str, place: Place, queries: Floats) -> Iterator[Sides]:
    """The statement that Mox sends, by pgvector's own adapter, in a session with its settings."""
    import psycopg as driver
    from pgvector.psycopg import register_vector

    with driver.connect(uri, autocommit=True) as connection:
        register_vector(connection)
        for setting in ("jit = off", "max_parallel_workers_per_gather = 0",
                        "hnsw.ef_search = 64", "enable_seqscan = off"):  # fmt: skip
            connection.execute(f"set {setting}")
        statement = f'select id, 1 - (v <=> %s) from mox."{place.name}" order by v <=> %s limit {K}'  # noqa: S608

        def ask(at: int) -> Any:
            query = queries[at]
            found = connection.execute(statement, (query, query), binary=True).fetchall()
            return [row for row, _ in found], [score for _, score in found]

        yield {"psycopg": ask}


STORES = {"milvus": on_milvus, "pgvector": on_pgvector}


@contextmanager
def built(spec: IndexSpec, vectors: Floats, place: Place) -> Iterator[Any]:
    """A searcher of a collection that is there for as long as it is needed."""
    backend = indexes[spec]
    backend.drop(place)
    backend.build(spec, Rows(vectors), place)
    try:
        with backend.open(spec, place) as searcher:
            yield searcher
    finally:
        backend.drop(place)


def through(searcher: Any, queries: Floats, settings: SearchSettings) -> Ask:
    arrays = [queries[at : at + 1] for at in range(len(queries))]
    return lambda at: searcher.search(arrays[at], k=K, settings=settings)


def measured(sides: Sides, queries: int) -> dict[str, list[tuple[int, int]]]:
    """(wall, CPU) nanoseconds of each query by each side."""
    check(sides)
    names = list(sides)
    dice = random.Random(0)  # noqa: S311  the order of the sides
    for at in range(WARM_UP):
        for name in names:
            sides[name](at % queries)
    found: dict[str, list[tuple[int, int]]] = {name: [] for name in names}
    gc.collect()
    gc.disable()
    for at in range(queries):
        dice.shuffle(names)
        for name in names:
            ask = sides[name]
            wall, cpu = time.perf_counter_ns(), time.process_time_ns()
            ask(at)
            found[name].append((time.perf_counter_ns() - wall, time.process_time_ns() - cpu))
    gc.enable()
    return found


def check(sides: Sides) -> None:
    """Refuse to compare what does not answer alike."""
    for at in range(20):
        answers = {name: list(map(int, _ids(ask(at)))) for name, ask in sides.items()}
        if len(set(map(tuple, answers.values()))) > 1:
            raise SystemExit(f"query {at} has different answers: {answers}")


def _ids(answer: Any) -> Sequence[int]:
    ids = answer[0]
    return ids[0] if hasattr(ids, "ndim") else ids  # type: ignore[no-any-return]


def compared(store: str, found: Mapping[str, Sequence[tuple[int, int]]]) -> list[list[str]]:
    """A row for each bare side: medians of blocks of queries, and their ratio."""
    rows = []
    for name in (name for name in found if name != "mox"):
        row = [f"{store}: {name}"]
        verdicts = []
        for what, named in enumerate(("wall", "CPU")):
            ours, theirs = (blocks([pair[what] for pair in found[side]]) for side in ("mox", name))
            r = ratio(ours, theirs)
            row += [f"{_middle(theirs):.3f}", f"{_middle(ours):.3f}", str(r)]
            verdicts.append(f"{named} {verdict(r.mean <= MOST)}")
        rows.append([*row, ", ".join(verdicts)])
    return rows


def blocks(values: Sequence[int]) -> list[float]:
    """Median milliseconds of each block of queries, in the order in which they were asked."""
    import numpy as np

    size = min(BLOCK, max(1, len(values) // 2))
    whole = np.array(values[: len(values) // size * size]).reshape(-1, size)
    return [float(value) for value in np.median(whole, axis=1) / 1e6]


def _middle(values: Sequence[float]) -> float:
    import numpy as np

    return float(np.median(values))


if __name__ == "__main__":
    main()
