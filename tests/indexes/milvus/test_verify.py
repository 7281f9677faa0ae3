"""An index that is not what was asked for is never called built.

Each test builds by pymilvus alone what its own examples, or a careless caller, would.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mox.errors import EngineError
from mox.indexes import indexes
from mox.indexes.milvus.client import Link, connected
from mox.indexes.milvus.specs import Flat, Hnsw, HnswSq, IvfFlat, IvfSq8, MilvusSpec
from mox.indexes.milvus.verify import verify
from mox.testing.vectors import clustered
from mox.types import Place, Rows

ROWS = 300
SPECS = [Hnsw(m=8, ef_construction=40), HnswSq(m=8), IvfFlat(nlist=4), IvfSq8(nlist=4)]


@pytest.fixture
def link(tmp_path: Path) -> Iterator[Link]:
    with connected(Place("mox_raw", tmp_path)) as link:
        yield link


def raw(link: Link, params: dict[str, Any], *, kind: str = "HNSW", metric: str = "COSINE",
        flush: bool = True) -> None:  # fmt: skip
    from pymilvus import DataType

    client = link.client
    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=32)
    client.create_collection(link.name, schema=schema)
    vectors = clustered(ROWS, 1)[0]
    client.insert(link.name, [{"id": at, "vector": row} for at, row in enumerate(vectors)])
    if flush:
        client.flush(link.name)
    index = client.prepare_index_params()
    index.add_index("vector", index_type=kind, metric_type=metric, params=params)
    client.create_index(link.name, index, sync=False)
    client.load_collection(link.name)


def nested(spec: MilvusSpec) -> dict[str, Any]:
    return {"params": spec.engine_params()}


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.kind)
def test_flat_build_parameters_that_lite_drops_are_seen(link: Link, spec: MilvusSpec) -> None:
    raw(link, spec.engine_params(), kind=spec.kind)
    with pytest.raises(EngineError, match=r"no (M|nlist) where (M|nlist) = "):
        verify(link, spec, ROWS)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.kind)
def test_what_was_built_as_asked_passes(link: Link, spec: MilvusSpec) -> None:
    raw(link, nested(spec), kind=spec.kind)
    assert verify(link, spec, ROWS) == spec.model_dump(exclude={"kind"})


def test_other_build_parameters_are_seen(link: Link) -> None:
    raw(link, nested(Hnsw(m=8, ef_construction=41)))
    with pytest.raises(EngineError, match="efConstruction = 41 where efConstruction = 40"):
        verify(link, Hnsw(m=8, ef_construction=40), ROWS)


def test_rows_that_were_not_flushed_are_seen(link: Link) -> None:
    """Lite says Finished, all rows indexed, and searches them by brute force."""
    raw(link, nested(Hnsw()), flush=False)
    with pytest.raises(EngineError, match="index files over 0 rows where 300"):
        verify(link, Hnsw(), ROWS)


def test_another_type_is_seen(link: Link) -> None:
    raw(link, {}, kind="FLAT")
    with pytest.raises(EngineError, match="index_type = FLAT where index_type = IVF_FLAT"):
        verify(link, IvfFlat(), ROWS)


def test_another_metric_is_seen(link: Link) -> None:
    raw(link, {}, kind="FLAT", metric="L2")
    with pytest.raises(EngineError, match="metric_type = L2"):
        verify(link, Flat(), ROWS)


def test_rows_too_few_or_too_many_are_seen(link: Link) -> None:
    raw(link, {}, kind="FLAT")
    with pytest.raises(EngineError, match="index files over 300 rows where 301 were sent"):
        verify(link, Flat(), ROWS + 1)


def test_a_count_that_differs_is_seen_where_no_file_can_be_read(
    shared_lite_server: Any, tmp_path: Path
) -> None:
    with connected(Place("mox_count", tmp_path, shared_lite_server.uri)) as link:
        raw(link, {}, kind="FLAT")
        with pytest.raises(EngineError, match="300 rows where 301 were sent"):
            verify(link, Flat(), ROWS + 1)
        link.client.drop_collection(link.name)


def test_the_file_is_believed_before_the_description(link: Link, tmp_path: Path) -> None:
    """Another build's index file in the place of ours: what answers is not what is described."""
    raw(link, nested(IvfFlat(nlist=4)), kind="IVF_FLAT")
    other = Place("mox_other", tmp_path)
    indexes[IvfFlat()].build(IvfFlat(nlist=8), Rows(clustered(ROWS, 1)[0]), other)
    ours, theirs = (
        next((tmp_path / f"{name}.db").glob("collections/*/partitions/*/indexes/*.idx"))
        for name in ("mox_raw", "mox_other")
    )
    ours.write_bytes(theirs.read_bytes())
    with pytest.raises(EngineError, match="index file with nlist = 8 where nlist = 4"):
        verify(link, IvfFlat(nlist=4), ROWS)


def test_a_collection_without_its_index_is_not_opened(tmp_path: Path) -> None:
    place = Place("mox_raw", tmp_path)
    with connected(place) as link:
        raw(link, nested(IvfFlat(nlist=4)), kind="IVF_FLAT")
        link.client.release_collection(link.name)
        link.client.drop_index(link.name, "vector")
    with pytest.raises(EngineError, match="index"), indexes[Flat()].open(IvfFlat(nlist=4), place):
        pass
