"""Choosing: within a margin of the best, the preferred one, and never on the test side."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mox.results import Choice
from mox.results.verdict import sureness, verdict

RULE = {
    "maximise": "recall@2",
    "within": 0.1,
    "prefer": {"minimise": "index_mb", "maximise": None},
}
ALIKE = [1.0, 1.0, 0.0, 1.0]
"""A pattern of scores over questions: dev has 1, 0 and test 1, 1 in turn."""


def choice(made: Any, trials: dict[str, tuple[list[float], int | None]], **rule: Any) -> Choice:
    """The choice among trials of these scores (a repeating pattern) and index sizes in bytes."""
    for at, (name, (pattern, size)) in enumerate(trials.items()):
        values = [pattern[row % len(pattern)] for row in range(len(made.questions))]
        made.trial(
            name,
            {"kind": "recursive", "size": 16 + at},  # another chunking: never the same hits
            ("recall@2",),
            values={"recall@2": values},
            index_bytes=size,
        )
    found = made.results(("recall@2",), choose={**RULE, **rule}).choice
    assert found is not None
    return found


def flipped(pattern: list[float], every: int, length: int = 120) -> list[float]:
    """The pattern with every so many-th dev question turned over."""
    values = [pattern[row % len(pattern)] for row in range(length)]
    for row in range(0, length, 2 * every):
        values[row] = 1 - values[row]
    return values


def test_of_those_within_the_margin_the_cheapest_is_taken(many: Any) -> None:
    # All differences are 0 over 60 dev groups, of two other chunkings: the bound is
    # 1 − (1 − 0.95^(1/2))^(1/60) = 0.0594 < 0.1; 2,000 draws know it to some 3 %.
    found = choice(many, {"best": (ALIKE, 900), "cheap": (ALIKE, 100), "mid": (ALIKE, 500)})
    assert found.trial == "cheap"
    assert found.best == "best", "the first of equals"
    assert set(found.candidates) == {"best", "cheap", "mid"}
    assert found.may_lose == pytest.approx(0.0594, rel=0.05)
    assert f"at most {found.may_lose:.3f} worse than the best" in found.reason


def test_a_margin_that_so_many_groups_cannot_show_leaves_the_best(many: Any) -> None:
    found = choice(many, {"best": (ALIKE, 900), "cheap": (ALIKE, 100)}, within=0.04)
    assert found.trial == "best"
    assert found.candidates == ("best",)
    assert "No other can be shown to be within 0.04 of it by 60 dev questions" in found.reason


def test_a_trial_that_is_worse_by_more_is_not_taken_however_cheap(many: Any) -> None:
    worse = [1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0]  # on dev 1, 0, 0, 0 where best has 1, 0, 1, 0
    found = choice(many, {"best": (ALIKE, 900), "cheap": (worse, 1)})
    assert found.trial == "best"
    assert "cheap" not in found.candidates


def test_without_a_margin_the_best_is_taken_and_the_rest_is_not_called_equal(many: Any) -> None:
    close = flipped(ALIKE, 20)
    found = choice(many, {"cheap": (close, 1), "best": (ALIKE, 900)}, within=None)
    means = {"best": sum(ALIKE[::2]) / 2}
    assert found.trial == ("best" if means["best"] >= sum(close[::2]) / 60 else "cheap")
    assert set(found.indistinguishable) == {"best", "cheap"}


def test_the_same_hits_qualify_whatever_the_margin(many: Any) -> None:
    values = {"recall@2": [ALIKE[row % 4] for row in range(120)]}
    for name, size in (("best", 900), ("same", 100)):
        hits = _hits_of(many)
        many.trial(
            name, {"kind": "recursive", "size": 16}, ("recall@2",), hits=hits, values=values,
            index_bytes=size,
        )  # fmt: skip
    first, second = many.trials
    many.trials[1] = type(second)(
        second.id, second.config, {**second.roles, "chunk": first.roles["chunk"]}, "FINISHED"
    )
    found = many.results(("recall@2",), choose={**RULE, "within": 0.001}).choice
    assert found is not None
    assert found.trial == "same"
    assert found.same_hits == ("same",)
    assert found.may_lose == 0
    assert "with the same hits as the best on every question" in found.reason


def _hits_of(made: Any) -> Any:
    import numpy as np

    from mox.retrieval.hits import ranked

    def hits(table: Any) -> Any:
        ids = np.tile(np.arange(4), (len(made.questions), 1))
        return ranked(ids, np.tile(np.linspace(0.9, 0.1, 4), (len(ids), 1)), k=4)

    return hits


def test_the_test_side_plays_no_part_in_choosing(many: Any) -> None:
    dev_good = [1.0, 0.0]  # dev 1, test 0
    test_good = [0.0, 1.0]
    found = choice(many, {"test": (test_good, 1), "dev": (dev_good, 900)})
    assert found.trial == "dev"
    assert found.dev is not None
    assert found.test is not None
    assert found.dev["recall@2"].mean == 1
    assert found.test["recall@2"].mean == 0
    assert found.vs_baseline is not None
    assert found.vs_baseline["on"] == "test"
    assert found.vs_baseline["mean"] == -1, "the baseline is the first trial"


def test_ties_of_cost_go_to_the_better_then_to_the_order_written(many: Any) -> None:
    found = choice(many, {"a": (ALIKE, 500), "b": (ALIKE, 100), "c": (ALIKE, 100)})
    assert found.trial == "b"


def test_a_trial_of_unknown_size_is_taken_last(many: Any) -> None:
    found = choice(many, {"a": (ALIKE, None), "b": (ALIKE, 100)})
    assert found.trial == "b"


def test_hits_that_end_before_the_budget_refuse_the_choice(many: Any) -> None:
    many.trial("short", {"kind": "recursive", "size": 16}, ("recall@2",), short={"recall@2": 0.06})
    found = many.results(("recall@2",), choose=RULE).choice
    assert found is not None
    assert found.trial is None
    assert "raise k" in (found.refused or "")
    many.trials.clear()
    many.trial("fine", {"kind": "recursive", "size": 17}, ("recall@2",), short={"recall@2": 0.05})
    assert many.results(("recall@2",), choose=RULE).choice.trial == "fine"


def test_nothing_is_chosen_where_nothing_was_asked_for(many: Any) -> None:
    many.trial("one", {"kind": "recursive", "size": 16}, ("recall@2",))
    assert many.results(("recall@2",)).choice is None


def test_holm_s_correction_is_for_all_trials_that_are_tested(many: Any) -> None:
    # 60 dev groups. "worse" loses all 30 that the baseline wins: p = 1/10,001 whichever signs
    # are drawn; "equal" has no difference: p = 1. Corrected: twice the smaller, then 1.
    none = [0.0, 1.0, 0.0, 1.0]  # on dev always 0
    found = choice(many, {"base": (ALIKE, 1), "worse": (none, 1), "equal": (ALIKE, 1)})
    assert found.trial == "base"
    by_name = {one.trial: one for one in many.results(("recall@2",), choose=RULE).versus}
    assert set(by_name) == {"worse", "equal"}, "the baseline is not compared with itself"
    assert by_name["worse"].p == 1 / 10_001
    assert by_name["worse"].p_holm == 2 / 10_001
    assert by_name["worse"].mean == -0.5
    assert by_name["equal"].p_holm == 1


def test_600_trials_that_win_everywhere_are_all_told_from_the_baseline(many: Any) -> None:
    """p is 2/2^60 for each, and 600 times that is next to nothing still."""
    wins = [1.0] * 4
    many.trial("base", {"kind": "recursive", "size": 16}, ("recall@2",),
               values={"recall@2": [0.0] * 120})  # fmt: skip
    many.trial("better", {"kind": "recursive", "size": 17}, ("recall@2",),
               values={"recall@2": wins * 30})  # fmt: skip
    better = many.trials.pop()
    many.trials += [replace(better, id=f"better{at}") for at in range(600)]
    found = many.results(("recall@2",), choose=RULE).versus
    assert len(found) == 600
    assert max(one.p_holm for one in found) <= 0.05


def test_so_few_questions_that_none_can_be_told_apart_are_said_to_be(graded: Any) -> None:
    # Three questions without a dev side; of 2^3 signs two are as far: p is 2/8 at least.
    rule = {"maximise": None, "minimise": "index_mb", "within": None, "prefer": None}
    said = " ".join(sureness(type(graded)(replace(graded.run, choose=rule), graded.store)))
    assert "Of 1 other trial on all questions, 0 are better" in said
    assert "None could be: the least p of 3 questions is 0.25." in said


def test_a_single_dev_question_is_said_to_tell_nothing(lone: Any) -> None:
    first = lone.run.trials[0]
    run = replace(lone.run, trials=(first, replace(first, id="other")),
                  choose={**RULE, "within": None, "prefer": None})  # fmt: skip
    said = " ".join([*sureness(type(lone)(run, lone.store)), *verdict(type(lone)(run, lone.store))])
    assert "nan" not in said
    assert "(of one question, without an interval)" in said
    assert "One dev question tells no two trials apart." in said
    assert "None could be: the least p of 1 question is 1." in said


def test_the_best_s_optimism_stands_beside_the_confirmed_value(many: Any) -> None:
    lucky = {f"t{at}": (flipped(ALIKE, 3 + at), 100 + at) for at in range(6)}
    found = choice(many, lucky, within=None)
    assert found.best_dev is not None
    assert found.best_test is not None
    assert found.best_test.mean == 1, "all have 1, 1 on test"
    assert found.optimism is not None
    assert 0 < found.optimism < 0.1
    said = " ".join(sureness(many.results(("recall@2",), choose={**RULE, "within": None})))
    assert f"{found.best_dev} (n = 60) and on test 1.000" in said
    assert f"adds some {found.optimism:.3f} to the former" in said


def test_the_report_says_what_these_questions_can_show(many: Any) -> None:
    # 3 of 60 groups differ, all losses: mean -0.05, standard deviation sqrt(60/59 · 0.0475) =
    # 0.2198 between groups, standard error 0.02837; times 2.8016 is 0.0795. To separate:
    # (2.8016 · 0.2198/0.05)² = 151.7.
    close = [*ALIKE] * 30
    for row in (0, 4, 8):
        close[row] = 0.0
    found = choice(many, {"best": (ALIKE, 900), "close": (close, 100)})
    assert found.smallest_difference == pytest.approx(0.0795, abs=1e-4)
    assert found.separating == 152
    said = " ".join(sureness(many.results(("recall@2",), choose=RULE)))
    assert "60 dev questions in 60 groups find a difference of 0.079" in said
    assert "some 152 would separate the first two" in said


def test_kin_share_what_befalls_them_unseen(many: Any) -> None:
    # Two siblings of the best's own chunks and vectors beside one: the same bound; of two other
    # chunkings: a lower one.
    apart = choice(many, {"best": (ALIKE, 900), "a": (ALIKE, 1), "b": (ALIKE, 2)})
    _, second, third = many.trials
    roles = {**third.roles, **{role: second.roles[role] for role in ("chunk", "lexical")}}
    many.trials[2] = type(third)(third.id, third.config, roles, "FINISHED")
    found = many.results(("recall@2",), choose=RULE).choice
    assert found is not None
    assert found.may_lose == pytest.approx(1 - 0.05 ** (1 / 60), rel=0.05)
    assert apart.may_lose == pytest.approx(0.0594, rel=0.05)


@pytest.mark.parametrize("store", ["uneven", "many"])
def test_a_small_p_beside_an_interval_with_0_in_it_is_explained(
    store: str, request: pytest.FixtureRequest
) -> None:
    """Better in one group of 12 test questions and 10 of one, equal elsewhere: p = 2/2^11 = 0.001;
    but a group like the three large ones that wasn't seen could outweigh that. Better in 22 groups
    of one question there is no such group."""
    made = request.getfixturevalue(store)
    for at in range(2):
        # Even rows are dev, where the second is better throughout; of test it is in 22 of 60.
        test = [row // 2 < 12 or 36 <= row // 2 < 46 for row in range(120)]
        values = [float(at > 0 and (not row % 2 or test[row])) for row in range(120)]
        kind = {"kind": "recursive", "size": 16 + at}
        made.trial(f"t{at}", kind, ("recall@2",), values={"recall@2": values})
    results = made.results(("recall@2",), choose={**RULE, "within": None, "prefer": None})
    found = results.choice.vs_baseline
    assert found["mean"] == pytest.approx(22 / 60)
    assert found["p"] <= 0.002
    assert (found["low"] <= 0) == (store == "uneven")
    said = " ".join(verdict(results))
    assert ("swapped by chance, group by group" in said) == (store == "uneven")
    assert ("what so few don't show" in said) == (store == "uneven")


def test_a_small_p_of_few_documents_is_said_to_be_by_question(few: Any) -> None:
    """Better in 8 of 10 test questions of one document, equal in all of the other: by question
    p = 2/2^8 = 0.0078; of two documents the least p is 2/2^2."""
    for at in range(2):
        # Even rows are dev, where the second is better throughout.
        test = [row % 4 == 1 and row < 32 for row in range(40)]
        values = [float(at > 0 and (not row % 2 or test[row])) for row in range(40)]
        kind = {"kind": "recursive", "size": 16 + at}
        few.trial(f"t{at}", kind, ("recall@2",), values={"recall@2": values})
    results = few.results(("recall@2",), choose={**RULE, "within": None, "prefer": None})
    said = " ".join(sureness(results))
    assert results.choice.vs_baseline["p"] == pytest.approx(2**-7, abs=0.003)
    assert "question by question, as if a document's were independent" in said
    assert "The interval draws documents" in said
    assert "intervals, bounds and tests hold for these documents only" in said


def test_under_20_groups_the_report_says_for_these_documents_only(few: Any) -> None:
    few.trial("one", {"kind": "recursive", "size": 16}, ("recall@2",))
    found = few.results(("recall@2",), choose={**RULE, "within": None})
    assert found.choice is not None
    assert "for these documents only" in found.choice.scope
    assert any("for these documents only" in line for line in verdict(found))


def test_a_side_of_few_groups_is_enough_to_say_so(halved: Any) -> None:
    halved.trial("one", {"kind": "recursive", "size": 16}, ("recall@2",))
    found = halved.results(("recall@2",), choose={**RULE, "within": None}).choice
    assert found is not None
    assert found.scope.startswith("The questions are of 15 groups")


def test_with_many_groups_it_does_not(many: Any) -> None:
    assert choice(many, {"one": (ALIKE, 1)}).scope == ""
