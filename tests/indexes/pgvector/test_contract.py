"""pgvector's three kinds, each on whole vectors, halves and bits, held to the contract."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from mox.indexes.pgvector.specs import (
    Column,
    HnswSearch,
    Ivfflat,
    IvfflatSearch,
    PgExact,
    PgHnsw,
    PgSearch,
)
from mox.services import postgres
from mox.testing.indexes import IndexContract
from mox.testing.vectors import ROWS, Setup
from mox.types import Where

TENTH = Where("n", 10)


class OnServer(IndexContract):
    """By URI, so that the classes share one server."""

    tolerance = 1e-5

    @pytest.fixture(scope="class")
    @classmethod
    def uri(cls, postgres_uri: str) -> str:
        return postgres_uri


class TestExact(IndexContract):
    """Embedded, in a folder of its own."""

    spec = PgExact()
    recall = 0.999
    tolerance = 1e-5
    extremes: ClassVar = {
        "column": (Setup(PgExact(), PgSearch()), Setup(PgExact(column="bit"), PgSearch(rerank=20))),
        "rerank": (
            Setup(PgExact(column="bit"), PgSearch(rerank=10)),
            Setup(PgExact(column="bit"), PgSearch(rerank=200)),
        ),
    }

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def ended(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
        yield
        for folder in tmp_path_factory.getbasetemp().glob("index*/postgres"):
            postgres.stop(folder)


class TestExactHalves(OnServer):
    spec = PgExact(column="halfvec")
    recall = 0.98
    tolerance = 1e-3
    extremes = TestExact.extremes


class TestExactBits(OnServer):
    spec = PgExact(column="bit")
    settings = PgSearch(rerank=200)
    widest = PgSearch(rerank=ROWS + 5)
    extremes = TestExact.extremes


def graphs(column: Column) -> dict[str, tuple[Setup, Setup]]:
    """Of few and small graphs, since each is built: 2,000 nodes of 4 links, but for the links."""
    spec = PgHnsw(column=column, m=4)
    bits = PgHnsw(column="bit", m=4)

    def setup(ef_search: int, m: int = 4, ef_construction: int = 64) -> Setup:
        spec = PgHnsw(column=column, m=m, ef_construction=ef_construction)
        return Setup(spec, HnswSearch(ef_search=ef_search))

    def filtered(**settings: Any) -> Setup:
        return Setup(spec, HnswSearch(**settings, rerank=40), TENTH)

    return {
        "column": (
            Setup(PgHnsw(m=4), HnswSearch(ef_search=100)),
            Setup(bits, HnswSearch(ef_search=100, rerank=20)),
        ),
        "m": (setup(20, m=2), setup(20, m=24)),
        # Of two links a node: of four, bits alone part the two graphs by three points or less.
        "ef_construction": (setup(20, m=2, ef_construction=4), setup(20, m=2)),
        "ef_search": (setup(10), setup(400)),
        "rerank": (
            Setup(bits, HnswSearch(ef_search=200, rerank=10)),
            Setup(bits, HnswSearch(ef_search=200, rerank=200)),
        ),
        "iterative": (
            filtered(ef_search=40, iterative="off"),
            filtered(ef_search=40, iterative="strict_order"),
        ),
        "max_scan_tuples": (
            filtered(ef_search=10, iterative="relaxed_order", max_scan_tuples=10),
            filtered(ef_search=10, iterative="relaxed_order", max_scan_tuples=2_000),
        ),
    }


class TestHnsw(OnServer):
    spec = PgHnsw()
    settings = HnswSearch(ef_search=100, iterative="relaxed_order")
    widest = HnswSearch(ef_search=1_000, iterative="relaxed_order", max_scan_tuples=100_000)
    reaches_all = False
    extremes = graphs("vector")


class TestHnswHalves(OnServer):
    spec = PgHnsw(column="halfvec")
    settings = TestHnsw.settings
    widest = TestHnsw.widest
    reaches_all = False
    tolerance = 1e-3
    extremes = graphs("halfvec")


class TestHnswBits(OnServer):
    spec = PgHnsw(column="bit")
    settings = HnswSearch(ef_search=300, iterative="relaxed_order", rerank=300)
    widest = HnswSearch(
        ef_search=1_000, iterative="relaxed_order", max_scan_tuples=100_000, rerank=ROWS + 5
    )
    reaches_all = False
    extremes = graphs("bit")


def cells(column: Column) -> dict[str, tuple[Setup, Setup]]:
    def setup(lists: int, **settings: Any) -> Setup:
        return Setup(Ivfflat(column=column, lists=lists), IvfflatSearch(**settings))

    def filtered(**settings: Any) -> Setup:
        return Setup(Ivfflat(column=column, lists=64), IvfflatSearch(**settings), TENTH)

    bits = Ivfflat(column="bit", lists=16)
    return {
        "column": (
            Setup(Ivfflat(lists=16), IvfflatSearch(probes=16)),
            Setup(bits, IvfflatSearch(probes=16, rerank=20)),
        ),
        "lists": (setup(4, probes=1, rerank=100), setup(256, probes=1, rerank=100)),
        "probes": (setup(64, probes=1, rerank=200), setup(64, probes=32, rerank=200)),
        "rerank": (
            Setup(bits, IvfflatSearch(probes=16, rerank=10)),
            Setup(bits, IvfflatSearch(probes=16, rerank=200)),
        ),
        "iterative": (
            filtered(probes=2, iterative="off", rerank=100),
            filtered(probes=2, iterative="relaxed_order", rerank=100),
        ),
        "max_probes": (
            filtered(probes=2, iterative="relaxed_order", max_probes=2, rerank=100),
            filtered(probes=2, iterative="relaxed_order", max_probes=64, rerank=100),
        ),
    }


class TestIvfflat(OnServer):
    spec = Ivfflat(lists=32)
    settings = IvfflatSearch(probes=32)
    widest = IvfflatSearch(probes=32)
    extremes = cells("vector")


class TestIvfflatHalves(OnServer):
    spec = Ivfflat(column="halfvec", lists=32)
    settings = IvfflatSearch(probes=32)
    widest = IvfflatSearch(probes=32)
    tolerance = 1e-3
    extremes = cells("halfvec")


class TestIvfflatBits(OnServer):
    spec = Ivfflat(column="bit", lists=32)
    settings = IvfflatSearch(probes=32, rerank=300)
    widest = IvfflatSearch(probes=32, rerank=ROWS + 5)
    extremes = cells("bit")
