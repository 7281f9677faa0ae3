"""Our own indexes of texts, and of vectors and texts together, held to their contracts."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from mox.indexes.milvus.hybrid import MilvusHybrid
from mox.indexes.milvus.specs import Flat
from mox.indexes.milvus.text import MOST_BYTES, SparseInvertedIndex, SparseSearch
from mox.testing.pairs import PairIndexContract
from mox.testing.texts import TextIndexContract
from mox.testing.vectors import Setup

LITE_HAS_ONE = "Milvus Lite refuses all values but one; see test_text_milvus"


def sparse(**settings: Any) -> Setup:
    return Setup(SparseInvertedIndex(**settings), SparseSearch())


class TestSparseInvertedIndex(TextIndexContract):
    spec = SparseInvertedIndex()
    most_bytes = MOST_BYTES
    extremes: ClassVar = {
        "stopwords": (sparse(), sparse(stopwords="english")),
        "bm25_k1": (sparse(bm25_k1=0.01), sparse(bm25_k1=3)),
        "bm25_b": (sparse(bm25_b=0), sparse(bm25_b=1)),
    }
    not_here: ClassVar = dict.fromkeys(
        ("analyzer", "inverted_index_algo", "drop_ratio_search", "dim_max_score_ratio"),
        LITE_HAS_ONE,
    )


class TestMilvusHybrid(PairIndexContract):
    spec = MilvusHybrid(vector=Flat())
    fusions = ("rrf", "weighted")


class TestSparseInvertedIndexByUri(TestSparseInvertedIndex):
    """The same over the wire, from a server that reads nested parameters only."""

    @pytest.fixture(scope="class")
    @classmethod
    def uri(cls, shared_lite_server: Any) -> str:
        return str(shared_lite_server.uri)
