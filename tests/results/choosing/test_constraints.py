"""Constraints of a choice: kept surely or not at all, and what is said where nothing keeps them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mox.results import Choice, Results
from mox.results.document import document
from mox.results.leaderboard import marks
from mox.results.verdict import sureness, verdict

GOOD = [1.0, 1.0, 0.0, 1.0]
"""dev (every other question, from the first) has 1, 0 in turn: a mean of 0.5; test has 1."""
POOR = [0.0, 1.0, 0.0, 1.0]


def results(many: Any, *constraints: str, **rule: Any) -> Results:
    asked = {"maximise": "recall@2", "within": None, "prefer": None, **rule}
    found: Results = many.results(("recall@2",), choose={**asked, "subject_to": list(constraints)})
    return found


def choice(many: Any, *constraints: str, **rule: Any) -> Choice:
    found = results(many, *constraints, **rule).choice
    assert found is not None
    return found


def test_a_trial_that_breaks_a_bound_is_out_however_good(many: Any, add: Any) -> None:
    add("big", GOOD, size=3_000_000)
    add("small", POOR, size=1_000_000, at=1)
    assert choice(many).trial == "big"
    found = choice(many, "index_mb <= 2")
    assert found.trial == "small"
    assert found.best == "small"
    assert found.candidates == ("small",)
    assert "the best of those that keep the constraints" in found.reason
    said = verdict(results(many, "index_mb <= 2"))
    assert said[1] == "1 of 2 trials keep the constraints: 1 out by index_mb <= 2."


def test_being_the_best_of_so_many_counts_those_that_keep_the_constraints(
    many: Any, add: Any
) -> None:
    add("big", GOOD, size=3_000_000)
    add("small", GOOD, size=1_000_000, at=1)
    add("poor", POOR, size=1_000_000, at=2)
    assert "On dev, where 3 trials were compared" in " ".join(sureness(results(many)))
    kept = results(many, "index_mb <= 2")
    assert "On dev, where 2 trials were compared" in " ".join(sureness(kept))


def test_a_bound_itself_is_kept_by_one_comparison_and_not_by_the_other(many: Any, add: Any) -> None:
    add("two", GOOD, size=2_000_000)
    add("one", POOR, size=1_000_000, at=1)
    assert choice(many, "index_mb <= 2").trial == "two"
    assert choice(many, "index_mb < 2").trial == "one"


@pytest.mark.parametrize(
    ("high", "taken"), [(19.9, "slow"), (20.0, "slow"), (20.1, "fast"), (25.0, "fast")]
)
def test_a_latency_must_keep_its_bound_with_the_far_end_of_its_spread(
    many: Any, add: Any, facts: Any, high: float, taken: str
) -> None:
    add("slow", GOOD, load=facts(p95_ms=(18.0, 17.0, high)))
    add("fast", POOR, load=facts(p95_ms=(5.0, 4.0, 6.0)), at=1)
    found = results(many, "p95_ms <= 20")
    assert found.choice is not None
    assert found.choice.trial == taken
    straddling = [] if taken == "slow" else ["slow"]
    assert found.sifted.document()[0]["straddling"] == straddling
    assert ("(1 only by their spread)" in verdict(found)[1]) == bool(straddling)


def test_a_throughput_must_keep_its_bound_with_its_least_round(
    many: Any, add: Any, facts: Any
) -> None:
    add("a", GOOD, load=facts(qps=(110.0, 99.0, 120.0)))
    add("b", POOR, load=facts(qps=(105.0, 101.0, 107.0)), at=1)
    assert choice(many, "qps >= 100").trial == "b"


def test_what_is_lost_against_exact_search_must_surely_be_little(many: Any, add: Any) -> None:
    add("exact", POOR)
    add("all", GOOD, agreement=1.0)
    bound = "recall_of_exact@6 >= 0.95"
    held = results(many, bound).sifted.held[bound]
    assert held["exact"].sure == 1.0
    # Of 120 questions none lost anything: Clopper and Pearson's bound.
    assert held["all"].sure == pytest.approx(0.05 ** (1 / 120), abs=0.003)
    tighter = results(many, "recall_of_exact@6 >= 0.98")
    assert tighter.sifted.kept == ("exact",), "120 questions can't show 0.98"
    assert tighter.sifted.straddling(tighter.sifted.constraints[0]) == ["all"]
    add("less", GOOD, agreement=[0.5] + [1.0] * 5)  # 0.917: half is lost of every sixth
    found = results(many, bound)
    assert found.sifted.kept == ("exact", "all")
    less = found.sifted.held[bound]["less"]
    assert less.figure is not None
    assert less.figure.value == pytest.approx(1 - 0.5 / 6)
    assert not less.straddles(found.sifted.constraints[0])


def test_a_bare_name_is_meant_at_whatever_depth_a_trial_asks(many: Any, add: Any) -> None:
    add("a", GOOD, agreement=1.0)
    assert results(many, "recall_of_exact >= 0.9").sifted.kept == ("a",)
    assert results(many, "recall_of_exact@10 >= 0.9").sifted.kept == ()


def test_trials_that_fall_out_by_what_they_cost_leave_the_family(many: Any, add: Any) -> None:
    """The margin is shown over those that remain; one that its agreement keeps out stays."""
    for at in range(6):
        add(f"t{at}", GOOD, size=(6 - at) * 1_000_000, at=at, agreement=1.0)
    every = choice(many, within=0.3).may_lose
    prefer = {"minimise": "index_mb", "maximise": None}
    wide = results(many, "index_mb <= 3", within=0.3, prefer=prefer)
    assert wide.sifted.family == wide.sifted.kept == ("t3", "t4", "t5")
    assert wide.choice is not None
    assert wide.choice.trial == "t5"
    few = wide.choice.may_lose
    alone = results(many, within=0.3, prefer=prefer)
    assert alone.choice is not None
    assert every == 0
    assert few is not None
    assert alone.choice.may_lose is not None
    # All differences are 0 over 60 dev groups: 1 − (1 − 0.95^(1/F))^(1/60), F other chunkings.
    assert few == pytest.approx(1 - (1 - 0.95 ** (1 / 2)) ** (1 / 60), rel=0.05)
    assert alone.choice.may_lose == pytest.approx(1 - (1 - 0.95 ** (1 / 5)) ** (1 / 60), rel=0.05)


def test_trials_that_fall_out_by_their_agreement_stay_in_the_family(many: Any, add: Any) -> None:
    add("t0", GOOD, size=3_000_000, agreement=1.0)
    add("t1", GOOD, size=1_000_000, at=1, agreement=1.0)
    for at in range(2, 6):
        add(f"t{at}", GOOD, at=at, agreement=0.5)
    prefer = {"minimise": "index_mb", "maximise": None}
    found = results(many, "recall_of_exact >= 0.9", within=0.3, prefer=prefer)
    assert found.sifted.kept == ("t0", "t1")
    assert len(found.sifted.family) == 6
    assert found.choice is not None
    assert found.choice.trial == "t1"
    assert found.choice.candidates == ("t0", "t1")
    assert found.choice.may_lose == pytest.approx(1 - (1 - 0.95 ** (1 / 5)) ** (1 / 60), rel=0.05)


def test_nothing_left_names_for_each_bound_the_nearest_trial_and_how_far_it_is(
    many: Any, add: Any, facts: Any
) -> None:
    add("fast", GOOD, agreement=0.8, load=facts(p95_ms=(8.0, 7.0, 9.0)))
    add("slow", GOOD, agreement=1.0, load=facts(p95_ms=(30.0, 28.0, 32.0)), index={"ef": 64})
    add("slower", GOOD, agreement=1.0, load=facts(p95_ms=(50.0, 45.0, 55.0)))
    found = results(many, "recall_of_exact@6 >= 0.95", "p95_ms <= 20")
    assert found.choice is not None
    assert found.choice.trial is None
    said = found.choice.refused
    assert said is not None
    assert said.startswith("no trial surely keeps `recall_of_exact@6 >= 0.95` and `p95_ms <= 20`.")
    # Of those fast enough there is one: it lacks 0.95 less what it surely has.
    near = found.sifted.nearest(found.sifted.constraints[0])
    assert near is not None
    assert near[0] == "fast"
    assert near[1] == pytest.approx(0.95 - found.agreements["fast"].lower)
    # Of those exact enough the nearer is 32 at most, 12 over.
    assert found.sifted.nearest(found.sifted.constraints[1]) == ("slow", pytest.approx(12.0))
    assert (
        "`p95_ms <= 20`: 1 of 3 keep it alone; the nearest of those that keep the rest is" in said
    )
    assert "(slow) with 30 [28, 32], 12 over it" in said
    assert verdict(found) == [f"Nothing is chosen: {said}"]
    doc = document(found)
    assert doc["chosen"] is None
    assert doc["subject_to"][1]["nearest"] == {"trial": "slow", "beyond": pytest.approx(12.0)}
    json.dumps(doc, allow_nan=False)


def test_a_figure_that_no_trial_has_says_why(many: Any, add: Any, facts: Any) -> None:
    add("a", GOOD, load=facts(p95_ms=(8.0, 7.0, 9.0), invalid="clients took 60 % of the 2 cores"))
    add("b", GOOD, at=1)
    said = choice(many, "p95_ms <= 20").refused
    assert said is not None
    assert "INVALID: clients took 60 % of the 2 cores" in said
    assert "it has no load test" in said


def test_an_invalid_load_test_keeps_no_bound(many: Any, add: Any, facts: Any) -> None:
    add("a", GOOD, load=facts(p95_ms=(8.0, 7.0, 9.0), invalid="clients took 60 %"))
    add("b", POOR, load=facts(p95_ms=(9.0, 8.0, 10.0)), at=1)
    assert choice(many, "p95_ms <= 20").trial == "b"


def test_a_cost_is_the_goal_as_a_point_estimate_with_its_spread(
    many: Any, add: Any, facts: Any
) -> None:
    add("a", GOOD, load=facts(qps=(100.0, 95.0, 105.0)))
    add("b", POOR, load=facts(qps=(200.0, 190.0, 210.0)), at=1)
    found = results(many, maximise="qps")
    assert found.choice is not None
    assert found.choice.trial == "b"
    assert found.choice.goal == "qps"
    assert found.choice.goal_is == "200 [190, 210]"
    assert "qps 200 [190, 210], the most of 2 trials, beyond the spread of all others" in (
        found.choice.reason
    )
    assert "A point estimate: the median of 5 rounds" in found.choice.reason
    assert found.choice.may_lose is None
    assert marks(found, found.trial("b")) == "chosen, best by qps"
    chosen = document(found)["chosen"]
    assert (chosen["goal"], chosen["measure"]) == ("qps", "recall@2")
    assert not [line for line in sureness(found) if "being the best" in line]


def test_a_difference_inside_the_spread_is_a_tie_and_the_best_as_measured_is_taken(
    many: Any, add: Any, facts: Any
) -> None:
    add("far", GOOD, load=facts(qps=(50.0, 45.0, 55.0)))
    add("first", GOOD, load=facts(qps=(100.0, 90.0, 106.0)), at=1, size=900_000)
    add("second", GOOD, load=facts(qps=(110.0, 105.0, 120.0)), at=2, size=100_000)
    found = choice(many, maximise="qps")
    assert found.trial == found.best == "second"
    assert found.candidates == found.indistinguishable == ("first", "second")
    assert "so the best as measured is taken" in found.reason
    prefer = {"minimise": "build_s", "maximise": None}  # 2 and 3 seconds
    assert choice(many, maximise="qps", prefer=prefer).trial == "first"


@pytest.mark.parametrize(
    "prefer",
    [
        None,
        {"minimise": "index_mb", "maximise": None},  # equal
        {"minimise": "memory_mb", "maximise": None},  # known of neither
    ],
)
def test_the_noisiest_trial_is_not_taken_for_being_written_first(
    many: Any, add: Any, facts: Any, prefer: Any
) -> None:
    add("noisy", GOOD, load=facts(qps=(50.0, 10.0, 96.0)))
    add("fast", GOOD, load=facts(qps=(100.0, 95.0, 105.0)), at=1)
    found = choice(many, maximise="qps", prefer=prefer)
    assert found.trial == "fast"
    assert found.candidates == ("noisy", "fast")
    assert "so the best as measured is taken" in found.reason
    undecided = f"since {prefer['minimise']} doesn't decide it" if prefer else "taken."
    assert undecided in found.reason


def test_of_equal_figures_the_first_written_is_taken(many: Any, add: Any) -> None:
    add("first", GOOD)
    add("second", GOOD, at=1)
    found = choice(many, minimise="index_mb", maximise=None)
    assert found.trial == "first"
    assert "so the first written is taken" in found.reason


def test_of_single_rounds_the_spread_is_said_to_be_unknown(many: Any, add: Any, facts: Any) -> None:
    add("a", GOOD, load=facts(qps=(100.0, 100.0, 100.0), rounds=1))
    assert "A point estimate of a single round" in choice(many, maximise="qps").reason


def test_a_latency_preferred_is_a_tie_inside_its_spread(many: Any, add: Any, facts: Any) -> None:
    """Ties of the preferred cost go to the better mean, then to the order written."""
    prefer = {"minimise": "p95_ms", "maximise": None}
    add("a", GOOD, load=facts(p95_ms=(10.0, 9.0, 11.0)))
    add("b", GOOD, load=facts(p95_ms=(9.0, 8.0, 10.5)), at=1)
    add("c", GOOD, load=facts(p95_ms=(5.0, 4.0, 5.5)), at=2)
    assert choice(many, within=0.2, prefer=prefer).trial == "c"
    assert choice(many, "index_mb < 1", "p95_ms <= 8").refused is not None
    many.trials.pop()
    assert choice(many, within=0.2, prefer=prefer).trial == "a"


def test_a_best_whose_own_load_is_invalid_is_not_said_to_be_the_fastest(
    many: Any, add: Any, facts: Any
) -> None:
    add("best", GOOD, load=facts(p95_ms=(10.0, 9.0, 11.0), invalid="the client took 40 %"))
    add("worse", POOR, load=facts(p95_ms=(5.0, 4.0, 6.0)), at=1)
    found = choice(many, within=0.1, prefer={"minimise": "p95_ms", "maximise": None})
    assert found.trial == "best"
    assert "no trial has a better" not in found.reason
    assert "its load test is INVALID: the client took 40 %" in found.reason
    assert "so that none is known to be cheaper" in found.reason


def test_quality_may_be_a_bound_where_a_cost_is_the_goal(many: Any, add: Any) -> None:
    """By the lower bound of all trials at once, on dev: 0.5 of 60 doesn't surely reach 0.45."""
    add("small", POOR, size=1_000_000)
    add("big", GOOD, size=3_000_000, at=1)
    rule = {"maximise": None, "minimise": "index_mb"}
    assert choice(many, **rule).trial == "small"
    assert choice(many, "recall@2 >= 0.3", **rule).trial == "big"
    found = results(many, "recall@2 >= 0.45", **rule)
    assert found.choice is not None
    assert found.choice.trial is None
    assert found.sifted.straddling(found.sifted.constraints[0]) == ["big"]


def test_constraints_look_at_dev_and_never_at_test(many: Any, add: Any) -> None:
    add("a", [0.0, 1.0])  # dev 0, test 1
    rule = {"maximise": None, "minimise": "index_mb"}
    assert choice(many, "recall@2 >= 0.5", **rule).trial is None


def test_trials_say_what_keeps_them_out(many: Any, add: Any) -> None:
    add("big", GOOD, size=3_000_000)
    add("small", POOR, size=1_000_000, at=1)
    found = results(many, "index_mb <= 2")
    assert marks(found, found.trial("big")) == "baseline, out by index_mb"
    assert "out by index_mb" in repr(found)
    assert "out by index_mb" in found._repr_html_()


@pytest.mark.parametrize("job", ["another", None])  # None: of before jobs had names
def test_a_choice_by_speeds_of_several_jobs_says_so(
    many: Any, add: Any, facts: Any, job: str | None
) -> None:
    kept = {"qps": (9.0, 9.0, 9.0), "p99_ms": (9.0, 9.0, 9.0)}
    add("a", GOOD, load=facts(p95_ms=(9.0, 8.0, 10.0), **kept))
    add("b", GOOD, load=facts(p95_ms=(5.0, 4.0, 6.0)), at=1)
    prefer = {"minimise": "p95_ms", "maximise": None}
    size = {"minimise": "index_mb", "maximise": None}
    assert "jobs" not in choice(many, within=0.1, prefer=prefer).reason
    add("c", GOOD, load=facts(p95_ms=(2.0, 1.0, 3.0), job=job), at=2)
    found = choice(many, within=0.1, prefer=prefer)
    assert found.trial == "c"
    assert "p95_ms is of 2 jobs whose rounds did not take turns" in found.reason
    assert "jobs" not in choice(many, within=0.1, prefer=size).reason
    bounded = choice(many, "qps > 5", "p99_ms < 20", within=0.1, prefer=size).reason
    assert "qps, p99_ms are of 2 jobs whose rounds did not take turns" in bounded
