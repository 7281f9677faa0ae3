"""One search's answer: what is refused of it, and that a lone query is answered like many."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mox.errors import EngineError
from mox.indexes import indexes
from mox.indexes.exact import nearest
from mox.indexes.milvus.build import FIELD
from mox.indexes.milvus.client import connected
from mox.indexes.milvus.specs import Flat
from mox.types import Place, Rows

ROWS, DIMS = 40, 8
FLAT = Flat()


@pytest.fixture
def vectors() -> np.ndarray:
    """Corners and their neighbours; the first number of every other one is 0."""
    made = np.random.default_rng(0).normal(size=(ROWS, DIMS)).astype(np.float32)
    made[::2, 0] = 0
    return made / np.linalg.norm(made, axis=1, keepdims=True)


@pytest.fixture
def place(tmp_path: Path, vectors: np.ndarray) -> Place:
    found = Place("searched", tmp_path)
    indexes[FLAT].build(FLAT, Rows(vectors), found)
    return found


@pytest.mark.parametrize("row", [ROWS + 7, 2**32 + 3, -1], ids=["past", "past int32", "negative"])
def test_a_row_that_was_not_given_is_refused(place: Place, vectors: np.ndarray, row: int) -> None:
    """2**32 + 3 is row 3 in 32 bits, and -1 is how hits are padded: both would look like ours."""
    foreign = np.full(DIMS, DIMS**-0.5, dtype=np.float32)
    with connected(place) as link:
        link.client.insert(place.name, [{"id": row, FIELD: foreign}])
        link.client.flush(place.name)
    with (
        indexes[FLAT].open(FLAT, place) as searcher,
        pytest.raises(EngineError, match="rows that it was not given"),
    ):
        searcher.search(foreign[None], k=3, settings=FLAT.Search())


def test_a_lone_query_is_answered_as_among_many(place: Place, vectors: np.ndarray) -> None:
    """Also where its first number is 0, and where all are; against a product of matrices."""
    queries = np.vstack([vectors[:6], np.zeros((1, DIMS), dtype=np.float32)])
    with indexes[FLAT].open(FLAT, place) as searcher:
        many = searcher.search(queries, k=3, settings=FLAT.Search())
        alone = [searcher.search(q[None], k=3, settings=FLAT.Search()) for q in queries]
    assert np.array_equal(many[0], np.vstack([ids for ids, _ in alone]))
    assert many[1] == pytest.approx(np.vstack([scores for _, scores in alone]), abs=1e-6)
    truth, cosines = nearest(vectors, queries[:6], 3)
    assert np.array_equal(many[0][:6], truth)
    assert many[1][:6] == pytest.approx(cosines, abs=1e-5)
    assert np.array_equal(many[1][6], np.zeros(3))


def test_settings_are_checked_anew_with_another_k(place: Place, vectors: np.ndarray) -> None:
    """What was agreed for one k says nothing of another."""
    settings = FLAT.Search()
    with indexes[FLAT].open(FLAT, place) as searcher:
        assert searcher.search(vectors[:1], k=2, settings=settings)[0].shape == (1, 2)
        with pytest.raises(Exception, match="k = 0 asks for nothing"):
            searcher.search(vectors[:1], k=0, settings=settings)
        assert searcher.search(vectors[:1], k=5, settings=settings)[0].shape == (1, 5)
