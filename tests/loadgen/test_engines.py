"""What a load asks of an engine, of each that has it: clients of its own, inserts, its process."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import psutil
import pytest

from mox.errors import SpecError
from mox.indexes import indexes
from mox.indexes.exact import Exact, nearest_where
from mox.indexes.milvus.specs import Hnsw, IvfFlat
from mox.indexes.pgvector.specs import PgHnsw
from mox.indexes.serving import served, takes_inserts, writable
from mox.loadgen import Ask, Cell, Measured, Subject, cores, find, measure, resident_bytes, summary
from mox.loadgen.client import taken
from mox.loadgen.engine import processes
from mox.pipeline.recall import Truth, under_load
from mox.retrieval.hits import ranked
from mox.services import postgres
from mox.spec import IndexSpec, SearchSettings
from mox.testing.vectors import clustered
from mox.types import Place, Rows, Served, Where

ROWS, QUERIES, K = 2_000, 40, 10
FIELDS = {"n": np.arange(ROWS, dtype=np.int32) % 100}


@dataclass(frozen=True)
class Engine:
    """A collection of 2,000 rows with a field, where several processes may open it."""

    spec: IndexSpec
    settings: SearchSettings
    served: Served
    root: int
    """The process that listens."""

    def subject(self, *, inserts: bool = False) -> Subject:
        vectors, queries = clustered(ROWS, QUERIES)
        place = self.served.place
        opens = writable(self.spec, place) if inserts else None
        pid = self.served.pid or find(self.served.address or "")
        return Subject(
            "s",
            opens or partial(indexes[self.spec].open, self.spec, place),
            queries,
            pid=pid,
            fresh=Rows(vectors[:50], fields={"n": FIELDS["n"][:50]}),
            first_id=ROWS,
        )


@pytest.fixture(scope="module", params=["lite", "milvus", "pgvector"])
def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engine]:
    """Milvus Lite in this process, Milvus 2.3.5, and the embedded PostgreSQL."""
    folder = tmp_path_factory.mktemp(request.param)
    spec: IndexSpec = Hnsw(m=16, ef_construction=100)
    settings: SearchSettings = Hnsw.Search(ef=200)  # type: ignore[call-arg]
    uri, root = None, os.getpid()
    if request.param == "milvus":
        # The HNSW of 2.3.5 remembers what it was asked, and answers it otherwise the next time.
        spec, settings = IvfFlat(nlist=16), IvfFlat.Search(nprobe=16)  # type: ignore[call-arg]
        server = request.getfixturevalue("milvus_server")
        uri, root = server.uri, server.pid
    elif request.param == "pgvector":
        spec = PgHnsw(m=16, ef_construction=100)
        settings = PgHnsw.Search(ef_search=200)  # type: ignore[call-arg]
    place = Place(f"mox_load_{request.param}", folder, uri)
    backend = indexes[spec]
    vectors, _ = clustered(ROWS, QUERIES)
    backend.build(spec, Rows(vectors, fields=FIELDS), place)
    with ExitStack() as stack:
        if request.param == "pgvector":
            pids = (folder / "postgres" / "data" / "postmaster.pid").read_text().split()
            root = int(pids[0])
            stack.callback(postgres.stop, folder / "postgres")
        stack.callback(backend.drop, place)
        yield Engine(spec, settings, stack.enter_context(served(spec, place)), root)


@pytest.fixture(scope="module")
def loaded(engine: Engine) -> dict[str, Measured]:
    """Calm, filtered, and then during inserts.

    What a writer deleted may be seen a little longer (Milvus' consistency is bounded), so
    that whoever compares answers, as loads do, reads before it or elsewhere.
    """
    ask = Ask(K, engine.settings)
    read, write = engine.subject(), engine.subject(inserts=True)
    reading = [
        Cell("calm", read, ask, clients=2, seconds=0.5, rounds=1),
        Cell("filtered", read, replace(ask, where=Where("n", 10)), seconds=0.5, rounds=1),
    ]
    writing = [Cell("inserts", write, ask, seconds=1.5, rounds=1, inserts=40)]
    return {one.cell.name: one for cells in (reading, writing) for one in measure(cells)}


def found_of(measured: Measured, passing: Any = True) -> float:
    """Tie-aware recall against exact search over the rows that pass."""
    vectors, queries = clustered(ROWS, QUERIES)
    ids, scores = nearest_where(vectors, queries, K, np.ones(ROWS, dtype=np.bool_) & passing)
    truth = Truth(ranked(ids, scores, k=K), vectors, queries, K)
    return float(under_load(measured.rounds, truth)["recall"]["tie_aware"])


def test_several_processes_ask_it_and_are_answered_alike(loaded: dict[str, Measured]) -> None:
    calm = loaded["calm"]
    assert calm.failed is None
    assert found_of(calm) > 0.95
    (one,) = calm.rounds
    for query in np.unique(one.query):
        assert len(np.unique(one.ids[one.query == query], axis=0)) == 1
    shown = summary(calm, cores=cores())
    assert shown["client_cpu_ms"] > 0
    assert shown["engine_cpu_ms"] > 0


def test_its_process_is_found_by_its_address(engine: Engine) -> None:
    subject = engine.subject()
    assert subject.pid == engine.root
    names = {psutil.Process(pid).name() for pid in processes(engine.root)}
    assert names <= {"python", "python3", "python3.11", "milvus", "postgres", "pytest"}
    assert engine.root in processes(engine.root)


LISTENS = """
import socket, sys
with socket.socket(socket.AF_UNIX) as one:
    one.bind(sys.argv[1])
    one.listen()
    print("listening", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("port", [5432, 5433])
def test_of_two_servers_in_one_folder_the_one_at_the_port_is_found(
    port: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("two servers")
    with ExitStack() as stack:
        pids = {}
        for one in (5432, 5433):
            process = subprocess.Popen(
                [sys.executable, "-c", LISTENS, str(folder / f".s.PGSQL.{one}")],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            )  # fmt: skip
            stack.callback(process.communicate, timeout=20)
            assert process.stdout is not None
            assert process.stdout.readline() == b"listening\n"
            pids[one] = process.pid
        at = quote(str(folder), safe="")
        assert find(f"postgresql://u@/db?host={at}&port={port}") == pids[port]
        assert find(f"postgresql://u@{at}:{port}/db") == pids[port]
        assert find(f"postgresql://u@/db?host={at}") == pids[5432]


def test_a_server_is_found_while_descriptors_come_and_go(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Of this very process, whose listing of descriptors is itself one of those that it lists and
    gone when it is looked at: with a number below the socket's, it stands before it."""
    folder = tmp_path_factory.mktemp("own")
    low = [os.open(os.devnull, os.O_RDONLY) for _ in range(3)]
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(folder / ".s.PGSQL.5432"))
        one.listen()
        for number in low:
            os.close(number)
        assert find(f"postgresql://u@/db?host={quote(str(folder), safe='')}") == os.getpid()


def test_a_filter_of_a_tenth_is_held_to_what_passes_it(loaded: dict[str, Measured]) -> None:
    filtered = loaded["filtered"]
    assert filtered.failed is None
    assert found_of(filtered, FIELDS["n"] < 10) > 0.85
    assert found_of(filtered) < 0.5, "another truth"
    ids = filtered.rounds[0].ids
    assert (FIELDS["n"][ids[ids >= 0]] < 10).all()


def test_during_inserts_the_built_rows_are_found_as_well(loaded: dict[str, Measured]) -> None:
    inserts = loaded["inserts"]
    assert inserts.failed is None
    assert 0 < inserts.rounds[0].inserted <= 40 * 1.5 + 4
    assert loaded["calm"].rounds[0].inserted == 0
    assert found_of(inserts) > 0.95


def test_what_a_writer_inserted_is_gone_afterwards(
    engine: Engine, loaded: dict[str, Measured]
) -> None:
    _, queries = clustered(ROWS, QUERIES)
    with writable(engine.spec, engine.served.place)() as opened:

        def left() -> int:
            found, _ = opened.search(queries, k=K, settings=engine.settings)
            return int((found >= ROWS).sum())

        within_a_while(lambda: left() == 0)


def test_what_is_inserted_is_found_and_what_is_deleted_is_not(engine: Engine) -> None:
    vectors, _ = clustered(ROWS, QUERIES)
    with writable(engine.spec, engine.served.place)() as opened:
        ids = np.arange(ROWS, ROWS + 20, dtype=np.int32)
        rows = Rows(vectors[:20], fields={"n": FIELDS["n"][:20]})

        def copies() -> int:
            found, _ = opened.search(vectors[:20], k=2, settings=engine.settings)
            return int((found == ids[:, None]).any(axis=1).sum())

        assert copies() == 0
        opened.insert(ids, rows)
        within_a_while(lambda: copies() == 20)
        opened.delete(ids)
        within_a_while(lambda: copies() == 0)
        with pytest.raises(SpecError, match="with the fields"):
            opened.insert(ids, Rows(vectors[:20]))


def within_a_while(done: Callable[[], bool]) -> None:
    """Milvus' consistency is bounded: what is written may be seen a little later."""
    until = time.monotonic() + 20
    while not done():
        assert time.monotonic() < until
        time.sleep(0.2)


def test_exact_search_takes_no_inserts(tmp_path: Path) -> None:
    assert takes_inserts(Hnsw())
    assert not takes_inserts(Exact())
    with pytest.raises(SpecError, match="exact takes no inserts"):
        writable(Exact(), Place("x", tmp_path))


def test_a_writer_inserts_its_rows_over_and_over() -> None:
    vectors, _ = clustered(3, 1)
    rows = Rows(vectors, fields={"n": np.array([7, 8, 9], dtype=np.int32)})
    found = taken(rows, np.arange(2, 6))
    assert found.fields["n"].tolist() == [9, 7, 8, 9]
    assert (found.vectors == vectors[[2, 0, 1, 2]]).all()


def test_memory_is_what_a_process_holds_after_loading_less_after_its_release() -> None:
    """This very process, as an engine that takes 200 MB and gives them back."""
    held: list[Any] = []

    def load() -> Callable[[], None]:
        held.append(np.ones(25_000_000))
        return held.clear

    found = resident_bytes(os.getpid(), load)
    assert found == pytest.approx(200e6, rel=0.05)
    assert resident_bytes(os.getpid(), lambda: held.clear) is None, "nothing was loaded"
    assert resident_bytes(None, lambda: held.clear) is None
