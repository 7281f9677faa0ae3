"""Span metrics against a slow, obvious reference: sets of positions, after README § 2."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

STEADY = settings(derandomize=True, max_examples=150, deadline=None)
LENGTH = 24
DOCUMENTS = ("a", "b")
MEASURES = (
    "recall", "precision", "iou", "set_precision", "set_iou", "hit", "full", "span_recall", "mrr",
    "ndcg",
)  # fmt: skip

span = st.tuples(st.integers(0, LENGTH - 1), st.integers(1, 10)).map(lambda p: (p[0], p[0] + p[1]))
place = st.tuples(st.sampled_from(DOCUMENTS), span).map(lambda p: (p[0], *p[1]))
row = st.tuples(st.sampled_from(DOCUMENTS), st.lists(span, min_size=1, max_size=3))
rows = st.lists(row, min_size=1, max_size=8)
chroma_evidence = st.lists(place.map(lambda one: [one]), min_size=1, max_size=4)
any_evidence = st.lists(st.lists(place, min_size=1, max_size=3), min_size=1, max_size=4)


@st.composite
def searched(draw, evidence):
    """Chunks; questions with evidence; a list of hits for each, without repeats."""
    chunks = draw(rows)
    questions = draw(st.lists(evidence, min_size=1, max_size=3))
    order = st.permutations(range(len(chunks)))
    lists = [draw(order)[: draw(st.integers(1, len(chunks)))] for _ in questions]
    return chunks, questions, lists


def positions(document, start, end):
    return {(document, at) for at in range(start, end)}


def texts(chunk):
    """Every position that a chunk returns, in order, with repeats."""
    document, spans = chunk
    return [(document, at) for start, end in spans for at in range(start, end)]


def chroma(groups, shown):
    """README § 2, word for word: one alternative to a group. `shown`: what each hit shows."""
    spans = [positions(*group[0]) for group in groups]
    evidence = set().union(*spans)
    union = set().union(*shown)
    returned = sum(len(text) for text in shown)
    gains = [
        len(evidence & set(text) - set().union(*shown[:at])) / len(evidence)
        for at, text in enumerate(shown)
    ]
    ranks = [at + 1 for at, text in enumerate(shown) if evidence & set(text)]
    found = len(evidence & union)
    return {
        "recall": found / sum(map(len, spans)),
        "precision": found / returned if returned else 0,
        "iou": found / (returned + len(evidence - union)),
        "set_precision": found / len(union) if union else 0,
        "set_iou": found / len(union | evidence),
        "hit": float(bool(ranks)),
        "full": float(any(one <= union for one in spans)),
        "span_recall": sum(bool(one & union) for one in spans) / len(spans),
        "mrr": 1 / ranks[0] if ranks else 0,
        "ndcg": sum(gain / math.log2(at + 2) for at, gain in enumerate(gains)),
    }


@dataclass
class Coverage:
    """The docstring of `mox.evaluation.spans`, in sets."""

    groups: list

    def __call__(self, union):
        total, claimed = 0.0, set()
        for group in self.groups:
            places = [positions(*one) for one in group]
            covered = max(len((one - claimed) & union) / len(one) for one in places)
            total += covered * self.weight(group)
            claimed |= set().union(*places)
        return total

    @staticmethod
    def weight(group):
        return sum(end - start for _, start, end in group) / len(group)


def general(groups, shown):
    """Any evidence: what differs from `chroma` where groups have alternatives."""
    coverage = Coverage(groups)
    every = set().union(*(positions(*one) for group in groups for one in group))
    ceiling = coverage(every)
    union = set().union(*shown)
    found, returned = len(every & union), sum(map(len, shown))
    missing = ceiling - coverage(union)
    steps = [coverage(set().union(*shown[:at])) for at in range(len(shown) + 1)]
    return {
        "recall": coverage(union) / sum(map(coverage.weight, groups)),
        "precision": found / returned if returned else 0,
        "iou": found / (returned + missing),
        "set_precision": found / len(union) if union else 0,
        "set_iou": found / (len(union) + missing),
        "span_recall": sum(
            any(positions(*one) & union for one in group) for group in groups
        ) / len(groups),
        "full": float(any(positions(*one) <= union for group in groups for one in group)),
        "ndcg": sum(
            (steps[at + 1] - steps[at]) / ceiling / math.log2(at + 2) for at in range(len(shown))
        ),
    }  # fmt: skip


def compare(tools, chunks, questions, lists, cut, reference, shown_of, ends=None):
    names = [f"{metric}@{cut}" for metric in MEASURES]
    asked = [tools.ask(*groups) for groups in questions]
    found = tools.scores(
        " ".join(names), tools.table(chunks, DOCUMENTS), asked, tools.hits(*lists), ends
    )
    for at, groups in enumerate(questions):
        for metric, expected in reference(groups, shown_of(lists[at])).items():
            value = found.values[f"{metric}@{cut}"][at]
            assert value == pytest.approx(expected, abs=1e-12), metric
            assert 0 <= value <= 1


@dataclass(frozen=True)
class Tools:
    table: object
    ask: object
    hits: object
    scores: object
    ends: object


@pytest.fixture(scope="session")
def tools(table, ask, hits, scores, ends):
    return Tools(table, ask, hits, scores, ends)


@given(case=searched(chroma_evidence), cut=st.integers(1, 9))
@STEADY
def test_one_alternative_to_a_group_is_chroma_s_arithmetic(case, cut, tools):
    chunks, questions, lists = case
    compare(
        tools, chunks, questions, lists, cut, chroma,
        lambda ids: [texts(chunks[row]) for row in ids[:cut]],
    )  # fmt: skip


@given(case=searched(any_evidence), cut=st.integers(1, 9))
@STEADY
def test_alternatives_follow_the_general_definition(case, cut, tools):
    chunks, questions, lists = case
    compare(
        tools, chunks, questions, lists, cut, general,
        lambda ids: [texts(chunks[row]) for row in ids[:cut]],
    )  # fmt: skip


@given(case=searched(any_evidence), budget=st.integers(1, 40), size=st.integers(1, 5))
@STEADY
def test_a_token_budget_shows_whole_hits_and_the_start_of_the_last(case, budget, size, tools):
    chunks, questions, lists = case
    # Tokens of `size` characters; the last one of a text may be shorter.
    tokens = [
        [*range(size, len(texts(chunk)), size), len(texts(chunk))] for chunk in chunks
    ]  # fmt: skip

    def shown_of(ids):
        shown, left = [], budget
        for row in ids:
            kept = tokens[row][:left]
            left -= len(kept)
            shown.append(texts(chunks[row])[: kept[-1] if kept else 0])
        return shown

    compare(
        tools, chunks, questions, lists, f"{budget}t", general, shown_of, tools.ends(tokens)
    )  # fmt: skip


@given(case=searched(any_evidence))
@STEADY
def test_more_hits_never_mean_less_recall(case, tools):
    chunks, questions, lists = case
    asked = [tools.ask(*groups) for groups in questions]
    names = [f"{metric}@{cut}" for metric in ("recall", "ndcg") for cut in range(1, 5)]
    found = tools.scores(
        " ".join(names), tools.table(chunks, DOCUMENTS), asked, tools.hits(*lists)
    ).values
    for cut in range(1, 4):
        assert (found[f"recall@{cut + 1}"] >= found[f"recall@{cut}"]).all()
        assert (found[f"ndcg@{cut + 1}"] >= found[f"ndcg@{cut}"] - 1e-15).all()


@given(case=searched(any_evidence), data=st.data())
@STEADY
def test_the_order_of_alternatives_doesn_t_matter(case, data, tools):
    chunks, questions, lists = case
    turned = [[data.draw(st.permutations(group)) for group in groups] for groups in questions]
    names = " ".join(f"{metric}@3" for metric in MEASURES)
    table, found = tools.table(chunks, DOCUMENTS), tools.hits(*lists)
    one, other = (
        tools.scores(names, table, [tools.ask(*groups) for groups in asked], found).values
        for asked in (questions, turned)
    )
    for name in names.split():
        assert one[name] == pytest.approx(other[name], abs=1e-12), name


@given(case=searched(any_evidence))
@STEADY
def test_all_chunks_of_a_gapless_chunking_reach_every_ideal(case, tools):
    # Chunks that cover both documents: recall is the ceiling over the demand, nDCG at its best.
    _, questions, _ = case
    chunks = [(name, [(at, at + 6)]) for name in DOCUMENTS for at in range(0, LENGTH + 12, 6)]
    asked = [tools.ask(*groups) for groups in questions]
    ids = [list(range(len(chunks)))] * len(questions)
    found = tools.scores(
        "full@99 span_recall@99 hit@99 recall@99", tools.table(chunks), asked, tools.hits(*ids)
    ).values
    for name in ("full@99", "span_recall@99", "hit@99"):
        assert (found[name] == 1).all()
    for at, groups in enumerate(questions):
        coverage = Coverage(groups)
        everything = {(name, place) for name in DOCUMENTS for place in range(60)}
        demand = sum(map(coverage.weight, groups))
        assert found["recall@99"][at] == pytest.approx(coverage(everything) / demand, abs=1e-12)
