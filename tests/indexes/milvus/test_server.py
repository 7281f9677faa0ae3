"""A real Milvus, 2.3.5: minutes, since each load takes four seconds there. By hand, -m slow."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from mox.errors import EngineError, SpecError
from mox.indexes import indexes
from mox.indexes.exact import nearest
from mox.indexes.milvus.build import load
from mox.indexes.milvus.client import connected
from mox.indexes.milvus.specs import (
    Flat,
    HnswSq,
    IvfFlat,
    NprobeSearch,
)
from mox.indexes.milvus.verify import verify
from mox.testing.vectors import ROWS, clustered, recall
from mox.types import Place, Rows, Searcher

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
BACKEND = indexes[Flat()]


def test_what_the_version_lacks_is_refused_before_anything_is_sent(
    milvus_server: Any, tmp_path: Path
) -> None:
    engine = BACKEND.engine(milvus_server.uri)
    assert engine == {"engine": "milvus", "version": "2.3.5-lite"}
    with pytest.raises(SpecError, match=r"needs a server of Milvus ≥ 2\.5; .* 2\.3\.5-lite"):
        BACKEND.check(HnswSq(), engine)
    place = Place("mox_lacks", tmp_path, milvus_server.uri)
    with pytest.raises(SpecError, match="HNSW_SQ needs"):
        BACKEND.build(HnswSq(), Rows(clustered(ROWS, 1)[0]), place)
    assert BACKEND.rows(place) is None


def test_a_segment_too_small_for_its_index_is_no_index(milvus_server: Any, tmp_path: Path) -> None:
    """The server calls it Finished, all rows indexed, and answers by something else."""
    place = Place("mox_small", tmp_path, milvus_server.uri)
    vectors = clustered(30, 1)[0]
    with pytest.raises(EngineError, match="answers 0 of the 30 rows of mox_small by its IVF_FLAT"):
        BACKEND.build(IvfFlat(nlist=4), Rows(vectors), place)
    BACKEND.drop(place)
    assert BACKEND.build(Flat(), Rows(vectors), place).rows == 30
    BACKEND.drop(place)


def test_rows_that_were_loaded_before_they_were_flushed_are_loaded_again(
    milvus_server: Any, tmp_path: Path
) -> None:
    from pymilvus import DataType

    spec = IvfFlat(nlist=64)
    vectors, queries = clustered(3_000, 50)
    with connected(Place("mox_growing", tmp_path, milvus_server.uri)) as link:
        client = link.client
        schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=32)
        client.create_collection(link.name, schema=schema)
        index = client.prepare_index_params()
        index.add_index("vector", index_type="IVF_FLAT", metric_type="COSINE", params={"nlist": 64})
        client.create_index(link.name, index, timeout=60)
        load(link, 3_000)
        client.insert(link.name, [{"id": at, "vector": row} for at, row in enumerate(vectors)])
        client.flush(link.name, timeout=60)
        verify(link, spec, 3_000)
        found = client.search(
            link.name, data=queries, limit=10, search_params={"params": {"nprobe": 1}}, timeout=10
        )
        ids = [[hit["id"] for hit in hits] + [-1] * (10 - len(hits)) for hits in found]
        client.drop_collection(link.name)
    import numpy as np

    assert recall(np.array(ids), nearest(vectors, queries, 10)[0]) < 0.97, "one cell of 64"


def test_what_another_released_is_loaded_again(milvus_server: Any, tmp_path: Path) -> None:
    place = Place("mox_shared", tmp_path, milvus_server.uri)
    vectors, queries = clustered(ROWS, 5)
    BACKEND.build(IvfFlat(nlist=16), Rows(vectors), place)
    with BACKEND.open(IvfFlat(nlist=16), place) as searcher:
        before, _ = searcher.search(queries, k=5, settings=NprobeSearch())
        with BACKEND.open(IvfFlat(nlist=16), place):
            pass  # leaving releases it on the server, for all
        after, _ = searcher.search(queries, k=5, settings=NprobeSearch())
    assert (before == after).all()
    BACKEND.drop(place)


def test_it_dies_in_mid_search(own_milvus: Any, tmp_path: Path) -> None:
    place = Place("mox_dies", tmp_path, own_milvus.up().uri)
    vectors, queries = clustered(ROWS, 5)
    BACKEND.build(Flat(), Rows(vectors), place)

    def die(searcher: Searcher) -> None:
        searcher.search(queries, k=5, settings=Flat.Search())
        own_milvus.kill()
        searcher.search(queries, k=5, settings=Flat.Search())

    with pytest.raises(EngineError, match="is away"), BACKEND.open(Flat(), place) as searcher:
        die(searcher)
    started = time.monotonic()
    with pytest.raises(EngineError, match="is away"):
        BACKEND.rows(place)
    assert time.monotonic() - started < 5
