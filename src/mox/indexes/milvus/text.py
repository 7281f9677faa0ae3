"""Milvus' sparse index types, filled with the texts' BM25 weights by Milvus' own function.

A search's score is Milvus' BM25 of the query: inverse document frequencies and the mean length
are those of a segment, so scores of two segments are not quite comparable, and change as rows
arrive. Mox flushes once, so a collection of its own on Milvus Lite is one segment.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from mox.errors import SpecError
from mox.indexes.milvus.specs import MOST_HITS
from mox.spec import IndexSpec, SearchSettings

MOST_BYTES = 65_535
"""Of a VARCHAR. Lite counts characters; a server counts bytes, and so do we."""

Algorithm = Literal[
    "DAAT_MAXSCORE", "DAAT_WAND", "TAAT_NAIVE", "BLOCK_MAX_MAXSCORE", "BLOCK_MAX_WAND", "SINDI"
]
Analyzer = Literal["standard", "english", "chinese"]
StopWords = Literal[
    "chinese", "danish", "dutch", "english", "english_plus", "french", "german", "italian",
    "korean", "norwegian", "portuguese", "russian", "spanish", "swedish", "turkish",
]  # fmt: skip


class SparseSearch(SearchSettings):
    """Searches of a sparse index."""

    drop_ratio_search: float = Field(0.0, ge=0, lt=1, allow_inf_nan=False)
    """Share of the query's smallest weights that is left out: faster, and finds less. Milvus Lite
    has only 0."""
    dim_max_score_ratio: float | None = Field(None, ge=0.5, le=1.3, allow_inf_nan=False)
    """How far the greatest score that a word could give is trusted when rows are skipped: under 1
    skips more and finds less. None: the engine's own, 1.05. From Milvus 2.6 on; not on Lite."""

    def check(self, index: IndexSpec, k: int) -> None:
        if k > MOST_HITS:
            raise SpecError(
                f"{index.kind}: k = {k} is more than Milvus gives.", mend=f"set k ≤ {MOST_HITS}."
            )

    def engine_params(self) -> dict[str, Any]:
        """What is sent: nothing that says what the engine does anyway, as versions differ."""
        found: dict[str, Any] = {}
        if self.drop_ratio_search:
            found["drop_ratio_search"] = self.drop_ratio_search
        if self.dim_max_score_ratio is not None:
            found["dim_max_score_ratio"] = self.dim_max_score_ratio
        return found


class MilvusText(IndexSpec):
    """Texts under Milvus' BM25 function, in a sparse index."""

    Search: ClassVar[type[SearchSettings]] = SparseSearch
    holds: ClassVar[Literal["vectors", "texts", "pairs"]] = "texts"
    analyzer: Analyzer = "standard"
    """What a word is, by Milvus' name of it. standard: runs of letters and digits, lower-cased.
    english: these, stemmed, without its stop words. chinese: jieba's words. Milvus Lite has only
    standard."""
    stopwords: StopWords | None = None
    """Words that are left out, by the lists of `bm25`; with the standard analyzer only, since the
    others bring their own."""
    bm25_k1: float = Field(1.2, ge=0, le=3, allow_inf_nan=False)
    """How much a word's repetition counts; 0: not at all, which Milvus Lite refuses. 1.2 is
    Milvus' default, Lite's is 1.5, and Mox' own `bm25` has 1.5."""
    bm25_b: float = Field(0.75, ge=0, le=1, allow_inf_nan=False)
    """How much long texts are discounted; 0: not at all."""

    @model_validator(mode="after")
    def _one_list(self) -> MilvusText:
        if self.stopwords is not None and self.analyzer != "standard":
            raise ValueError(f"the {self.analyzer} analyzer has stop words of its own")
        return self

    def engine_params(self) -> dict[str, Any]:
        """Build parameters under Milvus' names."""
        return {"bm25_k1": self.bm25_k1, "bm25_b": self.bm25_b}

    def analyzer_params(self) -> dict[str, Any]:
        """The analyzer as it is sent. Lower case is asked for, since a server's plain tokenizer
        keeps capitals; Lite lower-cases always and passes over the filter."""
        if self.analyzer != "standard":
            return {"type": self.analyzer}
        filters: list[Any] = ["lowercase"]
        if self.stopwords is not None:
            filters.append({"type": "stop", "stop_words": stop_words(self.stopwords)})
        return {"tokenizer": "standard", "filter": filters}

    def formula_bytes(self, texts: Sequence[str]) -> int:
        """8 bytes for each different word of each text, as the standard analyzer parts them."""
        left_out = frozenset(stop_words(self.stopwords)) if self.stopwords else frozenset()
        word = re.compile(r"\w+")
        return 8 * sum(len({*word.findall(text.lower())} - left_out) for text in texts)


class SparseInvertedIndex(MilvusText):
    """An inverted index of words."""

    kind: Literal["SPARSE_INVERTED_INDEX"] = "SPARSE_INVERTED_INDEX"
    inverted_index_algo: Algorithm | None = None
    """How the lists of words are walked; all find the same, at different speeds. None: the
    engine's own, TAAT_NAIVE on Milvus Lite, which has no other, and DAAT_MAXSCORE on a server.
    From Milvus 2.5.4 on; BLOCK_MAX_* and SINDI from 3.0 on."""

    def engine_params(self) -> dict[str, Any]:
        algorithm = self.inverted_index_algo
        named = {} if algorithm is None else {"inverted_index_algo": algorithm}
        return {**super().engine_params(), **named}


class SparseWand(MilvusText):
    """The same walked by WAND. Deprecated since Milvus 2.5.4 in favour of
    `{kind: SPARSE_INVERTED_INDEX, inverted_index_algo: DAAT_WAND}`; not on Milvus Lite."""

    kind: Literal["SPARSE_WAND"] = "SPARSE_WAND"


TEXTS: tuple[type[MilvusText], ...] = (SparseInvertedIndex, SparseWand)


def stop_words(name: StopWords) -> list[str]:
    """A list by its name: the one that Mox' own `bm25` leaves out."""
    from bm25s import stopwords

    known = {"english": "EN", "english_plus": "EN_PLUS"}
    return list(getattr(stopwords, f"STOPWORDS_{known.get(name, name.upper())}"))


def check_engine(spec: MilvusText, engine: Mapping[str, str]) -> None:
    """Refuse what an engine's version lacks.

    Raises:
        SpecError: names what it needs, and what this engine is.
    """
    name = f"{engine['engine']} {engine['version']}"
    if engine["engine"] == "milvus-lite":
        _check_lite(spec, name)
        return
    needs = _needs(spec)
    if _version(engine) < needs:
        raise SpecError(
            f"{spec.kind} over texts needs Milvus ≥ {'.'.join(map(str, needs))} for these"
            f" settings; this server is {name}.",
            mend="use a newer server, Milvus Lite, or Mox' own `{kind: bm25}` under `search`.",
        )


def check_search(spec: MilvusText, settings: SearchSettings, engine: Mapping[str, str]) -> None:
    """Refuse search settings that an engine's version lacks.

    Raises:
        SpecError: names the setting.
    """
    if not isinstance(settings, SparseSearch):
        return
    sent = settings.engine_params()
    lacking = [name for name in sent if engine["engine"] == "milvus-lite"]
    if "dim_max_score_ratio" in sent and _version(engine) < (2, 6):
        lacking = ["dim_max_score_ratio"]
    if lacking:
        raise SpecError(
            f"{engine['engine']} {engine['version']} has no {lacking[0]} for {spec.kind}.",
            mend=f"leave {lacking[0]} out, or use a Milvus server of 2.6 or newer.",
        )


def _check_lite(spec: MilvusText, name: str) -> None:
    if isinstance(spec, SparseWand):
        raise SpecError(
            f"{name} has no SPARSE_WAND, which Milvus has deprecated.",
            mend="use SPARSE_INVERTED_INDEX; on a server with inverted_index_algo: DAAT_WAND.",
        )
    only = {"analyzer": "standard", "inverted_index_algo": "TAAT_NAIVE"}
    for field, value in only.items():
        asked = getattr(spec, field)
        if asked not in (value, None):
            raise SpecError(
                f"{name} has no {field} {asked}, only {value}.",
                mend=f"leave {field} out, or use a Milvus server of 2.5.4 or newer.",
            )
    if spec.bm25_k1 == 0:
        raise SpecError(f"{name} refuses bm25_k1 = 0.", mend="set it above 0, to 0.01 say.")


def _needs(spec: MilvusText) -> tuple[int, ...]:
    algorithm = getattr(spec, "inverted_index_algo", None)
    if algorithm is None:
        return (2, 5)
    return (2, 5, 4) if algorithm in ("DAAT_MAXSCORE", "DAAT_WAND", "TAAT_NAIVE") else (3, 0)


def _version(engine: Mapping[str, str]) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", engine["version"])[:3])
