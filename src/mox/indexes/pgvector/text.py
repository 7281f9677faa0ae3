"""PostgreSQL's full text: its settings.

PostgreSQL ranks by what stands in a row alone: it knows no inverse document frequency, so a
common word counts as much as a rare one, and its scores are no BM25.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from mox.errors import SpecError
from mox.indexes.pgvector.specs import MOST_HITS
from mox.spec import IndexSpec, SearchSettings

Config = Literal[
    "arabic", "armenian", "basque", "catalan", "danish", "dutch", "english", "estonian",
    "finnish", "french", "german", "greek", "hindi", "hungarian", "indonesian", "irish",
    "italian", "lithuanian", "nepali", "norwegian", "portuguese", "romanian", "russian",
    "serbian", "simple", "spanish", "swedish", "tamil", "turkish", "yiddish",
]  # fmt: skip


class FtsSearch(SearchSettings):
    """Searches of full text."""

    words: Literal["any", "all"] = "any"
    """Whether a row must have one of the question's words or each of them. PostgreSQL's own
    `plainto_tsquery` asks for all, which finds next to nothing for whole questions (SciFact's
    300: nDCG@10 0.07, with any 0.58); what ranks is the same for both."""
    rank: Literal["ts_rank", "ts_rank_cd"] = "ts_rank"
    """How rows are ranked: by how often the words occur (ts_rank), or by how near to each other
    they stand (ts_rank_cd, cover density), which suits few words (SciFact: 0.58 and 0.34)."""
    normalization: int = Field(0, ge=0, le=63)
    """What a rank is divided by, a sum of PostgreSQL's flags: 0 nothing, 1 one more than the
    logarithm of the row's length, 2 its length, 4 the distance between extents (ts_rank_cd only),
    8 its number of different words, 16 one more than the logarithm of that; 32 scales to
    rank / (rank + 1), which changes no order."""

    def check(self, index: IndexSpec, k: int) -> None:
        if k > MOST_HITS:
            raise SpecError(f"{index.kind}: k = {k} is an export.", mend=f"set k ≤ {MOST_HITS}.")


class PostgresFts(IndexSpec):
    """Texts as PostgreSQL's `tsvector`, under a GIN index."""

    kind: Literal["postgres_fts"] = "postgres_fts"
    Search: ClassVar[type[SearchSettings]] = FtsSearch
    holds: ClassVar[Literal["vectors", "texts", "pairs"]] = "texts"
    config: Config = "english"
    """What a word is: a language's stems without its stop words; `simple`: words as they are, in
    lower case."""
