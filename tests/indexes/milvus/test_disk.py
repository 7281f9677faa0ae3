"""What a collection takes on disk: read from the files of a real Milvus 2.3.5, or not said."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mox
from mox.indexes import indexes
from mox.indexes.milvus.build import Contents, create, index
from mox.indexes.milvus.client import connected
from mox.indexes.milvus.disk import ELSEWHERE, UnreadError, live_bytes
from mox.indexes.milvus.specs import Flat, IvfSq8
from mox.indexes.serving import served
from mox.spec import IndexSpec
from mox.types import Place, Rows, Served

pytestmark = pytest.mark.timeout(300)
ROWS, DIMS, NLIST = 4_000, 64, 16
RAW = DIMS * 4
"""Bytes of a vector; of random float32 nothing can be compressed away."""
SIDE = 4 * 8 + 2 * 4
"""At most, of a row beside its vector: its id, a number, the server's own id and time, each of
8 bytes; and its 15 bits in a filter (of 0.1 % false positives), kept twice and written as text."""
ENVELOPES = 8 * 1_024
"""Of eight files at most: five fields, two filters, an index."""


@pytest.fixture(scope="module")
def here(milvus_server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Builds at the server, and asks of the state folder that started it what a build takes."""
    vectors = np.random.default_rng(0).standard_normal((ROWS, DIMS)).astype(np.float32)
    folder = tmp_path_factory.mktemp("disk")
    made: list[Place] = []

    def built(name: str, spec: IndexSpec, rows: int) -> Place:
        place = Place(name, folder, milvus_server.uri)
        indexes[spec].build(
            spec, Rows(vectors[:rows], fields={"n": np.arange(rows, dtype=np.int32)}), place
        )
        made.append(place)
        return place

    yield built
    for place in made:
        indexes[Flat()].drop(place)


@pytest.fixture(autouse=True)
def started_here(milvus_server: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state folder is the one that the server was started in; its data."""
    monkeypatch.setenv("MOX_HOME", str(milvus_server.home))
    return Path(milvus_server.server.log).parent / "data"


@pytest.fixture(scope="module")
def flat(here: Callable[..., Place]) -> Place:
    return here("mox_disk_flat", Flat(), ROWS)


@pytest.fixture(scope="module")
def rounded(here: Callable[..., Place]) -> Place:
    return here("mox_disk_rounded", IvfSq8(nlist=NLIST), ROWS)


def told(place: Place) -> Served:
    with served(Flat(), place) as found:
        return found


def size(place: Place) -> int:
    found = told(place)
    assert found.disk_bytes is not None, found.no_disk
    return found.disk_bytes


def test_vectors_without_an_index_take_themselves_and_little_more(flat: Place) -> None:
    assert ROWS * RAW <= size(flat) <= ROWS * (RAW + SIDE) + ENVELOPES


def test_an_index_is_counted_beside_the_vectors(flat: Place, rounded: Place) -> None:
    more = size(rounded) - size(flat)
    # A byte a dimension, 8 of a row's number, the cells' centres and each dimension's two ends.
    whole = ROWS * (DIMS + 8) + (NLIST + 2) * RAW
    # It is compressed: 256 steps over some 8 standard deviations leave a normal number
    # log2(32 √(2πe)) = 7.05 of its 8 bits.
    assert 0.8 * ROWS * DIMS <= more <= whole + ENVELOPES


def test_neither_a_dropped_collection_nor_its_namesake_is_counted(
    flat: Place, here: Callable[..., Place], started_here: Path
) -> None:
    before = size(flat)
    first = here("mox_disk_again", IvfSq8(nlist=NLIST), ROWS)
    gone = size(first)
    indexes[Flat()].drop(first)
    again = here("mox_disk_again", Flat(), ROWS // 2)
    assert ROWS // 2 * RAW <= size(again) <= ROWS // 2 * (RAW + SIDE) + ENVELOPES
    assert size(flat) == before
    assert size(flat) - size(again) >= ROWS // 2 * RAW, "half the rows, half the bytes"
    kept = sum(file.stat().st_size for file in started_here.rglob("*") if file.is_file())
    assert kept >= before + size(again) + gone, "the dropped one's files are there still"


@contextmanager
def away(path: Path) -> Iterator[None]:
    elsewhere = path.with_name("elsewhere")
    path.rename(elsewhere)
    try:
        yield
    finally:
        elsewhere.rename(path)


def test_files_that_lie_otherwise_are_not_guessed_at(rounded: Place, started_here: Path) -> None:
    with connected(rounded) as link:
        segments = link.client.list_persistent_segments(rounded.name)
        (at,) = started_here.glob(f"insert_log/*/*/{segments[0].segment_id}")
        (build,) = started_here.glob(f"index_files/*/*/*/{segments[0].segment_id}")
        other = replace(link, engine={"engine": "milvus", "version": "2.4.1"})
        with pytest.raises(UnreadError, match=r"how Milvus 2\.4\.1 lays out its files isn't known"):
            live_bytes(other, started_here)
    with away(at / "101"):
        found = told(rounded)
        assert found.disk_bytes is None
        assert (
            "has files of the fields 0, 1, 100, 102, elsewhere, where its schema" in found.no_disk
        )
    with away(at):
        assert "can't be read (No such file" in told(rounded).no_disk
    with away(build):
        assert "has files of 0 indexes, where 1 should be" in told(rounded).no_disk
    with away(build.parents[1]):
        assert "is not laid out as those of Milvus 2.3.x" in told(rounded).no_disk
    assert told(rounded).disk_bytes


def test_of_a_server_that_was_not_started_here_nothing_is_said(
    flat: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOX_HOME", str(tmp_path))
    assert (told(flat).disk_bytes, told(flat).no_disk) == (None, ELSEWHERE)


@pytest.mark.slow
def test_segments_that_were_compacted_into_others_are_not_counted(
    milvus_server: Any, tmp_path: Path, started_here: Path
) -> None:
    place = Place("mox_disk_compacted", tmp_path, milvus_server.uri)
    spec = IvfSq8(nlist=NLIST)
    vectors = np.random.default_rng(1).standard_normal((ROWS, DIMS)).astype(np.float32)
    with connected(place) as link:
        create(link, spec, Contents(vectors, {}))
        for first in (0, ROWS // 2):
            rows = range(first, first + ROWS // 2)
            link.client.insert(link.name, [{"id": at, "vector": vectors[at]} for at in rows])
            link.client.flush(link.name)
        index(link, spec, ROWS, 60)
        parts = size(place)
        job = link.client.compact(link.name)
        link.wait(lambda: link.client.get_compaction_state(job) == "Completed", "compacting", 120)
        link.wait(lambda: told(place).disk_bytes is not None, "indexing", 120)
        assert len(link.client.list_persistent_segments(link.name)) == 1
        number = link.client.describe_collection(link.name)["collection_id"]
    kept = [path.name for path in started_here.glob(f"insert_log/{number}/*/*")]
    assert len(kept) == 3, "two were made one, and are there still"
    assert size(place) == pytest.approx(parts, rel=0.05)
    indexes[spec].drop(place)


@pytest.mark.slow
def test_a_table_says_why_there_is_none(
    milvus_server: Any, small_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOX_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("MOX_MILVUS_URI", milvus_server.uri)
    asked = {
        "name": "disk",
        "corpus": {"kind": "evidence", "path": str(small_corpus)},
        "axes": {
            "chunk": [{"kind": "recursive", "size": 40}],
            "embed": [{"kind": "hashing", "dims": 64}],
            "index": [{"kind": "FLAT"}],
            "search": [{"kind": "dense", "k": 5}],
            "load": [{"seconds": 0.2, "rounds": 1}],
        },
        "measure": ["recall@5"],
    }
    table = mox.run(asked, offline=True, quiet=True).load()
    (row,) = table.rows
    assert row.facts["disk_mb"] is None
    assert row.facts["no_disk"] == ELSEWHERE
    assert f"No disk of milvus 2.3.5-lite: {ELSEWHERE}." in table.notes
