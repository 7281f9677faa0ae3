"""One question looked at closely: what is covered, where, and how it is found."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mox.errors import SpecError
from mox.evaluation.measures import Measure
from mox.results import Results
from mox.results.lineage.seen import seen
from mox.retrieval.hits import ranked
from mox.types import Document, Evidence, Question, Span

TEXT = "alpha beta gamma delta epsilon zeta eta theta iota kappa"


@pytest.mark.parametrize("measure", ["recall@60t", "recall@2", "ndcg@60t"])
def test_what_is_seen_scores_as_the_run_scored_it(hostile: Results, measure: str) -> None:
    """A few rows of the table, cut here, give the stored values of all rows, cut in a stage."""
    for trial in hostile.finished:
        stored = hostile.scores(trial).arrays[measure]
        for at in range(len(hostile.questions_asked)):
            _, value = seen(hostile, trial, at, Measure.parse(measure))
            assert value == pytest.approx(stored[at], abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("measure", ["recall@2", "ndcg@2"])
def test_graded_documents_score_as_the_run_scored_them(graded: Results, measure: str) -> None:
    for trial in graded.finished:
        stored = graded.scores(trial).arrays[measure]
        for at in range(len(graded.questions_asked)):
            _, value = seen(graded, trial, at, Measure.parse(measure))
            assert value == pytest.approx(stored[at], abs=1e-12)


@pytest.fixture
def greek(tmp_path: Path, request: Any) -> Results:
    """One document of ten words, in chunks of one hit each; a question for [6, 22) of it."""
    made_by = request.getfixturevalue("made").__class__
    question = Question(
        "greek", "Which?", "g", Evidence(((Span("d", 6, 22), Span("e", 6, 22)),)), kind="look-up"
    )
    other = Question("latin", "Which?", "h", Evidence(((Span("e", 0, 5),),)))
    made = made_by(tmp_path / "greek", [Document("d", TEXT, "0"), Document("e", TEXT, "0")],
                   [question, other])  # fmt: skip
    made.trial("whole", {"kind": "whole"}, ["recall@1", "precision@1"])
    return made.results(["recall@1", "precision@1"])


def test_one_of_two_alternatives_is_all_of_the_evidence(greek: Results) -> None:
    view = greek.inspect("greek")
    assert view.trials[0].covered == 1.0
    assert "evidence covered 100 % within 1 hit" in repr(view)


def test_both_alternatives_are_quoted_and_marked(greek: Results) -> None:
    view = greek.inspect("greek")
    assert "evidence 1: d [6:22] “beta gamma delta”" in repr(view)
    assert "or: e [6:22] “beta gamma delta”" in repr(view)
    marks = re.findall(r"<mark[^>]*>(.*?)</mark>", view._repr_html_())
    # In the quotation, and in each of the two hits.
    assert marks == ["beta gamma delta"] * 3


def test_hits_beyond_the_cut_are_shown_apart(greek: Results) -> None:
    view = greek.inspect("greek")
    assert view.trials[0].seen == (len(TEXT), 0)
    assert "beyond 1 hit: not counted by recall@1" in view._repr_html_()
    first, cut, second = (line.split()[:2] for line in repr(view).splitlines()[-3:])
    assert [first, cut, second] == [["*", "1"], ["…", "beyond"], ["*", "2"]]


def test_a_token_budget_cuts_within_a_hit(made: Any) -> None:
    made.trial("whole", {"kind": "whole"}, ["recall@30t"])
    view = made.results(["recall@30t"]).inspect("q0")
    first, *rest = view.trials[0].seen
    text = view.documents[view.trials[0].hits[0].document].text
    assert 0 < first < len(text)
    assert set(rest) == {0}
    # What lies beyond the cut is paler.
    assert "opacity:.45" in view._repr_html_()


def test_a_question_without_hits_covers_nothing(made: Any) -> None:
    def nothing(_: Any) -> Any:
        return ranked(np.full((7, 3), -1), np.full((7, 3), -np.inf), k=3)

    made.trial("none", {"kind": "whole"}, ["recall@30t"], hits=nothing)
    view = made.results(["recall@30t"]).inspect("q0")
    assert view.trials[0].hits == view.trials[0].seen == ()
    assert view.trials[0].covered == 0.0
    assert "evidence covered 0 % within 30 tokens" in view._repr_html_()


def test_the_chosen_trial_and_the_baseline_are_shown_unless_others_are_named(
    hostile: Results,
) -> None:
    chosen = hostile.chosen
    assert chosen is not None
    expected = list(dict.fromkeys([chosen.id, hostile.run.baseline]))
    assert [one.trial for one in hostile.inspect("q0").trials] == expected
    named = hostile.inspect("q0", "trial64", "trial32")
    assert [one.trial for one in named.trials] == ["trial64", "trial32"]


def test_a_question_is_found_by_the_first_letters_of_its_id(greek: Results) -> None:
    assert greek.inspect("gr").question.id == "greek"


def test_an_unknown_question_is_refused_with_the_nearest(greek: Results) -> None:
    with pytest.raises(SpecError, match="no questions begin with 'greke', did you mean 'greek'"):
        greek.inspect("greke")


def test_letters_that_several_questions_begin_with_are_refused(hostile: Results) -> None:
    with pytest.raises(SpecError, match="7 questions begin with 'q'"):
        hostile.inspect("q")


def test_a_trial_that_failed_has_no_hits_to_inspect(hostile: Results) -> None:
    with pytest.raises(SpecError, match="trial trialx has no hits: it is FAILED"):
        hostile.inspect("q0", "trialx")


def test_an_unanswerable_question_has_no_score(hostile: Results) -> None:
    view = hostile.inspect("q2")
    assert [one.covered for one in view.trials] == [None] * len(view.trials)
    assert all(one.scores == {} for one in view.trials)
    assert "No evidence: the corpus doesn" in view._repr_html_()
    assert "unanswerable, so nothing is measured" in repr(view)


def test_grades_are_shown_with_hits_of_their_documents(graded: Results) -> None:
    view = graded.inspect("g0", "trial16")
    page = view._repr_html_()
    assert "doc0 (grade 2), doc3 (grade 1)" in page
    shown = [hit.document for hit in view.trials[0].hits if hit.document in ("doc0", "doc3")]
    assert shown
    assert page.count("· grade ") == len(shown)
    assert "of the relevant documents found within 2 hits" in page


def test_a_rank_cut_over_grades_counts_documents_not_chunks(graded: Results) -> None:
    view = graded.inspect("g0", "trial16")
    one = view.trials[0]
    seen_of = {hit.document for hit, shown in zip(one.hits, one.seen, strict=True) if shown}
    first_two = list(dict.fromkeys(hit.document for hit in one.hits))[:2]
    assert seen_of == set(first_two)


def test_a_long_hit_is_shown_around_its_evidence(tmp_path: Path, made: Any) -> None:
    text = "word " * 1000 + "needle" + " word" * 1000
    question = Question("q", "Which?", "g", Evidence(((Span("long", 5000, 5006),),)))
    long = made.__class__(tmp_path / "long", [Document("long", text, "0")], [question])
    long.trial("whole", {"kind": "whole"}, ["recall@1"])
    page = long.results(["recall@1"]).inspect("q")._repr_html_()
    assert page.count(">needle</mark>") == 2
    assert "(4,800 characters before)" in page
    assert "(3,706 characters more)" in page  # 10,006 − 4,800 before − 1,500 shown
    assert len(page) < 6000


def test_an_inspection_is_saved_as_a_page(greek: Results, tmp_path: Path) -> None:
    view = greek.inspect("greek")
    page = view.save(tmp_path / "view.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert view._repr_html_() in page
    with pytest.raises(SpecError, match=r"view\.txt is no \.html file"):
        view.save(tmp_path / "view.txt")
