"""What a search of Milvus' index types may set, as the plan knows it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mox.errors import SpecError
from mox.indexes.milvus.specs import (
    SPECS,
    Aisaq,
    AisaqSearch,
    BinIvfFlat,
    CagraSearch,
    DiskAnn,
    EfSearch,
    Flat,
    GpuBruteForce,
    GpuCagra,
    GpuIvfFlat,
    GpuIvfPq,
    Hnsw,
    HnswSq,
    IvfFlat,
    IvfPq,
    IvfRabitq,
    IvfSq8,
    MilvusSearch,
    MinHashLsh,
    MinHashSearch,
    NprobeSearch,
    RabitqSearch,
    RefinedEf,
    RefinedNprobe,
    RefineRatio,
    ReorderSearch,
    Scann,
    SearchList,
)
from mox.registry import validate


@pytest.mark.parametrize(
    ("search", "settings", "field"),
    [
        (EfSearch, {"ef": 0}, "ef"),
        (EfSearch, {"efSearch": 16}, "efSearch"),
        (MilvusSearch, {"ef": 16}, "ef"),
        (NprobeSearch, {"nprobe": 0}, "nprobe"),
        (NprobeSearch, {"nprobe": 65_537}, "nprobe"),
        (RefinedNprobe, {"refine_k": 0.5}, "refine_k"),
        (RabitqSearch, {"rbq_query_bits": 9}, "rbq_query_bits"),
        (ReorderSearch, {"reorder_k": 0}, "reorder_k"),
        (SearchList, {"beamwidth": 129}, "beamwidth"),
        (AisaqSearch, {"search_list": 513}, "search_list"),
        (AisaqSearch, {"beamwidth": 17}, "beamwidth"),
        (AisaqSearch, {"vectors_beamwidth": 5}, "vectors_beamwidth"),
        (RefineRatio, {"refine_ratio": 0.9}, "refine_ratio"),
        (CagraSearch, {"team_size": 3}, "team_size"),
        (MinHashSearch, {"refine_k": 0}, "refine_k"),
    ],
)
def test_search_settings_that_engines_ignore_are_refused(
    search: Any, settings: Any, field: str
) -> None:
    with pytest.raises(SpecError, match=field):
        validate(search, settings, name="search")


@pytest.mark.parametrize(
    ("spec", "enough", "too_few", "said"),
    [
        (Hnsw(), EfSearch(ef=10), EfSearch(ef=9), "ef = 9 cannot fill k = 10"),
        (HnswSq(), RefinedEf(ef=10), RefinedEf(ef=9), "ef = 9 cannot fill k = 10"),
        (
            Scann(),
            ReorderSearch(reorder_k=10),
            ReorderSearch(reorder_k=9),
            "reorder_k = 9 cannot fill k = 10",
        ),
        (
            DiskAnn(),
            SearchList(search_list=10),
            SearchList(search_list=9),
            "search_list = 9 cannot fill k = 10",
        ),
        (
            Aisaq(),
            AisaqSearch(search_list=10),
            AisaqSearch(search_list=9),
            "search_list = 9 cannot fill k = 10",
        ),
        (
            GpuCagra(adapt_for_cpu=True),
            CagraSearch(ef=10),
            CagraSearch(ef=9),
            "ef = 9 cannot fill k = 10",
        ),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
def test_a_search_must_fill_k_places(spec: Any, enough: Any, too_few: Any, said: str) -> None:
    enough.check(spec, 10)
    with pytest.raises(SpecError, match=said) as caught:
        too_few.check(spec, 10)
    assert "10 or more" in caught.value.mend


@pytest.mark.parametrize(
    ("itopk_size", "search_width", "k", "fills"),
    # max(itopk_size rounded up to 32, 32·search_width) ≥ k, by hand.
    [
        (32, 1, 32, True),
        (33, 1, 64, True),
        (33, 1, 65, False),
        (1, 3, 96, True),
        (1, 3, 97, False),
    ],
)
def test_a_walk_on_a_gpu_keeps_k_candidates(
    itopk_size: int, search_width: int, k: int, fills: bool
) -> None:
    settings = CagraSearch(itopk_size=itopk_size, search_width=search_width)
    if fills:
        settings.check(GpuCagra(), k)
    else:
        with pytest.raises(SpecError, match="candidates for k"):
            settings.check(GpuCagra(), k)


def test_ef_is_for_a_graph_that_was_moved_to_the_processor_and_there_for_nothing_else() -> None:
    CagraSearch(ef=10).check(GpuCagra(adapt_for_cpu=True), 10)
    with pytest.raises(SpecError, match="adapt_for_cpu = False with ef = 10"):
        CagraSearch(ef=10).check(GpuCagra(), 10)
    with pytest.raises(SpecError, match="adapt_for_cpu = True with ef = None"):
        CagraSearch().check(GpuCagra(adapt_for_cpu=True), 10)
    with pytest.raises(SpecError, match="search_width means nothing"):
        CagraSearch(ef=10, search_width=2).check(GpuCagra(adapt_for_cpu=True), 10)


@pytest.mark.parametrize(
    "spec", [IvfFlat(nlist=16), IvfSq8(nlist=16), BinIvfFlat(nlist=16), GpuIvfFlat(nlist=16)]
)
def test_no_more_cells_are_probed_than_there_are(spec: Any) -> None:
    search = type(spec).Search
    search(nprobe=16).check(spec, 10)
    with pytest.raises(SpecError, match="nprobe = 17 is more than its nlist = 16"):
        search(nprobe=17).check(spec, 10)


@pytest.mark.parametrize(
    ("spec", "settings", "said"),
    [
        (HnswSq(), RefinedEf(refine_k=2), "refine_k = 2 has no refined copy"),
        (IvfRabitq(), RabitqSearch(refine_k=1.5), "refine_k = 1.5 has no refined copy"),
        (Scann(with_raw_data=False), ReorderSearch(reorder_k=50), "has no raw data"),
        (MinHashLsh(), MinHashSearch(mh_search_with_jaccard=True), "has no signatures"),
    ],
)
def test_nothing_is_ranked_again_by_what_was_not_kept(spec: Any, settings: Any, said: str) -> None:
    type(settings)().check(spec, 10)
    with pytest.raises(SpecError, match=said):
        settings.check(spec, 10)


@pytest.mark.parametrize(
    ("spec", "settings", "effective"),
    [
        (HnswSq(), RefinedEf(refine_k=2), RefinedEf()),
        (HnswSq(refine=True), RefinedEf(refine_k=2), RefinedEf(refine_k=2)),
        (Scann(), ReorderSearch(), ReorderSearch(reorder_k=10)),
        (Scann(), ReorderSearch(reorder_k=50), ReorderSearch(reorder_k=50)),
        (Scann(with_raw_data=False), ReorderSearch(reorder_k=50), ReorderSearch()),
        (GpuCagra(), CagraSearch(ef=20, search_width=2), CagraSearch(search_width=2)),
        (GpuCagra(adapt_for_cpu=True), CagraSearch(ef=20, search_width=2), CagraSearch(ef=20)),
    ],
    ids=str,
)
def test_of_a_shared_search_axis_each_index_takes_what_it_has(
    spec: Any, settings: Any, effective: Any
) -> None:
    """So `ef` may be swept over HNSW beside GPU_CAGRA, and `refine_k` over indexes with and
    without a second copy."""
    assert settings.on(spec, 10) == effective
    effective.check(spec, 10)


@pytest.mark.parametrize(
    ("spec", "settings", "most"),
    # Documented; 16,384 measured on 2.3.5.
    [
        (Flat(), MilvusSearch(), 16_384),
        (Hnsw(), EfSearch(ef=20_000), 16_384),
        (IvfFlat(), NprobeSearch(), 16_384),
        (GpuBruteForce(), MilvusSearch(), 16_384),
        (GpuIvfFlat(), NprobeSearch(), 1_024),
        (GpuIvfPq(), RefineRatio(), 1_024),
        (GpuCagra(), CagraSearch(itopk_size=2_048), 1_024),
        (Aisaq(), AisaqSearch(search_list=512), 512),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
def test_more_hits_than_a_type_gives_are_refused(spec: Any, settings: Any, most: int) -> None:
    settings.check(spec, most)
    with pytest.raises(SpecError, match=f"k = {most + 1} is more than Milvus gives"):
        settings.check(spec, most + 1)


AROUND = [1, 9, 10, 11, 31, 32, 33, 64, 65, 512, 513, 1_024, 16_384]
EFFORT = ("ef", "reorder_k", "search_list", "itopk_size")


@given(st.sampled_from(SPECS), st.sampled_from(AROUND), st.sampled_from(AROUND[:10]))
def test_what_a_check_lets_pass_asks_for_k_at_least(model: Any, k: int, effort: int) -> None:
    spec = model(**({"pq_m": 8} if model is IvfPq else {}))
    names = set(EFFORT) & set(model.Search.model_fields)
    settings = model.Search(**dict.fromkeys(names, effort)).on(spec, k)
    try:
        settings.check(spec, k)
    except SpecError:
        assert k > min(effort, spec.most_hits) or not names
        return
    sent = settings.engine_params(k)
    for name in names & set(sent):
        assert sent[name] >= (k - 31 if name == "itopk_size" else k), "a GPU rounds up to 32"
