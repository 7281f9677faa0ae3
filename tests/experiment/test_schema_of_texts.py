"""The schema of what searches texts: each search has its own settings, each pair its own parts."""

from __future__ import annotations

from typing import Any

import pytest

from mox.experiment.schema import schema


@pytest.fixture(scope="module")
def axes() -> dict[str, Any]:
    found: dict[str, Any] = schema()["properties"]["axes"]["properties"]
    return found


def of_kind(axis: Any, kind: str) -> dict[str, Any]:
    """The fields of one kind, of an axis that takes one or a list."""
    [found] = [
        one["properties"]
        for one in axis["anyOf"][0]["anyOf"]
        if one["properties"]["kind"].get("const") == kind
    ]
    return dict(found)


def kinds(axis: Any) -> set[str]:
    return {one["properties"]["kind"]["const"] for one in axis["anyOf"][0]["anyOf"]}


def test_each_search_has_the_settings_of_what_it_searches(axes: dict[str, Any]) -> None:
    dense, text, pair = (
        set(of_kind(axes["search"], kind)) for kind in ("dense", "full_text", "engine_hybrid")
    )
    assert {"ef", "nprobe"} <= dense
    assert {"drop_ratio_search", "rank", "words"} <= text
    assert not dense & {"drop_ratio_search", "rank"}
    assert not text & {"ef", "nprobe", "fusion"}
    assert {"ef", "drop_ratio_search", "depth", "fusion"} <= pair


def test_a_pair_names_the_indexes_that_its_parts_may_be(axes: dict[str, Any]) -> None:
    milvus, postgres = (
        of_kind(axes["index"], kind) for kind in ("milvus_hybrid", "postgres_hybrid")
    )
    assert {"HNSW", "FLAT"} <= kinds(milvus["vector"])
    assert kinds(milvus["text"]) == {"SPARSE_INVERTED_INDEX", "SPARSE_WAND"}
    assert kinds(postgres["vector"]) == {"pgvector", "pgvector_hnsw", "pgvector_ivfflat"}
    assert kinds(postgres["text"]) == {"postgres_fts"}
    assert "m" in of_kind(milvus["vector"], "HNSW")


def test_what_an_engine_fuses_by_is_not_what_mox_fuses_by(axes: dict[str, Any]) -> None:
    theirs = of_kind(axes["search"], "engine_hybrid")["fusion"]
    assert kinds(theirs) == {"rrf", "weighted"}
    assert of_kind(theirs, "weighted")["normalise"]["anyOf"][0]["enum"] == ["arctan", "none"]
    ours = str(of_kind(axes["search"], "hybrid")["fusion"])
    assert "min-max" in ours
    assert "arctan" not in ours
