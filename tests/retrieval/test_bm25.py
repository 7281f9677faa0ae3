"""BM25: bm25s' scores, our order."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from mox.errors import SpecError
from mox.retrieval import retrievers
from mox.retrieval.bm25 import Bm25, index_bytes, search
from mox.testing.retrieval import RetrieverContract

METHODS = ["lucene", "robertson", "atire", "bm25l", "bm25+"]
TEXTS = [
    "The runner runs a marathon in the rain.",
    "Running shoes wear out; a runner buys new shoes every year, and new laces.",
    "Rain falls.",
    "A marathon is a long race. A very long race, run on roads, in rain or shine, by many.",
    "Shoes and laces and shoes.",
    "",
]
QUERIES = ["runner shoes rain", "the marathon", "laces laces shoes", "nothing known here"]


@pytest.mark.parametrize("method", METHODS)
class TestEachMethod(RetrieverContract):
    @pytest.fixture
    def spec(self, method):
        return Bm25(method=method)


class TestPlainWords(RetrieverContract):
    @pytest.fixture
    def spec(self):
        return Bm25(stemmer=None, stopwords=None)


@pytest.mark.parametrize("method", METHODS)
def test_scores_are_those_of_bm25s(method):
    import bm25s
    import Stemmer

    def words(texts):
        stemmer = Stemmer.Stemmer("english")
        return bm25s.tokenize(
            texts, stopwords="en", stemmer=stemmer, return_ids=False, show_progress=False
        )

    model = bm25s.BM25(method=method, k1=0.9, b=0.4)
    model.index(words(TEXTS), show_progress=False)
    ids, scores = search(Bm25(method=method, k1=0.9, b=0.4), TEXTS, QUERIES, k=len(TEXTS))
    for q, query in enumerate(words(QUERIES)):
        theirs = model.get_scores(query)
        held = [row for row, text in enumerate(words(TEXTS)) if set(text) & set(query)]
        assert set(ids[q][ids[q] >= 0]) <= set(held)
        for row, value in zip(ids[q], scores[q], strict=True):
            if row >= 0:
                assert value == pytest.approx(theirs[row], rel=1e-6)
        if method == "lucene":  # the others give a word that half of the texts hold nothing
            assert set(ids[q][ids[q] >= 0]) == set(held)


@pytest.mark.parametrize(
    "changed",
    [
        {"k1": 0.5},
        {"b": 0.1},
        {"stemmer": None},
        {"stemmer": "german"},
        {"stopwords": None},
        {"stopwords": "english_plus"},
        *({"method": method} for method in METHODS[1:]),
    ],
)
def test_every_setting_changes_the_scores(changed):
    queries = [*QUERIES, "running in the rain", "every year"]
    base = search(Bm25(), TEXTS, queries, k=6)
    other = search(Bm25(**changed), TEXTS, queries, k=6)
    assert base[1].tobytes() != other[1].tobytes()


def test_stop_words_and_stems_are_english_by_default():
    ids, _ = search(Bm25(), TEXTS, ["the is a", "run"], k=6)
    assert set(ids[0]) == {-1}
    assert {0, 1, 3} == {*ids[1].tolist()} - {-1}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"k1": -1}, "bm25.k1 = -1"),
        ({"b": 1.5}, "bm25.b = 1.5"),
        ({"stemmer": "klingon"}, "bm25.stemmer = 'klingon'"),
        ({"method": "bm26"}, "bm25.method = 'bm26'"),
        ({"stopword": None}, "no field 'stopword', did you mean 'stopwords'"),
    ],
)
def test_what_bm25_cannot_mean_is_refused(settings, said):
    with pytest.raises(SpecError, match=said):
        retrievers.parse({"kind": "bm25", **settings})


def test_every_stemmer_and_stop_list_that_is_offered_is_there():
    from typing import get_args

    import Stemmer
    from bm25s.tokenization import _infer_stopwords

    from mox.retrieval import bm25

    assert {*get_args(bm25.Stemmer)} <= {*Stemmer.algorithms()}
    assert all(_infer_stopwords(name) for name in get_args(bm25.StopWords))


def test_the_index_is_as_large_as_its_postings():
    # "cat", "sat" and "mat" in the first text, "cat" in the second: 4 postings of 4 + 4 bytes,
    # and where each of 3 words begins and the last ends: 4 of 8 bytes.
    assert index_bytes(Bm25(), ["the cat sat on a mat", "cat"]) == 4 * 8 + 4 * 8
    assert index_bytes(Bm25(), ["", ""]) == 0


SEEDED = """
import hashlib, pydoc_data.topics, sys
from mox.retrieval.bm25 import Bm25, search
texts = list(pydoc_data.topics.topics.values())
queries = [text[:200] for text in texts]
for method in ("lucene", "bm25l"):
    parts = search(Bm25(method=method), texts, queries, k=20)
    print([hashlib.sha256(part.tobytes()).hexdigest() for part in parts])
print(hash("x"), file=sys.stderr)
"""


def test_hits_do_not_depend_on_the_hash_seed():
    runs = [
        subprocess.run(
            [sys.executable, "-c", SEEDED],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            timeout=90,
            check=True,
        )
        for seed in ("1", "2")
    ]
    assert runs[0].stderr != runs[1].stderr
    assert runs[0].stdout == runs[1].stdout


LIGHT = """
import sys
from mox.retrieval import fusions, retrievers
retrievers.fingerprint(retrievers.parse({"kind": "bm25"}))
fusions.fingerprint(fusions.parse({"kind": "rrf"}))
print(sorted({"bm25s", "Stemmer", "scipy", "pandas", "numpy"} & set(sys.modules)))
"""


def test_planning_imports_no_library_that_searches():
    done = subprocess.run(
        [sys.executable, "-c", LIGHT], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"


def test_a_thousand_rows_of_one_score_keep_their_order():
    ids, scores = search(Bm25(), ["same words here"] * 1000, ["words"], k=10)
    assert ids.tolist() == [list(range(10))]
    assert np.ptp(scores) == 0
