"""Milvus' index types: limits, spellings, and which engine has which."""

from __future__ import annotations

from typing import Any

import pytest

from mox.errors import SpecError
from mox.indexes import indexes
from mox.indexes.milvus.specs import (
    SPECS,
    EfSearch,
    Flat,
    Hnsw,
    HnswSq,
    IvfFlat,
    IvfSq8,
    MilvusSearch,
    NprobeSearch,
    check_engine,
)
from mox.registry import validate

LITE = {"engine": "milvus-lite", "version": "3.2.2"}
WHEEL = {"engine": "milvus", "version": "2.3.5-lite"}


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"kind": "HNSW", "m": 1}, "m"),
        ({"kind": "HNSW", "m": 2049}, "m"),
        ({"kind": "HNSW_SQ", "ef_construction": 0}, "ef_construction"),
        ({"kind": "IVF_FLAT", "nlist": 0}, "nlist"),
        ({"kind": "IVF_SQ8", "nlist": 65_537}, "nlist"),
        ({"kind": "FLAT", "nlist": 4}, "nlist"),
        ({"kind": "AUTOINDEX", "m": 4}, "m"),
        ({"kind": "HNSW", "m": "abc"}, "m"),
    ],
)
def test_what_milvus_would_misunderstand_is_refused(settings: Any, field: str) -> None:
    with pytest.raises(SpecError, match=field):
        indexes.parse(settings)


@pytest.mark.parametrize(
    ("search", "settings", "field"),
    [(EfSearch, {"ef": 0}, "ef"), (NprobeSearch, {"nprobe": 0}, "nprobe"),
     (EfSearch, {"efSearch": 16}, "efSearch"), (MilvusSearch, {"ef": 16}, "ef")],
)  # fmt: skip
def test_search_settings_that_engines_ignore_are_refused(
    search: Any, settings: Any, field: str
) -> None:
    with pytest.raises(SpecError, match=field):
        validate(search, settings, name="search")


def test_ef_must_fill_k_places() -> None:
    EfSearch(ef=10).check(Hnsw(), 10)
    with pytest.raises(SpecError, match="ef = 9 cannot fill k = 10") as caught:
        EfSearch(ef=9).check(HnswSq(), 10)
    assert "10 or more" in caught.value.mend


def test_no_more_cells_are_probed_than_there_are() -> None:
    NprobeSearch(nprobe=16).check(IvfFlat(nlist=16), 10)
    with pytest.raises(SpecError, match="nprobe = 17 is more than its nlist = 16"):
        NprobeSearch(nprobe=17).check(IvfSq8(nlist=16), 10)


@pytest.mark.parametrize("settings", [MilvusSearch(), EfSearch(ef=20_000), NprobeSearch()])
def test_more_hits_than_a_server_gives_are_refused(settings: MilvusSearch) -> None:
    settings.check(IvfFlat(), 16_384)
    with pytest.raises(SpecError, match="16385"):
        settings.check(IvfFlat(), 16_385)


def test_build_parameters_go_out_under_milvus_names() -> None:
    assert Hnsw(m=8).engine_params() == {"M": 8, "efConstruction": 200}
    assert HnswSq().engine_params() == {"M": 16, "efConstruction": 200, "sq_type": "SQ8"}
    assert IvfFlat(nlist=64).engine_params() == {"nlist": 64}
    assert Flat().engine_params() == {}


@pytest.mark.parametrize("spec", SPECS)
def test_milvus_spellings_name_fields_and_hide_none(spec: Any) -> None:
    assert set(spec.spellings.values()) <= set(spec.model_fields)
    assert not set(spec.spellings) & set(spec.model_fields)


@pytest.mark.parametrize("spec", SPECS)
def test_lite_has_all_six(spec: Any) -> None:
    check_engine(spec(), LITE)


@pytest.mark.parametrize(
    ("engine", "has"),
    [
        (WHEEL, "FLAT, HNSW, IVF_FLAT, IVF_SQ8, AUTOINDEX"),
        ({"engine": "milvus", "version": "2.4.9"}, "FLAT, HNSW, IVF_FLAT, IVF_SQ8, AUTOINDEX"),
        ({"engine": "milvus", "version": "2.2.16"}, "a newer engine"),
        ({"engine": "milvus-lite", "version": "2.4.12"}, "a newer engine"),
    ],
)
def test_an_engine_without_a_type_says_what_it_has(engine: dict[str, str], has: str) -> None:
    with pytest.raises(SpecError, match="has no HNSW_SQ") as caught:
        check_engine(HnswSq(), engine)
    assert has in caught.value.mend


@pytest.mark.parametrize("version", ["2.5.0", "2.5.0-rc1", "2.10.1", "3.0"])
def test_newer_servers_have_hnsw_sq(version: str) -> None:
    check_engine(HnswSq(), {"engine": "milvus", "version": version})


@pytest.mark.parametrize(
    ("spec", "expected"),
    # By hand from milvus_indexes' formulas for 1,000 rows of 100 dimensions.
    [
        (Flat(), 400_000),
        (Hnsw(m=16), 1_000 * (400 + 128 + 16)),
        (HnswSq(m=16), 1_000 * (100 + 128 + 16)),
        (IvfFlat(nlist=10), 400_000 + 4_000 + 8_000),
        (IvfSq8(nlist=10), 100_000 + 4_000 + 800 + 8_000),
    ],
)
def test_sizes_by_formula(spec: Any, expected: int) -> None:
    assert spec.formula_bytes(1_000, 100) == expected
