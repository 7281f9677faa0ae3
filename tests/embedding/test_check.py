"""What is asked of every embedder's work."""

from __future__ import annotations

import numpy as np
import pytest

from mox.embedding.check import unread_share, verify
from mox.errors import EngineError


class Words:
    """An embedder whose tokens are words between two special ones."""

    dims = 2

    def embed(self, texts):
        return np.tile(np.array([0.6, 0.8], np.float32), (len(texts), 1))

    def tokens(self, texts):
        return np.array([len(text.split()) + 2 for text in texts], np.int32)


def test_unread_share_is_of_all_tokens_of_all_texts():
    # 5 + 2 = 7 and 1 + 2 = 3 tokens; of the 10, the 7's last two lie beyond 5.
    assert unread_share(Words(), 5, ["a b c d e", "a"]) == pytest.approx(0.2)


def test_unread_share_is_nothing_where_all_is_read():
    assert unread_share(Words(), None, ["a b c d e"]) == 0
    assert unread_share(Words(), 7, ["a b c d e"]) == 0
    assert unread_share(Words(), 5, []) == 0


def test_vectors_of_length_one_and_zero_pass():
    verify(np.array([[0.6, 0.8], [0, 0], [0.6004, 0.8004]], np.float32), 3, 2, name="mine")
    verify(np.empty((0, 2), np.float32), 0, 2, name="mine")


@pytest.mark.parametrize(
    ("vectors", "said"),
    [
        (np.ones((2, 3), np.float32), r"shape \(2, 3\) for 3 texts of 2 dimensions"),
        (np.array([[0.6, 0.8]] * 3), "float64 instead of float32"),
        (np.array([[1, 0], [np.nan, 0], [1, 0]], np.float32), r"not finite \(row 1\)"),
        (np.array([[1, 0], [1, 0], [np.inf, 0]], np.float32), r"not finite \(row 2\)"),
        (np.array([[1, 0], [0, 1], [3, 4]], np.float32), r"a vector of length 5 \(row 2\)"),
        (np.array([[1, 0], [0.01, 0], [1, 0]], np.float32), r"a vector of length 0.01 \(row 1\)"),
    ],
)
def test_other_vectors_are_refused_by_the_embedders_name(vectors, said):
    with pytest.raises(EngineError, match=f"the embedder 'mine' returned.*{said}"):
        verify(vectors, 3, 2, name="mine")
