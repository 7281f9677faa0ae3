"""A build is whole or isn't there: killed in mid-COPY, out of memory, on a full disk; and what
it is asked for is read back before it counts."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psycopg
import pytest

from mox.errors import EngineError, SpecError
from mox.indexes import indexes
from mox.indexes.exact import nearest
from mox.indexes.pgvector import wire
from mox.indexes.pgvector.client import connected, server_folder
from mox.indexes.pgvector.specs import HnswSearch, Ivfflat, PgExact, PgHnsw, PgSearch, PgSpec
from mox.services import postgres
from mox.testing.vectors import ROWS, clustered, recall
from mox.types import Place, Rows

pytestmark = pytest.mark.timeout(170)
BACKEND = indexes[PgExact()]


@pytest.fixture
def place(tmp_path: Path, postgres_uri: str) -> Iterator[Place]:
    """A table of one's own on the shared server."""
    place = Place(f"mox_{tmp_path.name[-30:].lower()}", tmp_path, postgres_uri)
    yield place
    BACKEND.drop(place)


@pytest.fixture
def embedded(tmp_path: Path, postgres_copy: Callable[[Path], None]) -> Iterator[Place]:
    """A table in a server of one's own, which may be killed."""
    place = Place("mox_own", tmp_path / "indexes")
    postgres_copy(server_folder(place))
    yield place
    postgres.stop(server_folder(place))


def tables(place: Place) -> list[str]:
    with connected(place) as link:
        found = link.ask("select tablename from pg_tables where schemaname = 'mox'")
    return [name for (name,) in found]


def server_pid(place: Place) -> int:
    return int((server_folder(place) / "data" / "postmaster.pid").read_text().splitlines()[0])


BUILD = """
import sys
import numpy as np
from pathlib import Path
from mox.indexes import indexes
from mox.indexes.pgvector.specs import PgExact
from mox.types import Place, Rows
vectors = np.random.default_rng(0).normal(size=(200_000, 128)).astype(np.float32)
print("ready", flush=True)
indexes[PgExact()].build(PgExact(), Rows(vectors), Place("mox_own", Path(sys.argv[1])))
print("built", flush=True)
"""


@contextmanager
def copying(place: Place) -> Iterator[subprocess.Popen[str]]:
    """Another process in mid-COPY."""
    process = subprocess.Popen(
        [sys.executable, "-c", BUILD, str(place.folder)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        with connected(place) as link:
            until = time.monotonic() + 60
            while True:
                found = link.ask("select tuples_processed from pg_stat_progress_copy")
                if found and found[0][0] > 1_000:
                    break
                assert process.poll() is None, process.stderr and process.stderr.read()
                assert time.monotonic() < until
                time.sleep(0.002)
        yield process
    finally:
        process.kill()
        process.communicate(timeout=20)


def test_a_server_killed_in_mid_copy_leaves_no_table_and_the_next_build_succeeds(
    embedded: Place,
) -> None:
    with copying(embedded) as builder:
        os.kill(server_pid(embedded), signal.SIGKILL)
        out, err = builder.communicate(timeout=30)
    assert out == "ready\n"
    assert "mox.errors.EngineError: the embedded PostgreSQL in" in err
    assert "is away or does not answer" in err
    assert BACKEND.rows(embedded) is None
    assert tables(embedded) == []
    vectors, _ = clustered(ROWS, 1)
    assert BACKEND.build(PgExact(), Rows(vectors), embedded).rows == ROWS


def test_a_builder_killed_in_mid_copy_leaves_no_table_and_the_next_build_succeeds(
    embedded: Place,
) -> None:
    with copying(embedded) as builder:
        builder.kill()
        builder.communicate(timeout=30)
    assert BACKEND.rows(embedded) is None
    vectors, _ = clustered(ROWS, 1)
    assert BACKEND.build(PgExact(), Rows(vectors), embedded).rows == ROWS


def test_a_build_that_takes_too_long_is_given_up_whole(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mox.indexes.pgvector.build as module

    monkeypatch.setattr(module, "patience_s", lambda *_: 1)
    vectors, _ = clustered(8_000, 1)
    with pytest.raises(EngineError, match=r"statement timeout.*\n  mend: it took longer than"):
        BACKEND.build(PgHnsw(m=100, ef_construction=1_000), Rows(vectors), place)
    assert BACKEND.rows(place) is None


class Careless(PgHnsw):
    """Doesn't say what memory it needs."""

    def memory_bytes(self, rows: int, dims: int) -> int:
        return 0


def test_a_graph_that_does_not_fit_into_memory_is_no_build(place: Place, postgres_uri: str) -> None:
    """The server has 1 MB for it: enough for some 300 nodes of 3,000."""
    vectors, _ = clustered(3_000, 1, dims=256)
    with psycopg.connect(postgres_uri, autocommit=True) as connection:
        connection.execute("alter role postgres set maintenance_work_mem = '1MB'")
        try:
            with pytest.raises(
                EngineError,
                match=r"ran out of memory .* \(hnsw graph no longer fits into maintenance_work_mem"
                r" after \d+ tuples\)\.\n  mend: let the server give",
            ):
                BACKEND.build(Careless(), Rows(vectors), place)
            assert BACKEND.rows(place) is None
            assert BACKEND.build(PgHnsw(), Rows(vectors), place).rows == 3_000
        finally:
            connection.execute("alter role postgres reset maintenance_work_mem")


@pytest.mark.parametrize(
    ("dims", "m", "column"), [(256, 8, "vector"), (256, 48, "halfvec"), (2_000, 16, "bit")]
)
def test_the_memory_asked_for_is_enough_for_the_graph_alone(
    place: Place, dims: int, m: int, column: str
) -> None:
    """Else its notice would have failed the build; without the fixed 16 MB of the formula."""

    class Bare(PgHnsw):
        def memory_bytes(self, rows: int, dims: int) -> int:
            return super().memory_bytes(rows, dims) - (16 << 20)

    vectors, _ = clustered(3_000, 1, dims=dims)
    spec = Bare(m=m, ef_construction=2 * m, column=column)
    with connected(place) as link:
        link.do("alter role postgres set maintenance_work_mem = '1MB'")
    try:
        assert BACKEND.build(spec, Rows(vectors), place).rows == 3_000
    finally:
        with connected(place) as link:
            link.do("alter role postgres reset maintenance_work_mem")


class Greedy(PgHnsw):
    """Asks for a terabyte."""

    def memory_bytes(self, rows: int, dims: int) -> int:
        return 10**12


def test_what_this_machine_has_no_memory_for_is_refused_before_it_is_begun(
    embedded: Place,
) -> None:
    vectors, _ = clustered(50, 1)
    with pytest.raises(EngineError, match=r"needs 1000\.0 GB to be built in memory.*\n  mend: use"):
        BACKEND.build(Greedy(), Rows(vectors), embedded)
    assert BACKEND.rows(embedded) is None


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 110 MB; PostgreSQL's own files take half of it."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=110m", "tmpfs", str(disk)],
        capture_output=True, timeout=20, check=False,
    )  # fmt: skip
    if mounted.returncode:
        pytest.skip("only root may make a small disk")
    yield disk
    postgres.stop(disk / "indexes" / "postgres")
    subprocess.run(["umount", str(disk)], timeout=20, check=True)


def test_a_full_disk_is_said_and_leaves_no_table(
    small_disk: Path, postgres_copy: Callable[[Path], None]
) -> None:
    place = Place("mox_full", small_disk / "indexes")
    postgres_copy(server_folder(place))
    vectors = np.random.default_rng(0).normal(size=(60_000, 384)).astype(np.float32)
    with pytest.raises(EngineError, match=r"No space left on device.*\n  mend: free the disk"):
        BACKEND.build(PgExact(), Rows(vectors), place)
    assert BACKEND.rows(place) is None
    assert BACKEND.build(PgExact(), Rows(vectors[:1_000]), place).rows == 1_000


@pytest.mark.parametrize(
    ("spec", "dims"),
    [
        (PgExact(), 2_500),
        (PgHnsw(), 2_000),
        (PgHnsw(column="halfvec"), 4_000),
        (PgHnsw(column="bit"), 5_000),
    ],
    ids=lambda v: str(v),
)
def test_wide_vectors_are_held_and_found(place: Place, spec: PgSpec, dims: int) -> None:
    """In the page where they fit one, else beside it."""
    vectors, queries = clustered(300, 10, dims=dims)
    built = BACKEND.build(spec, Rows(vectors), place)
    assert built.index_bytes == pytest.approx(spec.formula_bytes(300, dims), rel=0.15)
    settings = HnswSearch(ef_search=300) if spec.method else PgSearch()
    with BACKEND.open(spec, place) as searcher:
        ids, _ = searcher.search(queries, k=10, settings=settings)
    assert recall(ids, nearest(vectors, queries, 10)[0]) >= 0.95


@pytest.mark.parametrize("column", ["vector", "halfvec", "bit"])
@pytest.mark.parametrize("kind", [PgExact, PgHnsw, Ivfflat])
def test_the_formula_of_bytes_is_what_is_measured(
    place: Place, kind: type[PgSpec], column: str
) -> None:
    """For estimates of sizes that aren't run: within 10 % at 4,000 vectors, beside the pages by
    which PostgreSQL extends a table ahead."""
    spec = kind(column=column)
    vectors, _ = clustered(4_000, 1, dims=96)
    built = BACKEND.build(spec, Rows(vectors), place)
    assert built.bytes_are == "measured"
    ahead = 64 * 8_192 if spec.method is None or column == "bit" else 0
    formula = spec.formula_bytes(4_000, 96)
    assert 0.9 * formula <= built.index_bytes <= 1.1 * formula + ahead


def test_what_is_sent_is_what_is_held(place: Place) -> None:
    """Vectors, halves, bits and fields, as PostgreSQL's own text and functions have them."""
    vectors = np.array([[0.5, -0.25, 0], [0, 0, 0], [1e-8, 3, -1]], dtype=np.float32)
    fields = {"n": np.array([-7, 0, 2**31 - 1], dtype=np.int32)}
    BACKEND.build(PgExact(column="bit"), Rows(vectors, fields=fields), place)
    with connected(place) as link:
        held = link.ask(f"select id, f_n, v::text, b::text from {link.table} order by id")
        assert held == [
            (0, -7, "[0.5,-0.25,0]", "100"),
            (1, 0, None, None),
            (2, 2**31 - 1, "[1e-08,3,-1]", "110"),
        ]
        for at in (0, 2):
            bits = wire.parameter("bit", vectors[at : at + 1])
            assert link.ask(f"select b = $1 from {link.table} where id = {at}", bits) == [(True,)]
        half = wire.parameter("halfvec", vectors[:1])
        assert link.ask("select $1::text", half) == [("[0.5,-0.25,0]",)]


def test_cells_than_rows_and_nothing_with_a_direction_are_refused(place: Place) -> None:
    vectors, _ = clustered(50, 1)
    with pytest.raises(SpecError, match=r"lists = 51 cells for 50 vectors"):
        BACKEND.build(Ivfflat(lists=51), Rows(vectors), place)
    with pytest.raises(EngineError, match="has a direction"):
        BACKEND.build(PgExact(), Rows(np.zeros_like(vectors)), place)
    assert BACKEND.rows(place) is None


def test_a_table_that_is_there_is_not_added_to(place: Place) -> None:
    vectors, _ = clustered(50, 1)
    BACKEND.build(PgExact(), Rows(vectors), place)
    with pytest.raises(EngineError, match="already"):
        BACKEND.build(PgExact(), Rows(vectors), place)
    assert BACKEND.rows(place) == 50


def test_many_build_at_once_in_a_database_that_has_nothing_of_ours(
    postgres_uri: str, tmp_path: Path
) -> None:
    """The extension and the schema are made once, whoever comes first."""
    with psycopg.connect(postgres_uri, autocommit=True) as connection:
        connection.execute("create database fresh template template0")
    uri = postgres_uri.replace("/postgres?", "/fresh?")
    vectors, _ = clustered(50, 1)
    failed: list[BaseException] = []

    def build(at: int) -> None:
        try:
            BACKEND.build(PgExact(), Rows(vectors), Place(f"mox_{at}", tmp_path, uri))
        except BaseException as error:  # noqa: BLE001  for the test's own thread to look at
            failed.append(error)

    threads = [threading.Thread(target=build, args=(at,)) for at in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []
    assert sorted(tables(Place("", tmp_path, uri))) == [f"mox_{at}" for at in range(6)]
    with psycopg.connect(postgres_uri, autocommit=True) as connection:
        connection.execute("drop database fresh with (force)")


def test_nothing_is_left_of_a_folder_that_is_removed(embedded: Place) -> None:
    """`rm -rf .mox` while a server runs: the next build makes all of it anew."""
    vectors, _ = clustered(50, 1)
    BACKEND.build(PgExact(), Rows(vectors), embedded)
    shutil.rmtree(embedded.folder)
    assert BACKEND.rows(embedded) is None
    assert BACKEND.build(PgExact(), Rows(vectors), embedded).rows == 50
    time.sleep(1.5)  # by now the old server has ended, and took nothing of the new one along
    assert BACKEND.rows(embedded) == 50
