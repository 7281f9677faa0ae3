"""Two trials on the same questions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mox.errors import SpecError
from mox.results import Results

NAN = float("nan")
A = [1.0, 0.0, NAN, 0.5, 1.0, 0.25, 0.0]
B = [0.0, 0.0, NAN, 1.0, 1.0, 0.0, 0.0]


@pytest.fixture
def pair(made: Any) -> Results:
    """Scores by hand. Questions 1, 3 and 5 are dev; 0, 4 and 6 test; 2 is unanswerable."""
    made.trial("a", {"kind": "recursive", "size": 16}, ["recall@2"], values={"recall@2": A})
    made.trial("b", {"kind": "recursive", "size": 64}, ["recall@2"], values={"recall@2": B})
    return made.results(["recall@2"])


def test_the_difference_is_paired_over_answerable_questions(pair: Results) -> None:
    every, dev, test = pair.diff("a", "b").differences
    # a − b: +1, 0, −0.5, 0, +0.25, 0 over six questions
    assert every.interval.mean == pytest.approx(0.75 / 6)
    assert (every.won, every.lost, every.tied) == (2, 1, 3)
    assert dev.interval.mean == pytest.approx(-0.25 / 3)
    assert test.interval.mean == pytest.approx(1 / 3)
    assert [found.interval.n for found in (every, dev, test)] == [6, 3, 3]


def test_p_counts_every_way_of_flipping_the_signs(pair: Results) -> None:
    every, dev, _ = pair.diff("a", "b").differences
    # |±1 ± 0.5 ± 0.25| reaches 0.75 with signs (+,−,+), (+,+,±), (+,−,−) no: 0.25; so of the
    # eight, +1+.5±.25, +1−.5+.25, and their negatives reach it: 6 of 8.
    assert every.p == pytest.approx(6 / 8)
    # dev: 0, −0.5, +0.25: |±0.5 ± 0.25| is 0.25 or 0.75, and all reach 0.25.
    assert dev.p == 1.0


def test_the_other_way_round_is_the_negative(pair: Results) -> None:
    there, back = pair.diff("a", "b"), pair.diff("b", "a")
    for one, other in zip(there.differences, back.differences, strict=True):
        assert one.interval.mean == -other.interval.mean
        assert (one.won, one.lost, one.p) == (other.lost, other.won, other.p)


def test_a_trial_against_itself_differs_nowhere(pair: Results) -> None:
    found = pair.diff("a", "a")
    assert found.settings == {}
    assert found.losses == found.gains == []
    assert [one.tied for one in found.differences] == [6, 3, 3]
    assert "Both trials have the same configuration." in found._repr_html_()


def test_only_settings_that_differ_are_named(pair: Results) -> None:
    assert pair.diff("a", "b").settings == {"chunk.size": (16, 64)}


def test_the_largest_losses_and_gains_come_first(pair: Results) -> None:
    found = pair.diff("a", "b")
    assert [one.question.id for one in found.losses] == ["q3"]
    assert [one.question.id for one in found.gains] == ["q0", "q5"]
    assert "-0.500 q3" in repr(found)


def test_the_table_holds_every_answerable_question_worst_first(pair: Results) -> None:
    table = pair.diff("a", "b").df
    assert list(table["id"]) == ["q3", "q1", "q4", "q6", "q5", "q0"]
    assert list(table["difference"]) == [-0.5, 0, 0, 0, 0.25, 1]
    assert list(table.columns) == ["id", "split", "kind", "text", "a", "b", "difference"]


def test_a_measure_that_was_not_measured_is_refused_with_the_nearest(pair: Results) -> None:
    with pytest.raises(SpecError, match="'recal@2' was not measured, did you mean 'recall@2'"):
        pair.diff("a", "b", "recal@2")


def test_a_trial_that_failed_cannot_be_compared(hostile: Results) -> None:
    with pytest.raises(SpecError, match="trial trialx has no scores: it is FAILED"):
        hostile.diff("trial16", "trialx")


def test_a_comparison_is_saved_as_a_page(pair: Results, tmp_path: Path) -> None:
    found = pair.diff("a", "b")
    page = found.save(tmp_path / "a-b.html").read_text(encoding="utf-8")
    assert found._repr_html_() in page
