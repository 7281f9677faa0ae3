"""Milvus' index types: limits and spellings, as the plan knows them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mox.errors import SpecError
from mox.experiment.schema import schema
from mox.indexes import indexes
from mox.indexes.milvus.specs import (
    SPECS,
    BinFlat,
    BinIvfFlat,
    GpuIvfPq,
    HnswPq,
    HnswPrq,
    IvfFlat,
    IvfPq,
    MinHashLsh,
    Scann,
)

LITE = {"engine": "milvus-lite", "version": "3.2.2"}
WHEEL = {"engine": "milvus", "version": "2.3.5-lite"}
FLOAT_TYPES = (
    "FLAT IVF_FLAT IVF_SQ8 IVF_PQ IVF_RABITQ SCANN HNSW HNSW_SQ HNSW_PQ HNSW_PRQ DISKANN AISAQ"
    " AUTOINDEX GPU_BRUTE_FORCE GPU_IVF_FLAT GPU_IVF_PQ GPU_CAGRA"
)
BINARY_TYPES = "BIN_FLAT BIN_IVF_FLAT MINHASH_LSH"


def of(spec: Any, **settings: Any) -> Any:
    """A Spec; IVF_PQ alone has a setting without a default."""
    return spec(**({"pq_m": 8} if spec is IvfPq else {}), **settings)


def test_all_types_of_milvus_are_there() -> None:
    kinds = {spec.model_fields["kind"].default for spec in SPECS}
    assert kinds == {*FLOAT_TYPES.split(), *BINARY_TYPES.split()}
    assert kinds <= set(indexes.kinds())


# Just outside of each range that Milvus' own tables state (or, for M = 1 and nprobe > nlist,
# that was measured to be misunderstood).
OUTSIDE = [
    ({"kind": "HNSW", "m": 1}, "m"),
    ({"kind": "HNSW", "m": 2049}, "m"),
    ({"kind": "HNSW", "m": "abc"}, "m"),
    ({"kind": "HNSW_SQ", "ef_construction": 0}, "ef_construction"),
    ({"kind": "HNSW_SQ", "sq_type": "SQ5"}, "sq_type"),
    ({"kind": "HNSW_SQ", "refine": True, "refine_type": "SQ4"}, "refine_type"),
    ({"kind": "HNSW_PQ", "pq_m": 0}, "pq_m"),
    ({"kind": "HNSW_PQ", "pq_nbits": 25}, "pq_nbits"),
    ({"kind": "HNSW_PRQ", "nrq": 0}, "nrq"),
    ({"kind": "HNSW_PRQ", "nrq": 17}, "nrq"),
    ({"kind": "IVF_FLAT", "nlist": 0}, "nlist"),
    ({"kind": "IVF_SQ8", "nlist": 65_537}, "nlist"),
    ({"kind": "IVF_SQ8", "sq_type": "FP16"}, "sq_type"),
    ({"kind": "IVF_PQ"}, "pq_m"),
    ({"kind": "IVF_PQ", "pq_m": 8, "pq_nbits": 0}, "pq_nbits"),
    ({"kind": "IVF_PQ", "pq_m": 8, "refine": True, "refine_type": "SQ4U"}, "refine_type"),
    ({"kind": "IVF_RABITQ", "rbq_bits": 10}, "rbq_bits"),
    ({"kind": "SCANN", "sub_dim": 0}, "sub_dim"),
    ({"kind": "DISKANN", "max_degree": 2049}, "max_degree"),
    ({"kind": "DISKANN", "pq_code_budget_gb_ratio": 0.3}, "pq_code_budget_gb_ratio"),
    ({"kind": "AISAQ", "max_degree": 513}, "max_degree"),
    ({"kind": "AISAQ", "search_list_size": 513}, "search_list_size"),
    ({"kind": "AISAQ", "inline_pq": -2}, "inline_pq"),
    ({"kind": "AISAQ", "num_entry_points": 1001}, "num_entry_points"),
    ({"kind": "AISAQ", "pq_cache_size": 2**30 + 1}, "pq_cache_size"),
    ({"kind": "AISAQ", "pq_read_page_cache_size": 2**25 + 1}, "pq_read_page_cache_size"),
    ({"kind": "AISAQ", "pq_read_io_engine": "posix"}, "pq_read_io_engine"),
    ({"kind": "GPU_IVF_PQ", "pq_nbits": 3}, "pq_nbits"),
    ({"kind": "GPU_IVF_PQ", "pq_nbits": 9}, "pq_nbits"),
    ({"kind": "GPU_IVF_FLAT", "kmeans_trainset_fraction": 0}, "kmeans_trainset_fraction"),
    ({"kind": "GPU_CAGRA", "build_algo": "HNSW"}, "build_algo"),
    ({"kind": "BIN_FLAT", "metric": "COSINE"}, "metric"),
    ({"kind": "BIN_IVF_FLAT", "nlist": 0}, "nlist"),
    ({"kind": "MINHASH_LSH", "mh_element_bit_width": 7}, "mh_element_bit_width"),
    ({"kind": "MINHASH_LSH", "mh_lsh_aligned_block_size": 4095}, "mh_lsh_aligned_block_size"),
    ({"kind": "FLAT", "nlist": 4}, "nlist"),
    ({"kind": "AUTOINDEX", "m": 4}, "m"),
]


@pytest.mark.parametrize(("settings", "field"), OUTSIDE, ids=str)
def test_what_milvus_would_misunderstand_is_refused(settings: Any, field: str) -> None:
    with pytest.raises(SpecError, match=field):
        indexes.parse(settings)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"kind": "HNSW_SQ", "refine_type": "SQ8"}, "needs `refine: true`"),
        (
            {"kind": "HNSW_SQ", "sq_type": "FP16", "refine": True, "refine_type": "SQ8"},
            "coarser than the 16 bits",
        ),
        (
            {"kind": "IVF_SQ8", "refine": True, "refine_type": "SQ6"},
            "coarser than the 8 bits",
        ),
        (
            {"kind": "IVF_RABITQ", "rbq_bits": 7, "refine": True, "refine_type": "SQ6"},
            "coarser than the 7 bits",
        ),
        (
            {"kind": "GPU_CAGRA", "graph_degree": 128},
            "must be less than intermediate_graph_degree = 128",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings: Any, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        indexes.parse(settings)


@pytest.mark.parametrize(
    ("spec", "fits", "does_not", "said"),
    [
        (IvfPq(pq_m=48), 384, 256, "pq_m = 48 does not divide the 256 dimensions"),
        (HnswPq(pq_m=32), 64, 100, "pq_m = 32 does not divide the 100 dimensions"),
        (HnswPrq(pq_m=2), 64, 65, "pq_m = 2 does not divide the 65 dimensions"),
        (GpuIvfPq(pq_m=48), 384, 256, "pq_m = 48 does not divide the 256 dimensions"),
        (Scann(), 64, 63, "sub_dim = 2 does not divide the 63 dimensions"),
        (BinFlat(), 256, 100, "bits of 100 dimensions do not fill whole bytes"),
        (BinIvfFlat(), 256, 100, "bits of 100 dimensions do not fill whole bytes"),
        (
            MinHashLsh(mh_lsh_band=4, mh_element_bit_width=32),
            32 * 8,
            32 * 6,
            "192 bits are no 4 bands of elements of 32 bits",
        ),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
def test_dimensions_that_a_type_cannot_cut_are_refused(
    spec: Any, fits: int, does_not: int, said: str
) -> None:
    spec.check_dims(fits)
    with pytest.raises(SpecError, match=said):
        spec.check_dims(does_not)


def test_the_nearest_parts_that_fit_are_named() -> None:
    with pytest.raises(SpecError) as caught:
        IvfPq(pq_m=48).check_dims(256)  # 1, 2, 4, 8, 16, 32, 64, 128, 256 divide it
    assert "set pq_m to 16, 32, 64, say" in caught.value.mend


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (IvfFlat(nlist=256), "nlist = 256 cells for 255 vectors"),
        (BinIvfFlat(nlist=256), "nlist = 256 cells for 255 vectors"),
        (IvfPq(pq_m=8), "pq_nbits = 8 makes 256 codes of 255 vectors"),
        (HnswPq(), "pq_nbits = 8 makes 256 codes of 255 vectors"),
        (HnswPrq(), "pq_nbits = 8 makes 256 codes of 255 vectors"),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
def test_rows_too_few_to_learn_from_are_refused(spec: Any, said: str) -> None:
    spec.check_rows(256)
    with pytest.raises(SpecError, match=said):
        spec.check_rows(255)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.__name__)
def test_milvus_spellings_name_fields_and_hide_none(spec: Any) -> None:
    assert set(spec.spellings.values()) <= set(spec.model_fields)
    assert not set(spec.spellings) & set(spec.model_fields)


@pytest.fixture(scope="module")
def axes() -> Any:
    """The axes of the experiment's schema."""
    return schema()["properties"]["axes"]["properties"]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.__name__)
def test_the_schema_tells_what_each_setting_is(spec: Any, axes: Any) -> None:
    kind = spec.model_fields["kind"].default
    (shape,) = [
        one
        for one in axes["index"]["anyOf"][0]["anyOf"]
        if one["properties"]["kind"].get("const") == kind
    ]
    (dense,) = [
        one
        for one in axes["search"]["anyOf"][0]["anyOf"]
        if one["properties"]["kind"].get("const") == "dense"
    ]
    assert set(shape["properties"]) == set(spec.model_fields)
    assert set(spec.Search.model_fields) <= set(dense["properties"])
    for model in (spec, spec.Search):
        for name, field in model.model_fields.items():
            assert name == "kind" or field.description


def test_m_is_parts_only_where_there_are_no_links() -> None:
    assert IvfPq.spellings["m"] == "pq_m"
    assert "m" not in HnswPq.spellings
    assert (
        HnswPq(m=8, pq_m=4).engine_params() | {"M": 8, "m": 4}
        == HnswPq(m=8, pq_m=4).engine_params()
    )


def ranged(model: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Settings from the model's own fields and ranges, each set or left out."""
    schema = model.model_json_schema()
    fields = {}
    for name, field in schema["properties"].items():
        if name != "kind":
            fields[name] = st.one_of(st.nothing(), *map(_value, field.get("anyOf", [field])))
    required = {name: fields.pop(name) for name in schema.get("required", []) if name != "kind"}
    return st.fixed_dictionaries(required, optional=fields)


def _value(field: dict[str, Any]) -> st.SearchStrategy[Any]:
    if "enum" in field:
        return st.sampled_from(field["enum"])
    if "const" in field:
        return st.just(field["const"])
    if field["type"] == "boolean":
        return st.booleans()
    if field["type"] == "null":
        return st.none()
    least = field.get("minimum", field.get("exclusiveMinimum", 0))
    most = field.get("maximum", field.get("exclusiveMaximum", 2**31 - 1))
    if field["type"] == "integer":
        return st.integers(least, most)
    return st.floats(least, most, allow_subnormal=False).filter(
        lambda x: x != field.get("exclusiveMinimum") and x != field.get("exclusiveMaximum")
    )


def made(model: Any, settings: dict[str, Any]) -> Any:
    """A Spec; None where fields contradict each other, each of them being in its range."""
    try:
        return model(**settings)
    except ValidationError as error:
        wrong = [found for found in error.errors() if found["loc"] != ()]
        if wrong:
            raise
        return None


@given(st.data(), st.sampled_from(SPECS))
def test_every_setting_in_its_range_survives_and_arrives(data: Any, model: Any) -> None:
    settings = data.draw(ranged(model))
    spec = made(model, settings)
    if spec is None:
        return
    assert indexes.parse(spec.model_dump(mode="json")) == spec
    sent = spec.engine_params()
    assert all(isinstance(value, str | int | float) for value in sent.values())
    assert not any(isinstance(value, bool) for value in sent.values())
    for name, value in settings.items():
        default = type(spec).model_fields[name].default
        if value not in (None, default) and name not in ("metric", "refine_type"):
            theirs = sent[spec.names.get(name, name)]
            assert theirs == (str(value).lower() if isinstance(value, bool) else value)
    assert spec.formula_bytes(2_000, 128) >= 0
