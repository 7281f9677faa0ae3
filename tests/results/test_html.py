"""Every view as HTML: nothing that a user wrote is markup, and nothing that a notebook drops."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mox
from mox.results import Results
from mox.results.show.markup import Html, joined, marked, tag

QUICKSTART = Path(__file__).parents[2] / "experiments" / "quickstart.yaml"
HOSTILE = "<script>alert('x')</script> & \"><img src=x onerror=alert(1)>"

TAGS = {"div", "span", "b", "code", "pre", "mark", "details", "summary", "table", "thead", "tbody",
        "tr", "th", "td"}  # fmt: skip
STYLES = {
    "align-items", "background", "border-collapse", "border-radius", "cursor", "display",
    "flex", "flex-wrap", "font-size", "gap", "height", "justify-content", "left", "line-height",
    "margin", "margin-right", "max-width", "min-width", "opacity", "overflow", "overflow-wrap",
    "overflow-x", "padding", "padding-bottom", "padding-left", "padding-right", "padding-top",
    "position", "text-align", "text-overflow", "top", "vertical-align", "white-space", "width",
}  # fmt: skip
"""Of what JupyterLab 4.6 keeps in an untrusted notebook (allowedTags and allowedStyles of its
packages/apputils/src/sanitizer.ts), those that the views use."""
VALUE = re.compile(r"(rgba\(\d+,\d+,\d+,[\d.]+\)|[a-z-]+|-?[\d.]+(px|%|em)?|0)( \S+)*")


class Page(HTMLParser):
    """What a browser makes of a page: its tags, attributes and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    @property
    def titles(self) -> str:
        return " ".join(value or "" for name, value in self.attributes if name == "title")


VIEWS: dict[str, Callable[[Results], str]] = {
    "card": lambda results: results._repr_html_(),
    "inspection": lambda results: results.inspect("q0")._repr_html_(),
    "two passages": lambda results: results.inspect("q1")._repr_html_(),
    "unanswerable": lambda results: results.inspect("q2")._repr_html_(),
    "explained": lambda results: results.explain("trial16")._repr_html_(),
    "explained question": lambda results: results.explain("trial16", "q1")._repr_html_(),
    "explained failure": lambda results: results.explain("trialx")._repr_html_(),
    "by kind": lambda results: results.by_kind()._repr_html_(),
    "why": lambda results: results.why()._repr_html_(),
    "why one": lambda results: results.why("chunk.size")._repr_html_(),
    "difference": lambda results: results.diff("trial16", "trial64")._repr_html_(),
}


SILENT = {"why", "why one"}
"""Views of these results that show nothing of what a user wrote; see test_why."""


@pytest.mark.parametrize("view", VIEWS)
def test_nothing_that_a_user_wrote_is_markup(hostile: Results, view: str) -> None:
    page = Page(VIEWS[view](hostile))
    assert page.tags <= TAGS
    assert view in SILENT or HOSTILE in page.text + page.titles


def test_a_card_shows_an_error_a_note_and_a_name_as_text(hostile: Results) -> None:
    page = Page(hostile._repr_html_())
    for said in (f"broke: {HOSTILE}", f"note: note {HOSTILE}", f"name {HOSTILE}"):
        assert said in page.text


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_uses_only_what_an_untrusted_notebook_keeps(hostile: Results, view: str) -> None:
    page = Page(VIEWS[view](hostile))
    assert {name for name, _ in page.attributes} <= {"style", "title", "open"}
    for name, value in page.attributes:
        if name != "style":
            continue
        for declaration in (value or "").split(";"):
            key, _, given_value = declaration.partition(":")
            assert key in STYLES, declaration
            assert VALUE.fullmatch(given_value), declaration


def test_a_plan_uses_the_same_vocabulary() -> None:
    plan = mox.plan(QUICKSTART, set={"questions.limit": 100})
    page = Page(plan._repr_html_())
    assert page.tags <= TAGS
    assert {name for name, _ in page.attributes} <= {"style", "title", "open"}
    assert "build indexes" in page.text
    assert f"{len(plan.trials)} trials" in page.text
    assert all(trial.id in page.text for trial in plan.trials)


@settings(derandomize=True, max_examples=100, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("<>&\"'"), max_size=40))
def test_a_plain_string_is_shown_as_it_is(said: str) -> None:
    page = Page(tag("div", said, joined(said), title=said).text)
    assert page.tags == {"div"}
    # Parsers read carriage returns as line feeds, and NUL as nothing; browsers do the same.
    assert plain(page.text) == plain(said * 2)
    assert [plain(value or "") for name, value in page.attributes] == [plain(said)] * bool(said)


def plain(said: str) -> str:
    return re.sub(r"[\r\0]", "", said)


spans = st.lists(st.tuples(st.integers(-5, 45), st.integers(-5, 45)), max_size=6)


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.text("ab<&\n", max_size=40), spans)
def test_marking_a_text_marks_just_the_spans_and_changes_nothing(
    source: str, places: list[tuple[int, int]]
) -> None:
    page = marked(source, places).text
    assert Page(page).text == source
    inside = "".join(
        Page(part).text for part in re.findall(r"<mark[^>]*>(.*?)</mark>", page, re.DOTALL)
    )
    covered = sorted({at for low, high in places for at in range(max(low, 0), high)})
    assert inside == "".join(source[at] for at in covered if at < len(source))


def test_the_card_says_the_verdict_before_the_table(hostile: Results) -> None:
    page = hostile._repr_html_()
    choice = hostile.choice
    assert choice is not None
    shown = Page(page).text
    assert shown.index(choice.reason) < shown.index("index MB")
    assert f"Confirmed on test: {choice.measure}" in shown
    assert "looked at once" in shown


def test_a_refused_choice_says_why(made: Any) -> None:
    made.trial("t", {"kind": "recursive", "size": 16}, ["recall@60t"], short={"recall@60t": 0.5})
    choose = {"maximise": "recall@60t", "within": None, "prefer": None}
    shown = Page(made.results(["recall@60t"], choose=choose)._repr_html_()).text
    assert "Nothing is chosen: 1 trials spend their hits before the budget" in shown


def test_the_card_shows_only_what_varies(hostile: Results) -> None:
    head = re.findall(r"<th [^>]*>(.*?)</th>", hostile._repr_html_())
    assert head == ["#", "trial", "", "chunk", "recall@60t ▾", "chunks", "index MB", "of exact",
                    "recall@2", "ndcg@60t"]  # fmt: skip
    shown = Page(hostile._repr_html_()).text
    assert "recursive size=16" in shown
    assert "k=6" not in shown


def test_what_varies_stands_by_axis(made: Any) -> None:
    made.trial("t", {"kind": "recursive", "size": 32}, ["recall@2"])
    page = made.results(["recall@2"], varying=("chunk.size", "search.kind"))._repr_html_()
    assert re.findall(r"<th [^>]*>(.*?)</th>", page)[3:5] == ["chunk", "search"]
    assert re.findall(r"<td [^>]*>(.*?)</td>", page)[3:5] == ["size=32", "bm25"]


def test_skipped_trials_are_counted_with_the_reason(hostile: Results) -> None:
    shown = Page(hostile._repr_html_()).text
    assert "1 trial was not run (budget); the same call again resumes." in shown


def test_trials_beyond_the_first_ten_are_counted_but_the_baseline_is_shown(made: Any) -> None:
    for at in range(14):
        worth = 0.0 if at == 13 else 0.5
        values = {"recall@2": [worth, worth, float("nan"), *[worth] * 4]}
        made.trial(f"t{at:02d}", {"kind": "recursive", "size": 32}, ["recall@2"], values=values)
    results = made.results(["recall@2"], baseline="t13")
    shown = Page(results._repr_html_()).text
    assert "t09" in shown
    assert "t10" not in shown
    assert "t13" in shown
    assert "baseline" in shown
    assert "3 more trials in results.leaderboard()" in shown


def test_a_single_question_has_no_interval_and_no_bar(lone: Results) -> None:
    page = lone._repr_html_()
    assert "a single question gives no interval" in page
    assert "nan" not in page
    assert "inf" not in page
    assert "position:absolute" not in page


def test_markup_is_told_from_text_by_its_type() -> None:
    assert tag("b", "<i>").text == "<b>&lt;i&gt;</b>"
    assert tag("b", Html("<i></i>")).text == "<b><i></i></b>"
