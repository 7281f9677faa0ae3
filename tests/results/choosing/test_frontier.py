"""The frontier: what no other beats in all, beyond the spread, by its definition."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mox.errors import SpecError
from mox.results import Results
from mox.results.document import document
from mox.results.frontier import BUILD_TELLS, dominates
from mox.results.worth import Worth

GOOD = [1.0, 1.0, 0.0, 1.0]
BEST = [1.0, 1.0, 1.0, 1.0]
POOR = [0.0, 1.0, 0.0, 1.0]
UP = ("qps", "recall_of_exact")


@st.composite
def worths(draw: Any) -> Worth:
    value = draw(st.integers(1, 5))
    return Worth(value, value - draw(st.integers(0, 2)), value + draw(st.integers(0, 2)))


@st.composite
def tables(draw: Any) -> list[dict[str, Worth]]:
    names = draw(st.lists(st.sampled_from(["qps", "p95_ms", "index_mb", "recall_of_exact"]),
                          min_size=1, max_size=3, unique=True))  # fmt: skip
    return draw(  # type: ignore[no-any-return]
        st.lists(st.fixed_dictionaries({name: worths() for name in names}), max_size=7)
    )


def beaten_by_definition(one: dict[str, Worth], other: dict[str, Worth]) -> bool:
    """`other` is at least as good as `one` in all, and beyond both spreads better in some."""
    surely = False
    for name, mine in one.items():
        theirs = other[name]
        if name in UP:
            if theirs.value < mine.value:
                return False
            surely = surely or theirs.low > mine.high
        else:
            if theirs.value > mine.value:
                return False
            surely = surely or theirs.high < mine.low
    return surely


@settings(derandomize=True, max_examples=400, deadline=None)
@given(tables())
def test_dominance_is_its_definition(rows: list[dict[str, Worth]]) -> None:
    found = dominates(rows, {})
    assert found.tolist() == [[beaten_by_definition(one, other) for one in rows] for other in rows]


@settings(derandomize=True, max_examples=200, deadline=None)
@given(tables())
def test_some_row_is_always_on_the_frontier(rows: list[dict[str, Worth]]) -> None:
    beaten = dominates(rows, {}).any(axis=0)
    assert not rows or not beaten.all()


@settings(derandomize=True, max_examples=200, deadline=None)
@given(tables(), st.randoms(use_true_random=False))
def test_the_order_of_trials_decides_nothing(rows: list[dict[str, Worth]], draw: Any) -> None:
    order = list(range(len(rows)))
    draw.shuffle(order)
    turned = dominates([rows[at] for at in order], {}).any(axis=0)
    assert [turned[order.index(at)] for at in range(len(rows))] == dominates(rows, {}).any(
        axis=0
    ).tolist()


def test_builds_that_take_about_as_long_are_not_told_apart() -> None:
    def row(build: float, size: float) -> dict[str, Worth]:
        return {"build_s": Worth(build, build, build), "index_mb": Worth(size, size, size)}

    assert BUILD_TELLS == 1.25
    assert not dominates([row(1.0, 2.0), row(1.2, 2.0)], {}).any()
    assert dominates([row(1.0, 2.0), row(1.3, 2.0)], {}).tolist() == [[False, True], [False] * 2]


def run(many: Any, **changes: Any) -> Results:
    found: Results = many.results(("recall@2",), **changes)
    return found


def test_quality_is_compared_on_the_same_questions(many: Any, add: Any) -> None:
    """Their marginal intervals overlap widely; question by question one loses half."""
    add("better", GOOD, size=1_000_000)
    add("worse", POOR, size=1_000_000, at=1)
    split = run(many)
    a, b = (split.summary[name]["all"]["recall@2"] for name in ("better", "worse"))
    assert (a.mean, b.mean) == (0.75, 0.5)
    found = run(many).frontier()
    assert found.by == ("recall@2", "index_mb", "build_s")
    assert found.trials == ("better",)
    assert found.dominated == {"worse": "better"}


def test_a_loss_inside_the_spread_keeps_a_trial_on_the_frontier(many: Any, add: Any) -> None:
    # One question of 120 lost: a difference of 0.0083 whose standard error is as large.
    once = GOOD * 30
    once[0] = 0.0
    add("all", GOOD, size=1_000_000)
    add("one less", once, size=1_000_000)
    assert run(many).frontier(("quality", "memory")).trials == ("all", "one less")


def test_the_frontier_is_over_what_trials_have(many: Any, add: Any, facts: Any) -> None:
    def load(p95: float, memory: float) -> Any:
        return facts(p95_ms=(p95, p95 - 1, p95 + 1), memory_mb=memory, qps=(1.0, 1.0, 1.0))

    add("good", BEST, load=load(40.0, 90.0))
    add("fast", POOR, load=load(5.0, 90.0), at=1)
    add("both worse", POOR, load=load(42.5, 95.0), at=2)
    add("as slow", POOR, load=load(5.5, 90.0), at=3)
    add("no load", BEST, at=4)
    add("invalid", BEST, load={**load(1.0, 1.0), "invalid": "clients took 60 %"}, at=5)
    found = run(many).frontier()
    assert found.by == ("recall@2", "p95_ms", "memory_mb", "build_s")
    # `as slow` is worse by half a millisecond, inside the spread, but its build takes twice as
    # long (2 s and 4 s): `fast` is as good in all and better in that.
    assert found.trials == ("good", "fast")
    assert found.dominated == {"both worse": "good", "as slow": "fast"}
    assert set(found.left_out) == {"no load", "invalid"}
    assert "INVALID: clients took 60 %" in found.left_out["invalid"]
    assert "2 of 4 trials are on the frontier" in found.said()
    assert "2 more lack one of them" in found.said()
    assert run(many).frontier(("quality", "latency")).trials == ("good", "fast", "as slow")


def test_speeds_of_two_jobs_beat_each_other_in_nothing(many: Any, add: Any, facts: Any) -> None:
    """Alike but for a speed of 100 and of 110, each within 2: as far beyond the spread as within
    a job; the third was measured beside the first."""
    for name, qps, job in (("a", 100.0, "monday"), ("b", 110.0, "friday"), ("c", 90.0, "monday")):
        add(name, BEST, load=facts(qps=(qps, qps - 2, qps + 2), job=job))
    by_qps = {"maximise": "qps", "within": None, "prefer": None, "subject_to": []}
    results = run(many, choose=by_qps)
    found = results.frontier(("qps", "quality"))
    assert found.trials == ("b", "a")
    assert found.dominated == {"c": "a"}
    assert "Speeds are of 2 jobs: no two of different ones are told apart." in found.said()
    assert "jobs" not in results.frontier(("memory", "quality")).said()
    assert results.choice.trial == "b"
    assert "qps 110 [108, 112], the most of 3 trials as measured." in results.choice.reason
    assert "did not take turns" in results.choice.reason


def test_it_stands_in_the_document_the_board_and_on_every_page(many: Any, add: Any) -> None:
    add("best", BEST, size=3_000_000)
    add("small", POOR, size=1_000_000, at=1)
    add("neither", POOR, size=3_000_000, at=2)
    found = run(many)
    doc = document(found)
    assert doc["frontier"] == ["best", "small"]
    assert doc["frontier_by"] == ["recall@2", "index_mb", "build_s"]
    board = found.leaderboard()
    assert board["frontier"].to_dict() == {"best": True, "small": True, "neither": False}
    said = found.frontier().said()
    assert said in repr(found)
    assert said in found._repr_html_()
    frame = found.frontier().df
    assert list(frame.index) == ["best", "small"]
    assert frame.loc["small", "index_mb"] == 1.0
    assert "small" in found.frontier()._repr_html_()


def test_an_unknown_figure_is_refused_with_the_nearest(many: Any, add: Any) -> None:
    add("a", BEST)
    found = run(many)
    with pytest.raises(SpecError, match="no figure is called 'latancy', did you mean 'latency'"):
        found.frontier(("quality", "latancy"))
    with pytest.raises(SpecError, match="no trial has p95_ms, so there is no frontier by latency"):
        found.frontier(("latency",))
    with pytest.raises(SpecError, match=re.escape("add a `load` axis")):
        found.frontier(("qps",))


def test_documents_that_agree_tell_no_more_than_their_questions(few: Any, add_to: Any) -> None:
    """Four documents of ten questions. `a` is ahead by a half on one question of each: the sums
    of the documents agree, but of 40 questions four differ, and 2/2^4 is p = 0.125."""
    add_to(few, "a", [1.0] * 4 + [0.5] * 36)
    add_to(few, "b", [0.5])
    assert few.results(("recall@2",)).frontier(("quality", "memory")).dominated == {}


@pytest.mark.parametrize(
    ("ahead", "by", "dominated"),
    [(9, 0.5, {}), (10, 0.5, {"b": "a"}), (60, 0.05, {}), (80, 0.05, {"b": "a"})],
)
def test_a_few_gains_or_small_ones_tell_nothing_of_a_loss_that_was_not_seen(
    many: Any, add: Any, ahead: int, by: float, dominated: dict[str, str]
) -> None:
    """By the spread of what was seen all four are sure. With one question more, lost wholly (both
    have a 1, so that much can be lost), the sum of the differences is 3.5, 4, 2 and 3, and 1.98
    standard errors of it are 3.53, 3.65, 2.10 and 2.11: in the second case
    1.98 · sqrt((10 · 0.25 + 1 − 4²/121) · 121/120)."""
    add("a", [0.5 + by] * ahead + [0.5] * (119 - ahead) + [1.0])
    add("b", [0.5] * 119 + [1.0])
    assert run(many).frontier(("quality", "memory")).dominated == dominated


def test_a_single_group_tells_no_qualities_apart(lone: Results) -> None:
    assert lone.frontier(("quality",)).trials == ("only",)
    assert np.isfinite(lone.frontier().figures["only"]["recall@2"].low)
