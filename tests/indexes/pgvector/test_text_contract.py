"""PostgreSQL's full text, alone and with vectors, held to the contracts."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from mox.indexes.pgvector.hybrid import PostgresHybrid
from mox.indexes.pgvector.specs import PgExact
from mox.indexes.pgvector.text import FtsSearch, PostgresFts
from mox.testing.pairs import PairIndexContract
from mox.testing.texts import TextIndexContract
from mox.testing.vectors import Setup


def fts(config: Any = "english", **settings: Any) -> Setup:
    return Setup(PostgresFts(config=config), FtsSearch(**settings))


class TestPostgresFts(TextIndexContract):
    spec = PostgresFts()
    most_bytes = None
    extremes: ClassVar = {
        "config": (fts("simple"), fts("english")),
        "words": (fts(words="any"), fts(words="all")),
        "rank": (fts(rank="ts_rank"), fts(rank="ts_rank_cd")),
        "normalization": (fts(normalization=0), fts(normalization=2)),
    }

    @pytest.fixture(scope="class")
    @classmethod
    def uri(cls, postgres_uri: str) -> str:
        return postgres_uri


class TestPostgresHybrid(PairIndexContract):
    spec = PostgresHybrid(vector=PgExact())
    fusions = ("rrf", "weighted")

    @pytest.fixture(scope="class")
    @classmethod
    def uri(cls, postgres_uri: str) -> str:
        return postgres_uri
