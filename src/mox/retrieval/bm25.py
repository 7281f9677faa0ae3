"""BM25 over the chunks' texts, by bm25s' scores; the order of hits is ours."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import Field

from mox.registry import versions
from mox.retrieval import retrievers
from mox.retrieval.hits import BLOCK_CELLS, top
from mox.spec import Spec

if TYPE_CHECKING:
    from mox.types import Floats, Ints

Stemmer = Literal[
    "arabic", "armenian", "basque", "catalan", "danish", "dutch", "english", "finnish", "french",
    "german", "greek", "hindi", "hungarian", "indonesian", "irish", "italian", "lithuanian",
    "nepali", "norwegian", "porter", "portuguese", "romanian", "russian", "serbian", "spanish",
    "swedish", "tamil", "turkish", "yiddish",
]  # fmt: skip
StopWords = Literal[
    "chinese", "danish", "dutch", "english", "english_plus", "french", "german", "italian",
    "korean", "norwegian", "portuguese", "russian", "spanish", "swedish", "turkish",
]  # fmt: skip


class Bm25(Spec):
    """Lower-cased words of two or more characters, stemmed, without stop words."""

    kind: Literal["bm25"] = "bm25"
    method: Literal["lucene", "robertson", "atire", "bm25l", "bm25+"] = "lucene"
    """Which published variant of BM25; bm25l and bm25+ with a delta of 0.5."""
    k1: float = Field(1.5, ge=0, le=1000, allow_inf_nan=False)
    """How much a word's repetition counts; 0: not at all."""
    b: float = Field(0.75, ge=0, le=1, allow_inf_nan=False)
    """How much long texts are discounted; 0: not at all."""
    stemmer: Stemmer | None = "english"
    """Snowball's stemmer of a language; None: words as they are."""
    stopwords: StopWords | None = "english"
    """A language's words that are left out; None: no word is."""


class Prepared(NamedTuple):
    """Scores of each word in each text, by word: texts `rows[first[w]:first[w + 1]]` hold w."""

    model: Any
    words: Mapping[str, int]
    texts: int

    @property
    def size_bytes(self) -> int:
        """What answers queries: postings and where each word's begin, without the words."""
        if not self.words:
            return 0
        return sum(self.model.scores[name].nbytes for name in ("data", "indices", "indptr"))


def _fingerprint(spec: Bm25) -> Mapping[str, str]:
    # What a word is, and its lower case, comes from Python's Unicode tables.
    parts = ("bm25s",) if spec.stemmer is None else ("bm25s", "PyStemmer")
    return versions(*parts, unicode=unicodedata.unidata_version)


def index_bytes(spec: Bm25, texts: Sequence[str]) -> int:
    """Bytes of the index that answers; texts not counted."""
    return prepare(spec, tuple(texts)).size_bytes


# Every word weighs 0 or more in all five variants, and a text without them isn't found.
@retrievers.register(
    Bm25,
    fingerprint=_fingerprint,
    index_bytes=index_bytes,
    least=lambda _: 0.0,
    imports=("bm25s",),  # which imports half of scipy
)
def search(
    spec: Bm25, texts: Sequence[str], queries: Sequence[str], /, *, k: int
) -> tuple[Ints, Floats]:
    """The best k texts of each query; a text that scores nothing is left out.

    Returns:
        (queries, k) rows in the order of hits, padded with -1, and float32 scores.
    """
    import numpy as np

    index = prepare(spec, tuple(texts))
    asked = _words(spec, queries)
    step = max(1, BLOCK_CELLS // max(index.texts, 1))
    ids = np.full((len(queries), k), -1, dtype=np.int32)
    scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
    for at in range(0, len(queries), step):
        rows = slice(at, at + step)
        hits = top(np.stack([_scores(index, words) for words in asked[rows]]), k=k)
        ids[rows], scores[rows] = hits.ids, hits.scores
    return ids, scores


@lru_cache(maxsize=1)
def prepare(spec: Bm25, texts: tuple[str, ...]) -> Prepared:
    """The index of these texts. The last one is kept: a sweep asks it more than once."""
    import bm25s

    # Numbered by first appearance: bm25s numbers them in the order of a set.
    words: dict[str, int] = {}
    numbered = [[words.setdefault(w, len(words)) for w in text] for text in _words(spec, texts)]
    model = bm25s.BM25(method=spec.method, k1=spec.k1, b=spec.b)
    if words:
        model.scores = model.build_index_from_ids(
            list(words.values()), numbered, show_progress=False
        )
    return Prepared(model, words, len(texts))


def _words(spec: Bm25, texts: Sequence[str]) -> list[list[str]]:
    import bm25s

    stemmer = None
    if spec.stemmer is not None:
        import Stemmer as Snowball

        stemmer = Snowball.Stemmer(spec.stemmer)
    words: list[list[str]] = bm25s.tokenize(
        list(texts),
        stopwords=spec.stopwords,
        stemmer=stemmer,
        return_ids=False,
        show_progress=False,
    )
    return words


def _scores(index: Prepared, words: list[str]) -> Floats:
    """(texts,) scores of one query; -inf where a text holds none of its words that count."""
    import numpy as np

    known = [index.words[word] for word in words if word in index.words]
    if not known:
        return np.full(index.texts, -np.inf, dtype=np.float32)
    scores: Floats = index.model.get_scores_from_ids(known)
    # bm25l and bm25+ give every text what a query's words score where they are absent.
    absent = index.model.nonoccurrence_array
    floor = 0 if absent is None else absent[known].sum()
    scores[scores <= floor] = -np.inf
    return scores
