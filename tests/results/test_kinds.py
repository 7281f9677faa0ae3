"""A trial by kind of question, beside the baseline."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mox.errors import SpecError
from mox.results import Results

RULE = {"maximise": "recall@2", "within": None, "prefer": None}


@pytest.fixture
def kinds(many: Any) -> Results:
    """120 questions, dev and test in turn. The first 80 are look-ups, 30 how-tos, the rest has
    no kind. The baseline scores 0 everywhere; the other trial 1 on look-ups, else 0.5."""
    named = [
        replace(question, kind="look-up" if at < 80 else "how-to" if at < 110 else "")
        for at, question in enumerate(many.questions)
    ]
    made = type(many)(many.store.root.parent / "kinds", many.documents, named)
    good = [1.0] * 80 + [0.5] * 40
    for name, values in (("base", [0.0] * 120), ("good", good)):
        made.trial(name, {"kind": "recursive", "size": 16}, ["recall@2"],
                   values={"recall@2": values})  # fmt: skip
    return made.results(["recall@2"], choose=RULE, baseline="base")


def test_each_kind_has_its_own_mean_and_difference(kinds: Results) -> None:
    rows = {row.kind: row for row in kinds.by_kind().rows}
    assert [(kind, row.mean.n, row.mean.mean) for kind, row in rows.items()] == [
        ("look-up", 40, 1.0), ("how-to", 15, 0.5), ("(no kind)", 5, 0.5)
    ]  # fmt: skip
    assert [row.difference.interval.mean for row in rows.values() if row.difference] == [
        1.0, 0.5, 0.5
    ]  # fmt: skip
    assert [row.baseline.mean for row in rows.values() if row.baseline] == [0, 0, 0]


def test_a_choice_made_on_dev_is_broken_down_on_test(kinds: Results) -> None:
    view = kinds.by_kind()
    assert (view.trial, view.split) == ("good", "test")
    assert sum(row.mean.n for row in view.rows) == 60


def test_kinds_of_few_questions_carry_a_warning(kinds: Results) -> None:
    view = kinds.by_kind()
    assert [row.few for row in view.rows] == [False, True, True]
    assert view.warning == (
        "Fewer than 20 questions or groups of how-to, (no kind): take those as a hint only."
    )
    assert view.warning in repr(view)
    assert view.warning in view._repr_html_()


def test_a_kind_of_one_question_has_a_difference_without_an_interval(many: Any) -> None:
    asked = [
        replace(question, kind="rare" if at == 1 else "look-up")
        for at, question in enumerate(many.questions)
    ]
    made = type(many)(many.store.root.parent / "rare", many.documents, asked)
    for name, score in (("base", 0.0), ("good", 1.0)):
        made.trial(name, {"kind": "recursive", "size": 16}, ["recall@2"],
                   values={"recall@2": [score] * 120})  # fmt: skip
    results = made.results(["recall@2"], choose=RULE, baseline="base")
    view, two = results.by_kind(), results.diff("good", "base")
    alone = "rare     1.000 (of one question, without an interval)  n = 1  against the baseline"
    assert f"{alone} +1.000  (few)\n" in repr(view)
    assert "    rare: +1.000, p = 1, n = 1: a better on 1" in repr(two)
    assert not any("nan" in said for said in (repr(view), view._repr_html_(), repr(two)))


def test_the_baseline_is_not_compared_with_itself(kinds: Results) -> None:
    assert [row.difference for row in kinds.by_kind(trial="base").rows] == [None] * 3


def test_the_table_and_the_json_hold_the_same(kinds: Results, tmp_path: Path) -> None:
    view = kinds.by_kind()
    assert list(view.df.index) == ["look-up", "how-to", "(no kind)"]
    assert list(view.df["difference"]) == [1.0, 0.5, 0.5]
    held = view.document()
    assert held["on"] == "test"
    assert [row["mean"] for row in held["kinds"]] == [1.0, 0.5, 0.5]
    assert view._repr_html_() in view.save(tmp_path / "k.html").read_text(encoding="utf-8")


def test_a_trial_without_scores_or_an_unknown_measure_is_refused(
    kinds: Results, hostile: Results
) -> None:
    with pytest.raises(SpecError, match="trial trialx has no scores: it is FAILED"):
        hostile.by_kind(trial="trialx")
    with pytest.raises(SpecError, match="'recal@2' was not measured, did you mean 'recall@2'"):
        kinds.by_kind("recal@2")


def test_kinds_add_up_in_a_difference_too(kinds: Results) -> None:
    found = kinds.diff("good", "base")
    assert [(one.over, one.won, one.lost, one.tied) for one in found.kinds] == [
        ("look-up", 80, 0, 0), ("how-to", 30, 0, 0), ("(no kind)", 10, 0, 0)
    ]  # fmt: skip
    assert sum(one.interval.n for one in found.kinds) == found.differences[0].interval.n
