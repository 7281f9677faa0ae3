"""The types of a real Milvus, 2.3.5, held to the contract: IVF_FLAT always, the others by hand.

Minutes, since each load takes four seconds there: `-m slow`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from mox.indexes.milvus.specs import (
    AutoIndex,
    BinFlat,
    BinIvfFlat,
    EfSearch,
    Flat,
    Hnsw,
    IvfFlat,
    IvfPq,
    IvfSq8,
    MilvusSearch,
    NprobeSearch,
    RefinedNprobe,
    ReorderSearch,
    Scann,
)
from mox.testing.indexes import IndexContract
from mox.testing.vectors import ROWS, Setup, differing

if TYPE_CHECKING:
    from mox.types import Floats

pytestmark = pytest.mark.timeout(600)
CELLS_WHERE = {1: 0.3, 10: 0.8, 50: 0.95, 99: 0.95}
"""Of 8 cells of 32, which hold a quarter of the few that pass."""
BITS_WHERE = {1: 0.5, 10: 0.35, 50: 0.3, 99: 0.3}
"""Of 32 signs, which tell few near vectors apart."""


class OnServer(IndexContract):
    @pytest.fixture(scope="class")
    @classmethod
    def uri(cls, milvus_server: Any) -> str:
        return str(milvus_server.uri)


class TestIvfFlat(OnServer):
    spec = IvfFlat(nlist=32)
    widest = NprobeSearch(nprobe=32)
    extremes: ClassVar = {
        **differing(IvfFlat(), NprobeSearch(nprobe=1), nlist=(4, 256)),
        **differing(IvfFlat(nlist=64), NprobeSearch(), nprobe=(1, 16)),
    }
    recall_where = CELLS_WHERE
    tolerance = 1e-5


@pytest.mark.slow
class TestFlat(OnServer):
    spec = Flat()
    recall = 0.999
    tolerance = 1e-5


@pytest.mark.slow
class TestIvfSq8(OnServer):
    spec = IvfSq8(nlist=32)
    widest = RefinedNprobe(nprobe=32)
    extremes: ClassVar = {
        **differing(IvfSq8(), RefinedNprobe(nprobe=1), nlist=(4, 256)),
        **differing(IvfSq8(nlist=64), RefinedNprobe(), nprobe=(1, 16)),
    }
    absent: ClassVar = {
        "sq_type": Setup(IvfSq8(sq_type="SQ6"), RefinedNprobe()),
        "refine": Setup(IvfSq8(refine=True), RefinedNprobe()),
        "refine_type": Setup(IvfSq8(refine=True, refine_type="FP16"), RefinedNprobe()),
        "refine_k": Setup(IvfSq8(), RefinedNprobe(refine_k=2)),
    }
    recall_where = CELLS_WHERE


@pytest.mark.slow
class TestIvfPq(OnServer):
    spec = IvfPq(nlist=32, pq_m=16)
    widest = RefinedNprobe(nprobe=32)
    extremes: ClassVar = {
        **differing(IvfPq(pq_m=16), RefinedNprobe(nprobe=1), nlist=(4, 256)),
        **differing(IvfPq(nlist=64, pq_m=16), RefinedNprobe(), nprobe=(1, 16)),
        **differing(IvfPq(nlist=4, pq_m=16), RefinedNprobe(nprobe=4), pq_m=(4, 32)),
        **differing(IvfPq(nlist=4, pq_m=16), RefinedNprobe(nprobe=4), pq_nbits=(4, 8)),
    }
    absent: ClassVar = {
        "refine": Setup(IvfPq(pq_m=16, refine=True), RefinedNprobe()),
        "refine_type": Setup(IvfPq(pq_m=16, refine=True, refine_type="FP16"), RefinedNprobe()),
        "refine_k": Setup(IvfPq(pq_m=16), RefinedNprobe(refine_k=2)),
    }
    recall = 0.8
    tolerance = 0.15
    filters = False


@pytest.mark.slow
class TestScann(OnServer):
    spec = Scann(nlist=32)
    settings = ReorderSearch(nprobe=8, reorder_k=100)
    widest = ReorderSearch(nprobe=32)
    extremes: ClassVar = {
        **differing(Scann(), ReorderSearch(nprobe=1, reorder_k=100), nlist=(4, 256)),
        **differing(Scann(nlist=64), ReorderSearch(reorder_k=100), nprobe=(1, 16)),
        **differing(Scann(nlist=4), ReorderSearch(nprobe=4), reorder_k=(10, 200)),
        # Raw data are worth what `reorder_k` makes of them, which is refused without.
        "with_raw_data": (
            Setup(Scann(nlist=4), ReorderSearch(nprobe=4, reorder_k=200)),
            Setup(Scann(nlist=4, with_raw_data=False), ReorderSearch(nprobe=4)),
        ),
    }
    absent: ClassVar = {"sub_dim": Setup(Scann(sub_dim=4), ReorderSearch())}
    recall_where = CELLS_WHERE
    tolerance = 1e-5


@pytest.mark.slow
class TestHnsw(OnServer):
    spec = Hnsw(m=16, ef_construction=100)
    widest = EfSearch(ef=ROWS + 5)
    extremes = differing(
        Hnsw(m=4), EfSearch(ef=10), m=(2, 48), ef_construction=(4, 200), ef=(10, 200)
    )
    tolerance = 1e-5
    reaches_all = False


@pytest.mark.slow
class TestAutoIndex(OnServer):
    spec = AutoIndex()
    recall_where: ClassVar = {1: 0.9, 10: 0.7, 50: 0.9, 99: 0.9}
    tolerance = 1e-5
    reaches_all = False


def signs(vectors: Floats) -> Floats:
    """1 where a number is above 0, else 0."""
    return (vectors > 0).astype("float32")


class Bits(OnServer):
    recall = 0.25
    recall_where = BITS_WHERE
    bits = 1
    tolerance = 1e-6
    repeatable = True

    @staticmethod
    def expected_scores(hits: Floats, queries: Floats) -> Floats:
        """By hand: 1 - 2·differing / dims."""
        differing_: Floats = (signs(hits) != signs(queries)[:, None]).sum(axis=2)
        return 1 - 2 * differing_ / hits.shape[2]


@pytest.mark.slow
class TestBinFlat(Bits):
    spec = BinFlat()
    extremes = differing(BinFlat(), MilvusSearch(), metric=("HAMMING", "JACCARD"))


@pytest.mark.slow
class TestBinFlatByJaccard(Bits):
    spec = BinFlat(metric="JACCARD")
    extremes = TestBinFlat.extremes

    @staticmethod
    def expected_scores(hits: Floats, queries: Floats) -> Floats:
        """By hand: bits that both have / bits that either has."""
        mine, theirs = signs(hits), signs(queries)[:, None]
        both: Floats = (mine * theirs).sum(axis=2)
        return both / (mine.sum(axis=2) + theirs.sum(axis=2) - both)


@pytest.mark.slow
class TestBinIvfFlat(Bits):
    spec = BinIvfFlat(nlist=32)
    recall_where: ClassVar = {**BITS_WHERE, 1: 0.2}
    widest = NprobeSearch(nprobe=32)
    extremes: ClassVar = {
        **differing(BinIvfFlat(nlist=4), NprobeSearch(nprobe=4), metric=("HAMMING", "JACCARD")),
        **differing(BinIvfFlat(), NprobeSearch(nprobe=1), nlist=(4, 256)),
        **differing(BinIvfFlat(nlist=64), NprobeSearch(), nprobe=(1, 16)),
    }
