"""Milvus Lite gives everything back, says who holds what, and prints nothing."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest

from mox.errors import EngineError, SpecError
from mox.indexes import indexes
from mox.indexes.milvus import lite
from mox.indexes.milvus.specs import EfSearch, Flat, Hnsw, HnswSq, IvfFlat, IvfSq8, MilvusSpec
from mox.testing.vectors import clustered
from mox.types import Built, Place, Rows

Run = Callable[[str], subprocess.CompletedProcess[str]]

SPEC = Hnsw(m=8, ef_construction=40)
BACKEND = indexes[SPEC]
ASK = """
from pathlib import Path
from mox.indexes import indexes
from mox.indexes.milvus.specs import EfSearch, Hnsw
from mox.testing.vectors import clustered
from mox.types import Place

spec = Hnsw(m=8, ef_construction=40)
with indexes[spec].open(spec, Place({name!r}, Path({folder!r}))) as searcher:
    ids, _ = searcher.search(clustered(400, 3)[1], k=5, settings=EfSearch())
print(ids.tolist())
"""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place("mox_lite", tmp_path)


def build(place: Place, spec: MilvusSpec = SPEC, rows: int = 400) -> Built:
    return BACKEND.build(spec, Rows(clustered(rows, 3)[0]), place)


def test_another_process_searches_what_this_one_built_and_lives_on(
    place: Place, python: Run
) -> None:
    build(place)
    answer = python(ASK.format(name=place.name, folder=str(place.folder)))
    assert answer.returncode == 0, answer.stderr
    with BACKEND.open(SPEC, place) as searcher:
        ids, _ = searcher.search(clustered(400, 3)[1], k=5, settings=EfSearch())
    assert answer.stdout.strip() == str(ids.tolist())


def holding(place: Place) -> subprocess.Popen[str]:
    """A process that opens a collection, says so, and holds it until it is written to."""
    script = ASK.format(name=place.name, folder=str(place.folder)).replace(
        "print(ids.tolist())", ""
    )
    script = script.replace("    ids, _ =", "    print('open', flush=True); input()\n    ids, _ =")
    return subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_a_process_that_is_done_soon_is_waited_for(place: Place) -> None:
    build(place)
    holder = holding(place)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        told = threading.Event()

        def end() -> None:
            told.set()
            holder.communicate("\n", timeout=30)

        threading.Timer(1, end).start()
        assert BACKEND.rows(place) == 400
        assert told.is_set(), "not while the other had it"
    finally:
        holder.kill()
        holder.wait(20)


def test_a_second_process_is_told_who_holds_the_folder(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lite, "WAITS_S", 0.2)
    build(place)
    holder = holding(place)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        for refused in (
            lambda: BACKEND.rows(place),
            lambda: BACKEND.drop(place),
            lambda: build(place),
            lambda: BACKEND.open(SPEC, place).__enter__(),
        ):
            with pytest.raises(EngineError, match=r"mox_lite\.db open") as caught:
                refused()
            assert "MOX_MILVUS_URI" in caught.value.mend
            if Path("/proc/locks").exists():
                assert f"process {holder.pid} " in caught.value.message
        assert holder.communicate("\n", timeout=30)[0] == ""
        assert holder.returncode == 0
    finally:
        holder.kill()
        holder.wait(timeout=20)
    assert BACKEND.rows(place) == 400


def test_24_builds_leave_threads_files_and_memory_as_they_were(tmp_path: Path) -> None:
    """What `MilvusClient.close()` alone leaves of 24 is 100 threads, 100 files, half a gigabyte."""
    process = psutil.Process()

    def one(number: int) -> tuple[int, int, int]:
        place = Place(f"mox_{number}", tmp_path)
        build(place)
        with BACKEND.open(SPEC, place) as searcher:
            searcher.search(clustered(400, 3)[1], k=5, settings=EfSearch())
        return process.num_threads(), process.num_fds(), process.memory_info().rss

    first = [one(number) for number in range(6)]
    last = [one(number) for number in range(6, 24)][-6:]
    before, after = ([min(part) for part in zip(*runs, strict=True)] for runs in (first, last))
    # gRPC's own nine threads come and go, so that the fewest of six builds may hold them or not.
    assert after[0] <= max(threads for threads, _, _ in first)
    assert after[1] <= before[1] + 4
    assert after[2] <= before[2] + 60e6


def test_a_folder_that_is_in_use_here_stays_open_for_its_other_user(place: Place) -> None:
    build(place)
    with BACKEND.open(SPEC, place) as searcher:
        assert BACKEND.rows(place) == 400
        with BACKEND.open(SPEC, place):
            pass
        with pytest.raises(EngineError, match="open in this process"):
            BACKEND.drop(place)
        ids, _ = searcher.search(clustered(400, 3)[1], k=5, settings=EfSearch())
    assert (ids >= 0).all()
    BACKEND.drop(place)
    assert not list(place.folder.iterdir())


def test_what_fails_inside_still_gives_the_folder_back(place: Place) -> None:
    build(place)
    with pytest.raises(ZeroDivisionError), BACKEND.open(SPEC, place):
        raise ZeroDivisionError
    BACKEND.drop(place)


def test_nothing_is_built_over_what_is_there(place: Place) -> None:
    build(place)
    with pytest.raises(EngineError, match="has mox_lite already"):
        build(place)
    assert BACKEND.rows(place) == 400


def test_another_spec_is_not_answered_from_it(place: Place) -> None:
    build(place)
    other = Hnsw(m=9, ef_construction=40)
    with pytest.raises(EngineError, match="M = 8 where M = 9"), BACKEND.open(other, place):
        pass


def test_a_folder_that_cannot_be_read_is_named(place: Place) -> None:
    build(place)
    manifest = next(place.folder.rglob("manifest.json"))
    for file in manifest.parent.glob("manifest.json*"):
        file.write_text("{")
    with pytest.raises(EngineError, match="mox_lite"):
        BACKEND.rows(place)


def test_more_cells_than_rows_are_refused(place: Place) -> None:
    with pytest.raises(SpecError, match="nlist = 401 cells for 400 vectors"):
        build(place, IvfFlat(nlist=401))


def test_vectors_that_all_lack_direction_are_refused(place: Place) -> None:
    with pytest.raises(EngineError, match="none of the 5 vectors"):
        BACKEND.build(SPEC, Rows(np.zeros((5, 8), dtype=np.float32)), place)


@pytest.mark.parametrize(
    "spec", [Flat(), SPEC, HnswSq(), IvfFlat(nlist=20), IvfSq8(nlist=20)], ids=lambda s: s.kind
)
def test_the_size_is_the_index_files_and_near_the_formula(place: Place, spec: MilvusSpec) -> None:
    built = build(place, spec, rows=2_000)
    files = lite.index_files(place)
    assert built.bytes_are == "measured"
    assert built.index_bytes == sum(file.stat().st_size for file in files) > 0
    assert built.index_bytes == pytest.approx(spec.formula_bytes(2_000, 32), rel=0.02)


def test_a_build_prints_nothing_and_hides_nothing(tmp_path: Path, python: Run) -> None:
    """faiss warns on file descriptor 2 of 400 rows for 64 cells; others' lines are kept."""
    answer = python(f"""
import os
from pathlib import Path
from mox.indexes import indexes
from mox.indexes.milvus import lite
from mox.indexes.milvus.specs import IvfFlat
from mox.testing.vectors import clustered
from mox.types import Place, Rows

spec, place = IvfFlat(nlist=64), Place("mox_quiet", Path({str(tmp_path)!r}))
indexes[spec].build(spec, Rows(clustered(400, 1)[0]), place)
with lite.without_training_warnings():
    os.write(2, b"WARNING clustering 400 points\\nsomebody else's line\\n")
next(place.folder.rglob("manifest.json")).unlink()
next(place.folder.rglob("schema.json")).write_text("no schema")
try:
    indexes[spec].rows(place)
except Exception as error:
    print(type(error).__name__)
""")
    assert answer.stdout == "EngineError\n"
    assert answer.stderr == "somebody else's line\n"


def test_a_plan_imports_no_engine(python: Run) -> None:
    answer = python("""
import sys
from mox.indexes import indexes
for kind in ("exact", "FLAT", "HNSW", "IVF_SQ8", "AUTOINDEX"):
    spec = indexes.parse({"kind": kind})
    indexes[spec].check(spec, indexes[spec].engine(None))
    indexes.fingerprint(spec)
print(sorted({name.partition(".")[0] for name in sys.modules}
             & {"pymilvus", "milvus_lite", "faiss", "grpc", "pyarrow", "pandas"}))
""")
    assert answer.stdout == "[]\n", answer.stderr
