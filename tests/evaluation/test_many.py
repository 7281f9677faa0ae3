"""Many trials scored at once: to the bit what each gets alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mox.evaluation import many
from mox.evaluation.cuts import TokenEnds
from mox.evaluation.many import layers, score_each
from mox.evaluation.measures import Measure
from mox.evaluation.relevance import prepare
from mox.evaluation.score import score
from mox.retrieval.hits import ranked
from mox.types import ChunkTable, Evidence, Question, Span

ROWS = 8
TABLE = ChunkTable(
    documents=("b", "a"),
    document=np.repeat([0, 1], 4).astype(np.int32),
    first=np.arange(ROWS + 1, dtype=np.int32),
    start=np.tile([0, 10, 20, 30], 2).astype(np.int32),
    end=np.tile([13, 20, 33, 41], 2).astype(np.int32),
    texts=tuple("x" * 13 for _ in range(ROWS)),
)
LENGTH = TABLE.end - TABLE.start
# A token is two characters, the last one what is left.
ENDS = TokenEnds(
    np.append(0, np.cumsum((LENGTH + 1) // 2)).astype(np.int32),
    np.concatenate([np.append(np.arange(2, n, 2), n) for n in LENGTH]).astype(np.int32),
)
QUESTIONS = [
    Question("q0", "", "g", Evidence(((Span("a", 5, 25),),))),
    Question("q1", "", "g", Evidence(((Span("b", 0, 41), Span("a", 0, 4)), (Span("b", 12, 15),)))),
    Question("q2", "", "g", Evidence()),
    Question("q3", "", "g", Evidence(grades={"a": 2, "b": 1})),
]
MEASURES = [
    Measure.parse(name) for name in ("recall@2", "ndcg@3", "recall@9t", "ndcg@12t", "mrr@3")
]
PREPARED = prepare(TABLE, QUESTIONS, ends=ENDS)

lists = st.lists(st.integers(0, ROWS - 1), unique=True, max_size=4)
trials_ = st.lists(st.lists(lists, min_size=4, max_size=4), min_size=1, max_size=9)


def hits(trial, k=4):
    ids = np.array([[*rows, *[-1] * (k - len(rows))] for rows in trial])
    return ranked(ids, np.tile(-np.arange(k, dtype=np.float32), (len(ids), 1)), k=k)


def bits(scores):
    """Everything there is, with the bytes of each number."""
    return (
        {name: value.tobytes() for name, value in scores.values.items()},
        scores.short,
        {name: value.tolist() for name, value in scores.early.items()},
    )


@settings(derandomize=True, max_examples=80, deadline=None)
@given(trials_)
def test_each_trial_gets_the_bits_that_it_gets_alone(trials):
    every = [hits(trial) for trial in trials]
    found = list(score_each(PREPARED, MEASURES, every, tick=lambda: None))
    assert len(found) == len(every)
    for one, scores in zip(every, found, strict=True):
        assert bits(scores) == bits(score(PREPARED, MEASURES, one))


@settings(derandomize=True, max_examples=80, deadline=None)
@given(trials_)
def test_a_layer_holds_each_questions_list_once(trials):
    ids = np.stack([hits(trial).ids for trial in trials])
    layer, first = layers(ids)
    different = [len({tuple(rows) for rows in ids[:, q].tolist()}) for q in range(4)]
    assert first.shape == (max(different), 4)
    for q in range(4):
        assert layer[:, q].max() + 1 == different[q]
        assert (ids[first[layer[:, q], q], q] == ids[:, q]).all()


def test_lists_with_one_number_are_told_apart(monkeypatch: pytest.MonkeyPatch):
    # Multipliers of 1 give 0 3 and 3 0 the number 3, and 1 2 as well.
    class Ones:
        def integers(self, low, high, k, dtype):
            return np.zeros(k, dtype)

    monkeypatch.setattr(many.np.random, "default_rng", lambda _: Ones())
    every = [hits([rows] * 4, k=2) for rows in ([0, 3], [3, 0], [1, 2], [0, 3])]
    found = list(score_each(PREPARED, MEASURES, every, tick=lambda: None))
    for one, scores in zip(every, found, strict=True):
        assert bits(scores) == bits(score(PREPARED, MEASURES, one))


def test_many_alike_are_judged_a_few_times():
    trials = [hits([[at % 3, 4]] * 4) for at in range(300)]
    seen = []
    assert len(list(score_each(PREPARED, MEASURES, trials, tick=lambda: seen.append(1)))) == 300
    assert len(seen) == 3
