"""Which engine has which of Milvus' index types, said when the plan is made."""

from __future__ import annotations

from typing import Any

import pytest

from mox.errors import SpecError
from mox.indexes import indexes
from mox.indexes.milvus.specs import (
    SPECS,
    DiskAnn,
    GpuBruteForce,
    GpuCagra,
    GpuIvfFlat,
    GpuIvfPq,
    HnswPq,
    HnswSq,
    IvfFlat,
    IvfPq,
    IvfSq8,
    MinHashLsh,
    Scann,
    check_engine,
    check_filter,
)

LITE = {"engine": "milvus-lite", "version": "3.2.2"}
WHEEL = {"engine": "milvus", "version": "2.3.5-lite"}


def of(spec: Any) -> Any:
    """A Spec; IVF_PQ alone has a setting without a default."""
    return spec(pq_m=8) if spec is IvfPq else spec()


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.__name__)
def test_lite_has_six_and_says_so_of_the_rest(spec: Any) -> None:
    six = "FLAT, HNSW, IVF_FLAT, IVF_SQ8, HNSW_SQ, AUTOINDEX"
    made = of(spec)
    if made.kind in six.split(", "):
        check_engine(made, LITE)
    elif spec is not MinHashLsh:
        with pytest.raises(SpecError, match=r"this server is milvus-lite 3\.2\.2") as caught:
            check_engine(made, LITE)
        assert six in caught.value.mend
        assert "MOX_MILVUS_URI" in caught.value.mend


# First versions as documented; what runs on 2.3.5 was run there.
FIRST = [
    ("IVF_PQ SCANN DISKANN BIN_FLAT BIN_IVF_FLAT HNSW IVF_FLAT IVF_SQ8 FLAT AUTOINDEX", "2.3"),
    ("HNSW_SQ HNSW_PQ HNSW_PRQ", "2.5"),
    ("IVF_RABITQ", "2.6"),
    ("AISAQ", "2.6.4"),
]


@pytest.mark.parametrize(("kinds", "first"), FIRST)
def test_a_type_begins_with_its_first_version(kinds: str, first: str) -> None:
    before = {"2.3": "2.2.16", "2.5": "2.4.23", "2.6": "2.5.27", "2.6.4": "2.6.3"}[first]
    for kind in kinds.split():
        spec = of(indexes.entry(kind).spec)
        for version in (first, f"{first}-rc1", "3.0.0", "10.1"):
            check_engine(spec, {"engine": "milvus", "version": version})
        said = rf"{kind} needs a server of Milvus ≥ {first}; this server is milvus {before}"
        with pytest.raises(SpecError, match=said):
            check_engine(spec, {"engine": "milvus", "version": before})


@pytest.mark.parametrize("spec", [GpuBruteForce, GpuIvfFlat, GpuIvfPq, GpuCagra])
def test_a_gpu_type_needs_a_server_for_one(spec: Any) -> None:
    made = spec()
    check_engine(made, {"engine": "milvus", "version": "2.4.1-gpu"})
    for version in ("2.3.5-lite", "2.6.4"):
        with pytest.raises(SpecError, match=rf"needs a GPU.*this server is milvus {version}"):
            check_engine(made, {"engine": "milvus", "version": version})


def test_a_gpu_server_has_the_others_too() -> None:
    check_engine(HnswSq(), {"engine": "milvus", "version": "2.5.0-gpu"})


@pytest.mark.parametrize(
    ("spec", "field", "first", "before"),
    [
        (HnswSq(sq_type="SQ4U"), "sq_type = SQ4U", "2.6.8", "2.6.7"),
        (HnswPq(refine=True, refine_type="SQ4U"), "refine_type = SQ4U", "2.6.8", "2.6.7"),
        (IvfSq8(sq_type="SQ6"), "sq_type = SQ6", "2.6", "2.5.1"),
        (IvfSq8(refine=True), "refine = True", "2.6", "2.5.1"),
        (IvfPq(pq_m=8, refine=True), "refine = True", "2.6", "2.5.1"),
        (Scann(sub_dim=4), "sub_dim = 4", "2.6", "2.5.1"),
        (DiskAnn(max_degree=32), "max_degree = 32", "2.6", "2.5.1"),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
def test_a_setting_that_came_later_needs_its_version(
    spec: Any, field: str, first: str, before: str
) -> None:
    check_engine(spec, {"engine": "milvus", "version": first})
    check_engine(of(type(spec)), {"engine": "milvus", "version": before})
    said = rf"{field} needs a server of Milvus ≥ {first}; this server is milvus {before}"
    with pytest.raises(SpecError, match=said):
        check_engine(spec, {"engine": "milvus", "version": before})


def test_signatures_are_refused_on_every_engine() -> None:
    for engine in (LITE, WHEEL, {"engine": "milvus", "version": "2.6.4"}):
        with pytest.raises(SpecError, match="MinHash signatures") as caught:
            check_engine(MinHashLsh(), engine)
        assert "BIN_FLAT" in caught.value.mend


def test_ivf_pq_takes_no_filter_on_2_3() -> None:
    check_filter(IvfFlat(), WHEEL)
    check_filter(IvfPq(pq_m=8), {"engine": "milvus", "version": "2.4.0"})
    with pytest.raises(SpecError, match=r"2\.3\.5-lite mixes up the rows of IVF_PQ"):
        check_filter(IvfPq(pq_m=8), WHEEL)
