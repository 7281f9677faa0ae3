"""Weighted fusion: by hand, and by its properties."""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean, pstdev

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mox.errors import DataError, SpecError
from mox.experiment import load
from mox.retrieval import fusions
from mox.retrieval.hits import ranked
from mox.retrieval.weighted import Weighted, fuse, many
from mox.testing.retrieval import FusionContract

SCALES = ("min-max", "theoretical", "z-score", "none")
quick = settings(derandomize=True, max_examples=80, deadline=None)


class TestWeighted(FusionContract):
    @pytest.fixture(params=SCALES)
    def spec(self, request):
        return Weighted(normalise=request.param)

    @pytest.fixture
    def others(self):
        weights = [at / 10 for at in range(11)]
        return [Weighted(weight=weight, normalise=scale) for scale in SCALES for weight in weights]


def hits(*queries, k, least=None):
    """Hits of (row, score) pairs."""
    ids, scores = np.full((len(queries), k), -1), np.zeros((len(queries), k))
    for line, values, pairs in zip(ids, scores, queries, strict=True):
        for at, (row, score) in enumerate(pairs):
            line[at], values[at] = row, score
    return replace(ranked(ids, scores, k=k), least=least)


DENSE = hits([(5, 0.9), (2, 0.6), (9, 0.3)], k=4, least=-1.0)
LEXICAL = hits([(2, 12.0), (7, 4.0)], k=3, least=0.0)


@pytest.mark.parametrize(
    ("scale", "weight", "ids", "scores"),
    [
        # Dense: 5 is 1, 2 is 0.3 / 0.6 = 0.5, 9 is 0. Lexical: 2 is 1, 7 is 0. Absent is 0.
        ("min-max", 0.5, [2, 5, 7, 9], [0.75, 0.5, 0, 0]),
        ("min-max", 0.3, [2, 5, 7, 9], [0.15 + 0.7, 0.3, 0, 0]),
        ("min-max", 0.9, [5, 2, 7, 9], [0.9, 0.45 + 0.1, 0, 0]),
        # Dense: 1.9 / 1.9, 1.6 / 1.9, 1.3 / 1.9. Lexical: 12 / 12, 4 / 12. Absent is 0.
        ("theoretical", 0.5, [2, 5, 9, 7], [0.9210526, 0.5, 0.3421053, 0.1666667]),
        # Dense: mean 0.6, deviation sqrt(0.18 / 3) = 0.2449490, so 1.2247449, 0, -1.2247449.
        # Lexical: mean 8, deviation 4, so 1, -1. Absent has the list's least: -1.2247449, -1.
        ("z-score", 0.5, [2, 5, 7, 9], [0.5, 0.1123724, -1.1123724, -1.1123724]),
        # As they are; absent has 0.3 and 4.
        ("none", 0.5, [2, 5, 7, 9], [6.3, 2.45, 2.15, 2.15]),
    ],
)
def test_values_by_hand(scale, weight, ids, scores):
    fused = fuse(Weighted(weight=weight, normalise=scale), [DENSE, LEXICAL], k=4)
    assert fused.ids.tolist() == [ids]
    np.testing.assert_allclose(fused.scores, [scores], atol=1e-6)


@pytest.mark.parametrize(
    ("scale", "value", "beside"),
    [("min-max", 1.0, 0.0), ("theoretical", 1.0, 0.0), ("z-score", 0.0, 0.0), ("none", 3.0, 3.0)],
)
def test_equal_scores_and_a_single_hit_are_no_division_by_zero(scale, value, beside):
    # The lexical list holds rows 1 and 2 with 3.0 each, or row 1 alone; the dense one row 8.
    dense = hits([(8, 0.5)], k=2, least=-1.0)
    for pairs in ([(1, 3.0), (2, 3.0)], [(1, 3.0)]):
        lexical = hits(pairs, k=2, least=0.0)
        fused = fuse(Weighted(weight=0, normalise=scale), [dense, lexical], k=3)
        found = dict(zip(fused.ids[0].tolist(), fused.scores[0].tolist(), strict=True))
        assert {row: found[row] for row, _ in pairs} == dict.fromkeys(dict(pairs), value)
        assert found[8] == np.nextafter(np.float32(beside), np.float32(-np.inf))  # just behind


@pytest.mark.parametrize("scale", SCALES)
def test_a_list_without_hits_leaves_the_others_order(scale):
    none = hits([], k=3, least=0.0)
    for weight, lists in ((0.25, [none, LEXICAL]), (0.25, [DENSE, none])):
        fused = fuse(Weighted(weight=weight, normalise=scale), lists, k=4)
        [full] = [one for one in lists if one is not none]
        expected = [row for row in full.ids[0].tolist() if row >= 0]
        assert fused.ids[0].tolist() == expected + [-1] * (4 - len(expected))
    both = fuse(Weighted(normalise=scale), [none, none], k=2)
    assert both.ids.tolist() == [[-1, -1]]


def test_theoretical_counts_what_lies_under_the_least_score_as_at_it():
    # A row without direction has the score -2: no cosine, and no better than an absent row.
    dense = hits([(1, 1.0), (2, -1.0), (3, -2.0)], k=3, least=-1.0)
    lexical = hits([(4, 2.0)], k=1, least=0.0)
    fused = fuse(Weighted(weight=1, normalise="theoretical"), [dense, lexical], k=4)
    assert fused.ids.tolist() == [[1, 2, 3, 4]]
    assert fused.scores[0, :3].tolist() == [1, 0, 0]  # 4, which the list lacks, just behind
    assert fused.scores[0, 3] == np.nextafter(np.float32(0), np.float32(-1))
    all_least = hits([(6, 0.0), (4, 0.0)], k=2, least=0.0)
    flat = fuse(Weighted(weight=0, normalise="theoretical"), [dense, all_least], k=5)
    assert flat.ids.tolist() == [[4, 6, 1, 2, 3]]
    np.testing.assert_allclose(flat.scores, [[0] * 5], atol=1e-44)


pairs = st.lists(
    st.tuples(st.integers(0, 12), st.integers(-8, 8)), max_size=6, unique_by=lambda pair: pair[0]
)  # fmt: skip
queries = st.lists(st.tuples(pairs, pairs), min_size=1, max_size=3)
scales = st.sampled_from(SCALES)
weights = st.sampled_from([0.0, 0.1, 0.25, 0.3, 0.5, 0.7, 1.0])


def both(drawn, scale=1.0, shift=0.0):
    sides = [
        [[(row, score * scale + shift) for row, score in each] for each in side]
        for side in zip(*drawn, strict=True)
    ]
    return [hits(*side, k=6, least=-8.0 * scale + shift) for side in sides]


@quick
@given(queries, scales)
def test_the_whole_weight_on_one_side_is_its_order(drawn, scale):
    lists = both(drawn)
    for weight, side in ((1, 0), (0, 1)):
        fused = fuse(Weighted(weight=weight, normalise=scale), lists, k=12)
        for found, own in zip(fused.ids.tolist(), lists[side].ids.tolist(), strict=True):
            own = [row for row in own if row >= 0]
            assert found[: len(own)] == own


@pytest.mark.parametrize("scale", SCALES)
def test_at_the_whole_weight_a_foreign_row_never_takes_a_hits_place(scale):
    # The lower row wins a tie: of the last hits, 8 and 10, one has a foreign row below it each.
    dense = hits([(9, 0.9), (7, 0.5), (8, 0.1)], k=3, least=-1.0)
    lexical = hits([(5, 3.0), (6, 2.0), (10, 1.0)], k=3, least=0.0)
    for weight, own in ((1, [9, 7, 8]), (0, [5, 6, 10])):
        fused = fuse(Weighted(weight=weight, normalise=scale), [dense, lexical], k=6)
        assert fused.ids[0].tolist()[:3] == own
        # The others are equal among themselves.
        assert fused.ids[0].tolist()[3:] == ([5, 6, 10] if weight else [7, 8, 9])


@quick
@given(queries, weights, st.sampled_from([0.25, 2.0, 64.0]), st.integers(-40, 40))
def test_a_sides_units_do_not_matter_to_scales(drawn, weight, factor, shift):
    # Powers of two and whole numbers: each step is exact, so even the bytes are equal.
    for scale in ("min-max", "theoretical"):
        spec = Weighted(weight=weight, normalise=scale)
        first, other = (fuse(spec, both(drawn, *by), k=9) for by in ((), (factor, shift)))
        assert first.ids.tobytes() == other.ids.tobytes()
        assert first.scores.tobytes() == other.scores.tobytes()


def by_hand(side, scale):
    """Values of one query's (row, score) pairs and of an absent row, in plain Python."""
    if not side:
        return {}, 0.0
    scores = [float(score) for _, score in side]
    low, high = min(scores), max(scores)
    if scale == "none":
        return dict(side), low
    if scale == "min-max":
        return {r: (s - low) / (high - low) if high > low else 1.0 for r, s in side}, 0.0
    if scale == "theoretical":
        return {r: (s + 8) / (high + 8) if high > -8 else 0.0 for r, s in side}, 0.0
    mean, deviation = fmean(scores), pstdev(scores)
    values = {r: (s - mean) / deviation if high > low else 0.0 for r, s in side}
    return values, min(values.values())


@quick
@given(queries, weights, scales)
def test_fusion_is_the_weighted_sum(drawn, weight, scale):
    fused = fuse(Weighted(weight=weight, normalise=scale), both(drawn), k=12)
    for at, (dense, lexical) in enumerate(drawn):
        one, absent_one = by_hand(dense, scale)
        two, absent_two = by_hand(lexical, scale)
        for row, score in zip(fused.ids[at].tolist(), fused.scores[at].tolist(), strict=True):
            if row >= 0:
                dense_part = weight * one.get(row, absent_one)
                lexical_part = (1 - weight) * two.get(row, absent_two)
                assert score == pytest.approx(dense_part + lexical_part, abs=1e-5)
        assert {row for row in fused.ids[at].tolist() if row >= 0} == {*one, *two}


@quick
@given(queries, st.lists(st.tuples(weights, scales), min_size=1, max_size=9), st.integers(1, 9))
def test_how_many_are_swept_together_changes_no_byte(drawn, chosen, k):
    specs = [Weighted(weight=weight, normalise=scale) for weight, scale in chosen]
    lists = both(drawn)
    for spec, fused in zip(specs, many(specs, lists, k=k), strict=True):
        alone = fuse(spec, lists, k=k)
        assert fused.ids.tobytes() == alone.ids.tobytes()
        assert fused.scores.tobytes() == alone.scores.tobytes()


def test_more_than_a_block_of_settings_are_the_same_as_few(monkeypatch):
    drawn = np.random.default_rng(3)
    sides = []
    for _ in range(2):
        ids = np.stack([drawn.permutation(60)[:20] for _ in range(30)])
        sides.append(replace(ranked(ids, drawn.random((30, 20)), k=20), least=-1.0))
    specs = [Weighted(weight=at / 50, normalise="theoretical") for at in range(51)]
    whole = [fused.scores.tobytes() for fused in many(specs, sides, k=7)]
    monkeypatch.setattr("mox.retrieval.union.BLOCK_CELLS", 2_500)  # two settings a block
    assert [fused.scores.tobytes() for fused in many(specs, sides, k=7)] == whole


def test_what_cannot_be_weighed_is_refused():
    with pytest.raises(DataError, match="1 lists cannot be weighed"):
        fuse(Weighted(), [DENSE], k=1)
    with pytest.raises(DataError, match=r"2 lists of \[1, 2\] queries cannot be fused"):
        fuse(Weighted(), [DENSE, hits([], [], k=1)], k=1)
    with pytest.raises(DataError, match=r"infinite score has no place .*query 0"):
        fuse(Weighted(), [hits([(1, np.inf)], k=1), LEXICAL], k=1)
    with pytest.raises(DataError, match="needs the least score that a search can give"):
        fuse(Weighted(normalise="theoretical"), [DENSE, replace(LEXICAL, least=None)], k=1)


@pytest.mark.parametrize(
    ("settings_", "said"),
    [
        ({"weight": -0.01}, r"weighted\.weight = -0\.01"),
        ({"weight": 1.01}, r"weighted\.weight = 1\.01"),
        ({"weight": float("nan")}, r"weighted\.weight = nan"),
        ({"normalise": "minmax"}, r"weighted\.normalise = 'minmax'"),
        ({"wieght": 0.5}, "no field 'wieght', did you mean 'weight'"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings_, said):
    with pytest.raises(SpecError, match=said):
        fusions.parse({"kind": "weighted", **settings_})


def hybrid(**fusion):
    return {
        "name": "w",
        "corpus": {"kind": "evidence", "path": "."},
        "axes": {
            "chunk": [{"kind": "whole"}],
            "embed": [{"kind": "hashing"}],
            "index": [{"kind": "exact"}, {"kind": "HNSW"}],
            "search": [{"kind": "hybrid", "ef": 64, "fusion": {"kind": "weighted", **fusion}}],
        },
        "measure": ["recall@5"],
    }


def test_a_sweep_of_weights_and_scales_is_a_trial_each():
    trials = load(hybrid(weight=[0, 0.5, 1], normalise=["min-max", "theoretical"])).trials
    assert len(trials) == 2 * 6
    # A cosine is -1 at least, a sum of BM25 weights 0; where a scale doesn't ask, nobody says.
    told = {t.search.fusion.normalise: t.search.least for t in trials}
    assert told == {"min-max": None, "theoretical": (-1.0, 0.0)}
    assert "least" not in trials[-1].config["search"]
